"""The wheel, installed away from the checkout, as a user has it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def build(folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet"]
    subprocess.run([*pip, "--wheel-dir", folder, ROOT], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.mark.timeout(180)
def test_whoever_builds_the_wheel_again_gets_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    assert build(tmp_path).read_bytes() == wheel.read_bytes()


@pytest.mark.timeout(180)  # builds in an environment of its own, which pip has to fill
def test_the_wheel_holds_the_migrations_and_types_and_nothing_of_the_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert "celers_worker/_alembic/env.py" in names
    assert "celers_worker/_alembic/versions/0001_tasks.py" in names
    assert "celers_worker/py.typed" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"celers_worker"}


@pytest.mark.timeout(180)
def test_an_installed_wheel_migrates_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet"]
    subprocess.run([*pip, "--target", site, wheel], check=True, capture_output=True)
    # The packages it needs are those of this environment; its own code comes from the wheel.
    environment = {**os.environ, "PYTHONPATH": str(site)}
    url = f"sqlite:///{tmp_path}/celers.db"

    ran = subprocess.run(
        [sys.executable, "-m", "celers_worker", "--database", url, "migrate"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    where = subprocess.run(
        [sys.executable, "-c", "import celers_worker; print(celers_worker.__file__)"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.returncode == 0, ran.stderr
    assert "0001" in ran.stdout + ran.stderr
    assert where.stdout.startswith(str(site))
