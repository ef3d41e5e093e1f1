"""``celers selftest``: promises are kept, a broken one is found, and nothing of it stays."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from celers_worker.cli.failure import FAILED, INTERRUPTED
from celers_worker.selftest import campaign
from celers_worker.selftest.actors import WorkerActor
from celers_worker.selftest.faults import FAULTS, SESSIONS
from celers_worker.store import StoreOptions
from celers_worker.store.premises import premises
from tests.cli.shell import celers, errors, run, started
from tests.selftest import unfenced
from tests.selftest.conftest import MakeUser, everything
from tests.waiting import eventually_sync

# One after the other: what is left of one is erased by the next on the same server.
pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("selftest")]
#: Each fault once, whatever the time.
QUICK = ("--seconds", "1", "--format", "json")
SECONDS = 300
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgres = pytest.mark.parametrize("server", ["postgres"])


def kept_every_promise(ended: subprocess.CompletedProcess[str], *, sessions: bool) -> None:
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["problems"] == []
    assert set(found["broken"].values()) == {0}
    wanted = set(FAULTS) if sessions else set(FAULTS) - {SESSIONS}
    assert set(found["faults"]) == wanted
    assert min(found["faults"].values()) > 0
    assert 0 < found["completed"] <= found["tasks"]
    # Somebody died in the middle of a task at least once: the handler that kills its process.
    assert found["run_again"] > 0
    assert found["longest_recovery"] > 0


def test_it_keeps_every_promise_and_leaves_nothing_behind(database_url: str) -> None:
    before = everything(database_url)
    ended = run("selftest", "--url", database_url, *QUICK, timeout=SECONDS)
    kept_every_promise(ended, sessions=not database_url.startswith("sqlite"))
    assert everything(database_url) == before


@on_postgres
def test_who_may_make_no_database_has_a_schema(server_url: str, make_user: MakeUser) -> None:
    url = make_user('GRANT CREATE ON DATABASE "{database}" TO {user}')
    before = everything(server_url)
    ended = run("selftest", "--url", url, *QUICK, timeout=SECONDS)
    kept_every_promise(ended, sessions=True)
    assert json.loads(ended.stdout)["place"].startswith("the schema celers_selftest_")
    assert everything(server_url) == before


def test_killed_itself_it_is_cleaned_up_after_by_the_next_one(
    database_url: str, tmp_path: Path
) -> None:
    before = everything(database_url)
    log = tmp_path.parent / f"{tmp_path.name}-selftest.log"
    with (
        log.open("w") as file,
        started("selftest", "--url", database_url, *QUICK, stderr=file) as process,
    ):
        eventually_sync(lambda: "faults so far" in log.read_text(), within=SECONDS)
        process.kill()
        process.wait()
        assert len(everything(database_url) - before) > 0
        with premises(database_url, StoreOptions()):
            pass
    assert everything(database_url) == before


@on_sqlite
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_cleans_up_at_once(
    database_url: str, number: signal.Signals, tmp_path: Path
) -> None:
    before = everything(database_url)
    log = tmp_path.parent / f"{tmp_path.name}-selftest.log"
    with (
        log.open("w") as file,
        started("selftest", "--url", database_url, stderr=file) as process,
    ):
        eventually_sync(lambda: "faults so far" in log.read_text(), within=SECONDS)
        process.send_signal(number)
        assert process.wait(SECONDS) == INTERRUPTED
    assert everything(database_url) == before


@pytest.mark.timeout(300)  # as many runs as it takes
@on_sqlite
def test_workers_that_settle_whatever_their_lease_are_caught(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unfenced(WorkerActor):
        module = unfenced.__name__

    monkeypatch.setattr(campaign, "WORKER", Unfenced)
    before = everything(database_url)
    # What a quick run breaks is a matter of chance: one may miss it, five do not.
    answers = (celers("selftest", "--url", database_url, *QUICK) for _ in range(5))
    answer = next(answer for answer in answers if answer.json["broken"]["settled twice"])
    assert answer.code == FAILED
    assert all(problem["task"] for problem in answer.json["problems"])
    assert any("was settled by lease" in line for line in errors(answer))
    assert "report it with the output of `celers selftest" in errors(answer)[-1]
    assert everything(database_url) == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--url", "memory://here"), "celers selftest --url sqlite:///celers.db"),
        (("--url", "sqlite:///celers.db", "--here"), "run celers selftest without --here"),
        (("--url", "sqlite:///nowhere/celers.db"), "name one in a folder that you may write to"),
        (("--seconds", "0.5"), "between 1 and 3600"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    arguments: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = celers("selftest", *arguments)
    assert answer.code == 2
    [line] = errors(answer)
    assert told in line
    assert list(tmp_path.iterdir()) == []


@on_postgres
def test_behind_a_pooler_the_server_itself_has_to_be_named(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERS_DATABASE_POOLER", "transaction")
    answer = celers("selftest", "--url", server_url)
    assert answer.code == 2
    assert "celers selftest --url URL" in answer.err


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ("postgres", ("ALTER ROLE", "GRANT CREATE ON DATABASE", "celers selftest --here")),
        ("mysql", ("GRANT ALL ON `celers\\_selftest\\_%`.*", "celers selftest --here")),
    ],
)
def test_without_any_right_one_line_says_which_is_missing(
    server_url: str, make_user: MakeUser, told: tuple[str, ...]
) -> None:
    on_mysql = server_url.startswith("mysql")
    url = make_user("GRANT SELECT ON `{database}`.* TO {user}@'%'") if on_mysql else make_user()
    before = everything(server_url)
    answer = celers("selftest", "--url", url)
    assert answer.code == 2
    [line] = errors(answer)
    assert all(part in line for part in told), line
    assert "word" not in line
    assert everything(server_url) == before
