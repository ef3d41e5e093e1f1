import ast
import itertools
import json
import os
import subprocess
import sys
from importlib import import_module
from keyword import iskeyword
from pathlib import Path

import click
import pytest

from celers_worker.cli import main
from celers_worker.cli.program import COMMANDS
from celers_worker.store.direct import DirectStore
from celers_worker.version import __version__
from tests.cli import rows
from tests.cli.shell import PROGRAM, celers, done, environment, errors, run

HERE = Path(__file__).parent
HEAVY = {"sqlalchemy", "alembic", "asyncpg", "structlog", "prometheus_client", "rich"}


def every_command(command: click.Command, *path: str) -> dict[tuple[str, ...], click.Command]:
    found = {path: command}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            found |= every_command(inner, *path, name)
    return found


def test_every_command_has_a_help_that_says_what_it_does() -> None:
    for path in every_command(main):
        answer = done(*path, "--help")
        assert answer.out.startswith(f"Usage: {' '.join(('celers', *path))} "), path
        assert answer.out == done(*path, "-h").out
    for name in COMMANDS:
        file = f"{name}_" if iskeyword(name) else name
        assert import_module(f"celers_worker.cli.{file}").command.name == name


def calls_of(file: Path) -> set[tuple[str, ...]]:
    """The words that the calls of a test begin with; what is a parameter stands for each text."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    texts = [one.value for one in nodes if isinstance(one, ast.Constant)]
    found: set[tuple[str, ...]] = set()
    for node in nodes:
        words = node.args if isinstance(node, ast.Call) else getattr(node, "elts", [])
        spoken = [
            [one.value] if isinstance(one, ast.Constant) else texts
            for one in words[:2]
            if isinstance(one, ast.Constant | ast.Name)
        ]
        if spoken and isinstance(words[0], ast.Constant):
            found |= {(words[0].value,), *itertools.product(*spoken)}
    return found


def test_every_verb_is_run_by_a_test_against_a_database() -> None:
    # T37
    files = (*HERE.glob("test_*.py"), *(HERE.parent / "selftest").glob("test_*.py"))
    calls = set().union(*(calls_of(file) for file in files))
    # A family by itself does what its first verb does.
    calls |= {(*call, "up") for call in calls if call == ("migrate",)}
    calls |= {(*call, "create") for call in calls if call == ("backup",)}
    verbs = {
        path
        for path, command in every_command(main).items()
        if not isinstance(command, click.Group)
    }
    assert verbs - calls == set()


def test_every_option_of_a_verb_says_what_it_is() -> None:
    for path, command in every_command(main).items():
        options = [one for one in command.params if isinstance(one, click.Option)]
        assert [one.name for one in options if not one.help] == [], f"of celers {' '.join(path)}"


def test_the_help_of_the_program_and_its_groups_is_cut_nowhere() -> None:
    families = ("task", "dlq", "queue", "schedule", "workflow", "migrate", "workers", "maintain")
    for path in ((), *((family,) for family in families)):
        assert "..." not in done(*path, "--help").out.partition("Commands:")[2]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["dlq", "requeue", "--help"], ["worker", "--help"]]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from celers_worker.cli import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit: pass\n"
        "print('modules:', *sys.modules)\n"
    )
    out = subprocess.check_output([sys.executable, "-c", script], env=environment(), text=True)
    loaded = {name.split(".")[0] for name in out.rpartition("modules:")[2].split()}
    assert not loaded & HEAVY


def test_the_version_names_the_interpreter() -> None:
    python = ".".join(map(str, sys.version_info[:3]))
    assert done("--version").out.startswith(f"celers {__version__} (Python {python}")


def test_without_a_command_the_help_is_shown_and_the_usage_is_wrong() -> None:
    for path in ((), ("task",), ("dlq",), ("queue",), ("schedule",), ("workers",)):
        answer = celers(*path)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith("Usage: celers ")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["wroker"], "celers has no command 'wroker'. Did you mean 'worker'? See: celers --help"),
        (
            ["dlq", "requeu"],
            "celers dlq has no command 'requeu'. Did you mean 'requeue'? See: celers dlq --help",
        ),
        (
            ["queue", "zzz"],
            "celers queue has no command 'zzz'. There are: history, list, pause, purge, resume, "
            "stats. See: celers queue --help",
        ),
        (
            ["task", "list", "--quue", "x"],
            "No such option '--quue'. Did you mean '--queue'? See: celers task list --help",
        ),
        (
            ["worker", "--database", "x"],
            "No such option '--database'. It goes before the command: celers --database … "
            "See: celers worker --help",
        ),
    ],
)
def test_a_wrong_name_gets_the_nearest_right_one(arguments: list[str], hint: str) -> None:
    answer = celers(*arguments)
    assert (answer.code, errors(answer)) == (2, [hint])


def test_debug_shows_the_traceback_before_the_line() -> None:
    answer = celers("--debug", "--database", "postgresql://u:s3cr3t@127.0.0.1:1/x", "task", "list")

    first, *_, last = answer.err.splitlines()
    assert first.startswith("Traceback") or "Traceback" in answer.err
    assert last.startswith("celers: error: postgresql://u:***@127.0.0.1:1/x does not answer")
    assert "s3cr3t" not in answer.err


def test_a_bug_is_one_line_that_asks_for_a_report(
    direct: DirectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from celers_worker.store import survey

    monkeypatch.setattr(survey, "list_workers", lambda transaction: 1 // 0)
    answer = celers("workers", "list")
    assert answer.code == 1
    assert errors(answer) == [
        "ZeroDivisionError: integer division or modulo by zero. This is a bug of celers-worker: "
        "run it again as `celers --debug …` and report the traceback."
    ]


def test_the_completion_script_is_generated_and_completes() -> None:
    script = run(env=environment(_CELERS_COMPLETE="bash_source"))
    assert "_CELERS_COMPLETE=bash_complete" in script.stdout

    def completed(words: str, number: int) -> list[str]:
        variables = {"COMP_WORDS": words, "COMP_CWORD": str(number)}
        answer = run(env=environment(_CELERS_COMPLETE="bash_complete", **variables))
        return [line.partition(",")[2] for line in answer.stdout.splitlines()]

    assert completed("celers w", 1) == ["worker", "workflow", "workers"]
    assert completed("celers dlq re", 2) == ["requeue"]
    assert completed("celers task list --st", 3) == ["--state"]
    assert completed("celers task list --state c", 4) == ["completed", "cancelled"]


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
class TestTheWorldAround:
    def test_a_reader_that_leaves_early_is_no_error(self, direct: DirectStore) -> None:
        rows.waiting(direct, 3_000)
        command = f"set -o pipefail; {' '.join(PROGRAM)} task list --limit 3000 | head -1"
        ended = subprocess.run(
            ["bash", "-c", command], env=environment(), capture_output=True, text=True, check=False
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.startswith("ID")

    def test_a_closed_stdout_is_no_error(self, direct: DirectStore) -> None:
        ended = subprocess.run(
            ["sh", "-c", f"{' '.join(PROGRAM)} task list --format json >&- <&-"],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")

    def test_a_full_disk_is_an_error_of_one_line(self, direct: DirectStore) -> None:
        rows.waiting(direct)
        with Path("/dev/full").open("w") as full:
            ended = run("task", "list", stdout=full)
        assert (ended.returncode, ended.stderr) == (
            1,
            "celers: error: output: No space left on device.\n",
        )

    def test_it_needs_no_home_no_locale_and_no_writable_directory(
        self, direct: DirectStore, tasks_file: Path
    ) -> None:
        rows.waiting(direct, name="caf", fingerprint="é")
        bare = {
            name: value
            for name, value in environment(LC_ALL="C", LANG="C", PYTHONIOENCODING="ascii").items()
            if name not in ("HOME", "TERM", "USER", "LOGNAME")
        }
        ended = run("task", "show", str(rows.live(direct)[0].id), env=bare, cwd="/proc")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert "fingerprint" in ended.stdout

    def test_nothing_is_coloured_in_a_pipe(self, direct: DirectStore) -> None:
        [dead] = rows.dead(direct)
        for command in (["task", "list"], ["task", "show", str(dead)], ["queue", "stats"]):
            ended = run(*command, env=environment(TERM="xterm-256color"))
            assert ended.returncode == 0
            assert "\x1b" not in ended.stdout + ended.stderr

    def test_a_long_error_is_cut_nowhere_in_a_pipe(self, direct: DirectStore) -> None:
        rows.dead(direct, error="ValueError: " + "x" * 5_000)

        assert "x" * 5_000 in run("dlq", "list").stdout

    def test_every_reading_command_gives_one_json_document(
        self, direct: DirectStore, tasks_file: Path
    ) -> None:
        [dead] = rows.dead(direct)
        rows.waiting(direct)
        rows.worker(direct, "send")
        for command in (
            ["task", "list"],
            ["task", "count"],
            ["task", "show", str(dead)],
            ["dlq", "list"],
            ["dlq", "show", str(dead)],
            ["queue", "list"],
            ["queue", "stats"],
            ["queue", "stats", "default"],
            ["workers", "list"],
            ["migrate", "status"],
            ["migrate", "plan"],
            ["check"],
        ):
            assert json.loads(done(*command, "--format", "json").out) is not None, command


def test_the_module_is_the_program_too() -> None:
    assert run("--version").stdout == done("--version").out
    assert os.path.basename(PROGRAM[-1]) == "celers_worker"
