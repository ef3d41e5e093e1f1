"""A database that another package brings: found by its entry point, and held to our tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from celers_worker.config.url import url_problems
from celers_worker.core.errors import ConfigurationError
from celers_worker.store import backends, make_direct_store, make_store, memory

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests" / "other_backend"
#: What our promises stand on; the rest of tests/store knows more of our own databases.
CONFORMANCE = [
    "tests/store/test_enqueue.py",
    "tests/store/test_unique.py",
    "tests/store/test_claim.py",
    "tests/store/test_settle.py",
    "tests/store/test_leases.py",
    "tests/store/test_reap.py",
    "tests/store/test_control.py",
    "tests/store/test_dead_letters.py",
]
TASKS = """\
from celers_worker import Celers

app = Celers()


@app.task()
async def greet(name: str) -> str:
    return f"Hello, {name}!"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the package of the other database."""
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
    subprocess.run([*pip, PACKAGE], check=True, capture_output=True)
    return folder


def conforms(
    url: str, folder: Path, *, tests: Sequence[str] = CONFORMANCE, site: Path | None = None
) -> None:
    """Run the conformance *tests* on *url* in a process of their own."""
    environment = os.environ | {
        "CELERS_TEST_DATABASE_URL": url,
        "PYTHONPATH": os.pathsep.join(str(path) for path in (site, ROOT) if path),
    }
    command = [sys.executable, "-m", "pytest", *tests, "--db", "other", "-q", "-n0"]
    finished = subprocess.run(
        [*command, "-p", "no:cacheprovider", "--basetemp", folder / "pytest"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "passed" in finished.stdout


@pytest.mark.timeout(300)  # dozens of tests
def test_a_package_s_database_passes_the_conformance_tests(site: Path, tmp_path: Path) -> None:
    # A selection, for each of its commits is a sync of the disk.
    selection = [CONFORMANCE[0], CONFORMANCE[1], CONFORMANCE[4], CONFORMANCE[5]]
    conforms(f"ledger:///{tmp_path}/celers.db", tmp_path, tests=selection, site=site)

    lines = (tmp_path / "celers.db.ledger").read_text().splitlines()
    done = Counter(line.split()[0] for line in lines)
    assert min(done["enqueue"], done["claim"], done["settle"]) > 10


@pytest.mark.timeout(300)
def test_the_database_in_memory_passes_the_conformance_tests(tmp_path: Path) -> None:
    conforms(f"memory://{uuid4().hex}", tmp_path)


@pytest.mark.timeout(180)
def test_a_package_s_database_serves_the_command_line(site: Path, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    url = f"ledger:///{tmp_path}/celers.db"
    environment = os.environ | {
        "CELERS_DATABASE_URL": url,
        "PYTHONPATH": os.pathsep.join(map(str, (site, ROOT))),
    }

    def celers(*arguments: str) -> str:
        command = [sys.executable, "-m", "celers_worker", *arguments]
        finished = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    celers("migrate")
    celers("enqueue", "greet", "name=Ada")
    celers("worker", "--drain")
    assert '"completed"' in celers("task", "list", "--format", "json")
    assert "settle 1" in (tmp_path / "celers.db.ledger").read_text()


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a package on the path whose entry point for ``paper://`` is what the test says."""

    def offer(target: str) -> None:
        metadata = tmp_path / "celers_paper-2.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: celers-paper\nVersion: 2")
        (metadata / "entry_points.txt").write_text(f"[celers_worker.stores]\npaper = {target}\n")
        (tmp_path / "celers_paper_faulty.py").write_text("raise RuntimeError('out of paper')\n")
        (tmp_path / "celers_paper_needy.py").write_text("import celers_ink\n")
        monkeypatch.syspath_prepend(tmp_path)

    return offer


def test_a_scheme_that_nobody_brings_says_what_there_is(offer: Callable[[str], None]) -> None:
    offer("celers_paper:BACKEND")
    with pytest.raises(ConfigurationError) as caught:
        make_store("oracle://host/name")
    message = str(caught.value)
    assert "'oracle' is no database Celers knows: use " in message
    assert "sqlite, memory, paper, " in message
    assert "an entry point 'oracle' in the group 'celers_worker.stores'" in message


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("celers_paper_missing:BACKEND", "celers-paper 2, which needs the module celers_paper_mis"),
        ("celers_paper_needy:BACKEND", "needs the module celers_ink. Run: pip install celers_ink"),
        ("celers_paper_faulty:BACKEND", "cannot be imported: RuntimeError: out of paper"),
        ("tests.waiting:eventually", "is a function: it must be a celers_worker.store.backends"),
    ],
)
def test_a_package_that_cannot_be_used_is_named_with_what_it_lacks(
    offer: Callable[[str], None], target: str, problem: str
) -> None:
    offer(target)
    assert list(url_problems("paper://desk/drawer")) == []
    with pytest.raises(ConfigurationError, match="'paper' comes from celers-paper 2") as caught:
        make_direct_store("paper://desk/drawer")
    assert problem in str(caught.value)


def test_a_missing_driver_is_named_with_the_package_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("celers_worker.store.urls.find_spec", lambda module: None)
    with pytest.raises(ConfigurationError, match=r"asyncmy.*pip install 'celers-worker\[mysql\]'"):
        make_store("mysql://host/name")


def test_a_connection_of_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no database of SQLAlchemy's dialect 'oracle'"):
        backends.backend_of_dialect("oracle")
    assert backends.backend_of_dialect("mariadb").direct_class is not memory.MemoryDirectStore
