"""The demonstration, run as a person runs it: a process with a pipe for its output."""

import argparse
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.waiting import eventually_sync

REPOSITORY = Path(__file__).parents[2]
SECONDS = 50
GOOD = """\
import os
from pathlib import Path


class Shelf:
    def add(self): ...


async def read(): return 1 if os else [lambda: Path]
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "sub folder").mkdir(parents=True)
    (folder / "good.py").write_text(GOOD)
    (folder / "sub folder" / "undecodable.py").write_bytes(b"a = 1\nb = 2\nc = '\xff'\n")
    (folder / "sub folder" / "broken.py").write_text("def (")
    (folder / "sub folder" / "notes.txt").write_text("three short words\nand three more\n")
    (folder / "empty.txt").touch()
    (folder / "picture [1].bin").write_bytes(bytes(range(256)))
    (folder / "link.py").symlink_to("good.py")
    return folder


def test_its_summary_is_what_the_database_holds(tree: Path, tmp_path: Path) -> None:
    finished = run_demo(tree, cwd=tmp_path)

    assert finished.returncode == 0, finished.stderr
    assert "\x1b" not in finished.stdout
    shown = figures(finished.stdout)
    assert shown == shown | {
        "files found": "6",
        "tasks run": "6",
        "completed": "4",
        "failed attempts": "3",
        "retried": "1",
        "dead-lettered": "2",
        "python files read": "1",
        "text files read": "2",
        "binary files read": "1",
        "bytes": f"{len(GOOD) + 33 + 256:,}",
        "lines": "11",
        "words": "6",
        "functions": "2",
        "classes": "1",
        "imports": "2",
        "largest file": "picture [1].bin (256 bytes)",
    }
    assert shown["completed"] == one(tmp_path, "SELECT count(*) FROM celers_task_archive")
    assert shown["dead-lettered"] == one(tmp_path, "SELECT count(*) FROM celers_dead_letter_queue")
    assert shown["failed attempts"] == one(tmp_path, "SELECT count(*) FROM celers_task_attempts")
    assert one(tmp_path, "SELECT count(*) FROM celers_tasks") == "0"
    assert one(tmp_path, "SELECT count(*) FROM celers_workers") == "0"


def test_a_file_that_is_no_python_is_dead_at_once_and_an_undecodable_one_after_a_retry(
    tree: Path, tmp_path: Path
) -> None:
    finished = run_demo(tree, cwd=tmp_path)

    dead = rows(
        tmp_path,
        "SELECT dead.payload, error_type, count(*) FROM celers_dead_letter_queue dead "
        "JOIN celers_task_attempts ON task_id = dead.id GROUP BY dead.id, error_type",
    )
    attempts = {Path(json.loads(payload)["path"]).name: rest for payload, *rest in dead}
    assert attempts == {
        "broken.py": ["SyntaxError", 1],
        "undecodable.py": ["UnicodeDecodeError", 2],
    }
    assert re.search(r"^1 +SyntaxError: .* broken\.py *$", finished.stdout, re.MULTILINE)
    assert re.search(
        r"^1 +UnicodeDecodeError: .* undecodable\.py *$", finished.stdout, re.MULTILINE
    )


def test_the_commands_that_it_names_can_be_typed(tree: Path, tmp_path: Path) -> None:
    finished = run_demo(tree, cwd=tmp_path)
    _, commands = finished.stdout.split("Try next:\n")
    export, list_tasks, list_dead, requeue = commands.splitlines()

    def typed(command: str) -> str:
        script = ["sh", "-c", f"{export}\n{command}"]
        return subprocess.run(script, check=True, timeout=SECONDS, **options(tmp_path)).stdout

    assert typed(list_tasks).count("completed") == 4
    assert "broken.py" in typed(list_dead)
    typed(requeue)
    assert one(tmp_path, "SELECT count(*) FROM celers_dead_letter_queue") == "0"
    assert one(tmp_path, "SELECT count(*) FROM celers_tasks WHERE state = 'pending'") == "2"


def test_every_run_begins_with_a_new_database(tree: Path, tmp_path: Path) -> None:
    run_demo(tree, cwd=tmp_path)
    finished = run_demo(tree, cwd=tmp_path)

    assert figures(finished.stdout)["files found"] == "6"
    assert figures(finished.stdout)["tasks run"] == "6"


@pytest.mark.parametrize("name", ["empty", "missing", "file"])
def test_a_folder_without_files_is_wrong_usage(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()

    finished = run_demo(tmp_path / name, cwd=tmp_path)

    assert finished.returncode == 2
    assert str(tmp_path / name) in finished.stderr


def test_ctrl_c_ends_it_and_its_worker(tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    folder.mkdir()
    first = folder / "0.py"
    first.write_bytes(Path(argparse.__file__).read_bytes())
    for number in range(1, 1_000):
        os.link(first, folder / f"{number}.py")
    demo = subprocess.Popen(command(folder), start_new_session=True, **options(tmp_path))

    with demo:
        eventually_sync(lambda: completed(tmp_path) > 0, within=SECONDS)
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does: to each of them
        output, _ = demo.communicate(timeout=SECONDS)

    assert demo.returncode == 130
    assert output.endswith("Interrupted.\n")
    with pytest.raises(ProcessLookupError):
        os.killpg(demo.pid, 0)


def completed(cwd: Path) -> int:
    try:
        return int(one(cwd, "SELECT count(*) FROM celers_task_archive"))
    except sqlite3.OperationalError:
        return 0  # it has not made its tables yet


def command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "examples.demo", str(folder)]


def options(cwd: Path) -> dict[str, object]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("CELERS_")}
    environment = {**others, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "160"}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return {"cwd": cwd, "env": environment, "text": True, **pipes}


def run_demo(folder: Path, *, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(folder), timeout=SECONDS, **options(cwd))


def figures(output: str) -> dict[str, str]:
    return dict(re.findall(r"^│ (.*?) +│ +(.*) │$", output, re.MULTILINE))


def rows(cwd: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{cwd}/celers-demo.db?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def one(cwd: Path, query: str) -> str:
    return str(rows(cwd, query)[0][0])
