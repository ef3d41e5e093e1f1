"""The systemd units: valid, and allowed next to nothing. Checked by systemd's own tools."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
SERVICES = sorted(unit.name for unit in UNITS.glob("*.service"))
#: systemd's own scale goes from 0 to 10, in tenths here.
MOST_EXPOSED = 15


@pytest.fixture(scope="module")
def analyze() -> str:
    """`make servers` installs it; where there is no systemd at all its units are of no use."""
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("there is no systemd-analyze here: apt-get install systemd")
    return found


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units, with a program that exists: that is all that they lack here."""
    folder = tmp_path_factory.mktemp("units")
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/srv/celers/.venv/bin/celers", "/bin/true")
        (folder / unit.name).write_text(text)
    return folder


def test_systemd_finds_nothing_wrong_with_the_units(analyze: str, placed: Path) -> None:
    done = subprocess.run(
        [analyze, "verify", *map(str, sorted(placed.iterdir()))],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.returncode == 0


def test_systemd_would_find_what_is_wrong(analyze: str, placed: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken@.service"
    broken.write_text((placed / "celers@.service").read_text().replace("WatchdogSec", "WatchDog"))
    done = subprocess.run(
        [analyze, "verify", str(broken)], capture_output=True, text=True, timeout=60
    )
    assert "WatchDog" in done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_hardly_exposed(analyze: str, service: str) -> None:
    done = subprocess.run(
        [
            *(analyze, "security", "--offline=true", f"--threshold={MOST_EXPOSED}"),
            str(UNITS / service),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout[-300:]


def test_a_bare_service_would_be_exposed(analyze: str, tmp_path: Path) -> None:
    bare = tmp_path / "bare.service"
    bare.write_text("[Service]\nExecStart=/bin/true\n")
    done = subprocess.run(
        [analyze, "security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(bare)],
        capture_output=True,
        timeout=60,
    )
    assert done.returncode != 0


def settings(unit: str) -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNITS / unit)
    return parser["Service"]


def test_the_worker_is_notified_watched_and_always_started_again() -> None:
    found = settings("celers@.service")
    expected = {
        "Type": "notify",
        "Restart": "always",
        "KillMode": "mixed",
        "ExecReload": "/bin/kill -HUP $MAINPID",
        "RestartPreventExitStatus": "2",
    }
    assert {key: found[key] for key in expected} == expected
    assert 30 <= int(found["WatchdogSec"]) <= 120
    assert found["LoadCredential"].startswith("database_url:")
    # More than [worker] grace and cancel_grace, and what a supervisor adds to them.
    assert int(found["TimeoutStopSec"]) > 30 + 5 + 2 * 10 + 3


@pytest.mark.parametrize("service", SERVICES)
def test_no_unit_has_a_secret_in_its_environment(service: str) -> None:
    text = (UNITS / service).read_text()
    assert "Environment" not in text
    assert "LoadCredential=database_url:" in text
