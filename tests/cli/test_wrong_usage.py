"""What can be told to be wrong without a database: the same line every time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.shell import celers, errors

DURATION = 'write a number with a unit, such as "30s", "5m", "1h30m" or "7d".'
PERMITS = "write a whole number from 1 to 100000."
ENCODE = (
    "--database: database.url has a special character as it is in its user name, password or "
    "options: percent-encode it (@ is %40, / is %2F, ? is %3F, # is %23, % is %25)."
)
SCHEMES = (
    "sqlite, postgresql, postgresql+asyncpg, postgresql+psycopg, postgres, mysql, mysql+asyncmy, "
    "mysql+pymysql, mariadb, mariadb+asyncmy, mariadb+pymysql, memory."
)
VERSIONS = Path(__file__).parents[2] / "alembic" / "versions"
REVISIONS = sorted(path.name[:4] for path in VERSIONS.glob("[0-9]*.py"))
UNKNOWN = "01a201bf-5c3a-7000-9687-80d8de4fd691"


def urls(bad: str, problem: str) -> tuple[list[str], list[str]]:
    return ["--database", bad, "task", "list"], [problem]


WRONG_USAGE: dict[str, tuple[list[str], list[str]]] = {
    # 1 to 3: the database's URL
    "an empty URL": urls(
        "",
        '--database: database.url is empty: write a URL such as "sqlite:///celers.db" '
        "or leave it out.",
    ),
    "a URL without a scheme": urls(
        "postgres//u:s3cr3t@h/x",
        '--database: database.url has no scheme: write "sqlite:///celers.db", '
        '"postgresql://user@host/database" or "mysql://user@host/database".',
    ),
    "an unknown scheme": urls(
        "oracle://u:s3cr3t@h/x",
        f"--database: database.url has the unknown scheme 'oracle'. Use {SCHEMES}",
    ),
    "a misspelt scheme": urls(
        "postgresq://u:s3cr3t@h/x",
        "--database: database.url has the unknown scheme 'postgresq'. Did you mean 'postgresql'?",
    ),
    "a port out of range": urls(
        "postgresql://u:s3cr3t@h:99999/x",
        "--database: database.url has a port that is no number from 1 to 65535; "
        "the form is user:password@host:port.",
    ),
    "a raw @ in the password": urls("postgresql://u:s3cr3t@x@h/x", ENCODE),
    "a raw / in the password": urls("mysql://u:s3cr3t/x@h/x", ENCODE),
    "a raw # in the password": urls("postgresql://u:s3cr3t#x@h/x", ENCODE),
    "a raw % in the password": urls("postgresql://u:s3cr3t%x@h/x", ENCODE),
    "a raw ? in the password": urls("postgresql://u:s3cr3t?x@h/x", ENCODE),
    "a file that is no database": urls(
        "sqlite:////etc/passwd",
        "sqlite:////etc/passwd refused: file is not a database. "
        "Mend database.url, or the rights of its user.",
    ),
    "a directory that is not there": urls(
        "sqlite:////nowhere/celers.db",
        "sqlite:////nowhere/celers.db refused: unable to open database file. "
        "Mend database.url, or the rights of its user.",
    ),
    # 8: the configuration file; tests/test_config_problems.py has the rest
    "a file that is missing": (["--config", "no.toml", "check"], ["no.toml does not exist."]),
    "a directory for a file": (["--config", "/", "check"], ["/ is a directory: name a file."]),
    # 9: numbers
    "no concurrency": (
        ["worker", "-c", "0"],
        [f"--concurrency: worker.concurrency is 0: {PERMITS}"],
    ),
    "a negative concurrency": (
        ["worker", "-c", "-1"],
        [f"--concurrency: worker.concurrency is -1: {PERMITS}"],
    ),
    "a float for concurrency": (
        ["worker", "-c", "1e9"],
        [f"--concurrency: worker.concurrency is '1e9': {PERMITS}"],
    ),
    "nan for concurrency": (
        ["worker", "-c", "nan"],
        [f"--concurrency: worker.concurrency is 'nan': {PERMITS}"],
    ),
    "no processes": (
        ["worker", "-p", "0"],
        [
            "--processes: worker.processes is 0: write a whole number from 1 to 1000.",
        ],
    ),
    "processes that share no memory": (
        ["--database", "memory://", "worker", "-p", "2"],
        [
            "worker.processes is 2, but a database in memory is one process's own: use 1, or a "
            "file such as sqlite:///celers.db."
        ],
    ),
    "several mistakes": (
        ["worker", "-c", "0", "--log-level", "loud", "--metrics-port", "99999"],
        [
            f"--concurrency: worker.concurrency is 0: {PERMITS}",
            "--metrics-port: metrics.port is 99999: write a whole number from 0 to 65535.",
            "--log-level: log.level is 'loud': write one of debug, info, warning, error.",
        ],
    ),
    "two ways to end": (
        ["worker", "--drain", "--once"],
        ["--drain and --once end a worker at different times: choose one."],
    ),
    # 10: the application
    "a module that is missing": (
        ["worker", "-A", "nosuch:app"],
        ["there is no module 'nosuch' in {here} or among the installed packages."],
    ),
    "a path for a module": (
        ["worker", "-A", "shop/tasks.py"],
        [
            "--app: worker.app is 'shop/tasks.py': a module's name has no '/' and no '.py'; "
            'write module or module:attribute, such as "shop.tasks".'
        ],
    ),
    "a module that raises": (
        ["worker", "-A", "boom"],
        ["the module 'boom' cannot be imported ({here}/boom.py:1): RuntimeError: boom"],
    ),
    "a module without an application": (
        ["worker", "-A", "wrong"],
        [
            "the module 'wrong' should hold one Celers application, but holds none. "
            "Write app = Celers(), or name it: -A wrong:name."
        ],
    ),
    "two handlers of one name": (
        ["worker", "-A", "twice"],
        [
            "two handlers are called 'a': {here}/twice.py:6 and {here}/twice.py:10. "
            'Give one of them another name: @app.task(name="…").'
        ],
    ),
    "no application at all": (
        ["worker"],
        [
            "there is no tasks.py in {here}: name the module of your application with "
            "-A module[:name], CELERS_APP or [worker] app."
        ],
    ),
    # 18: options of a task
    "a priority beyond 32 bits": (
        ["enqueue", "send", "--priority", str(2**40)],
        ["priority is 1099511627776: it must be a whole number of 32 bits; higher runs first."],
    ),
    "a priority in words": (
        ["enqueue", "send", "--priority", "high"],
        [
            "Invalid value for '--priority': 'high' is not a valid integer. "
            "See: celers enqueue --help"
        ],
    ),
    "negative retries": (
        ["enqueue", "send", "--max-retries", "-1"],
        [
            "max_retries is -1: it must lie between 0 and 1000; "
            "a task runs at most once more than that."
        ],
    ),
    "no timeout": (
        ["enqueue", "send", "--timeout", "0"],
        ["timeout is '0': it must be longer than nothing."],
    ),
    "an endless timeout": (
        ["enqueue", "send", "--timeout", "inf"],
        [f"timeout is 'inf': {DURATION}"],
    ),
    "a negative delay": (["enqueue", "send", "--delay", "-5"], [f"delay is '-5': {DURATION}"]),
    "a delay of centuries": (
        ["enqueue", "send", "--delay", "99999999d"],
        ["delay is '99999999d': it must lie between 0 and 100 years."],
    ),
    "no instant": (
        ["enqueue", "send", "--at", "tomorrow"],
        ["--at is 'tomorrow': write an instant such as 2030-01-31T08:00:00Z."],
    ),
    "an instant without a time zone": (
        ["enqueue", "send", "--at", "2030-01-01T00:00"],
        [
            "--at is '2030-01-01T00:00', which has no time zone, so nobody knows which instant "
            "it is: end it with Z or an offset such as +02:00."
        ],
    ),
    "an instant beyond the calendar": (
        ["enqueue", "send", "--at", "9999-12-31T23:00:00-05:00"],
        ["--at is '9999-12-31T23:00:00-05:00': the year is out of range."],
    ),
    "an instant of the last century": (
        ["enqueue", "send", "--at", "1900-01-01T00:00:00Z"],
        ["at is 1900-01-01T00:00:00+00:00: the year must lie between 1970 and 8999."],
    ),
    "an instant and a delay": (
        ["enqueue", "send", "--at", "2030-01-01T00:00Z", "--delay", "5"],
        ["--at and --delay both say when the task is due: choose one."],
    ),
    "an empty unique key": (
        ["enqueue", "send", "--unique-key", ""],
        ["unique_key is '': it must be text, not empty, without blanks at its ends."],
    ),
    "a unique key that is too long": (
        ["enqueue", "send", "--unique-key", "é" * 150],
        ["unique_key takes 300 bytes as UTF-8; at most 255 can be stored."],
    ),
    "an argument without a name": (
        ["enqueue", "send", "ada"],
        ["'ada' is no argument: write KEY=VALUE."],
    ),
    "an argument given twice": (
        ["enqueue", "send", "to=a", "to=b"],
        ["the argument 'to' is given twice."],
    ),
    "arguments that are no object": (
        ["enqueue", "send", "--json", "[1]"],
        ['--json takes one JSON object, such as {"to": "ada"}.'],
    ),
    "arguments that are no JSON": (
        ["enqueue", "send", "--json", '{"to": NaN}'],
        ["--json: the payload is not JSON: JSON is malformed: invalid character (byte 7)"],
    ),
    "bytes that are no text": (
        ["enqueue", "send", "to=\udcff"],
        ["args.to contains the lone surrogate U+DCFF at position 0, which no database can hold."],
    ),
    "a task with a blank": (
        ["enqueue", "send mail"],
        [
            "'send mail' cannot name a task: use 1 to 255 ASCII letters, digits, '_', '-', '.' "
            "and ':', starting with a letter or '_'."
        ],
    ),
    # and the rest
    "an unknown migration": (
        ["migrate", "sql", "--since", "9"],
        [f"there is no migration '9'; there are {', '.join(REVISIONS)}."],
    ),
    "no limit": (
        ["task", "list", "--limit", "0"],
        [
            "Invalid value for '--limit': 0 is not in the range 1<=x<=10000. "
            "See: celers task list --help"
        ],
    ),
    "an age in words": (
        ["dlq", "list", "--older-than", "long"],
        [f"--older-than is 'long': {DURATION}"],
    ),
    "no id": (["task", "show"], ["Missing argument 'ID'. See: celers task show --help"]),
    "nothing to cancel": (
        ["task", "cancel", "--yes"],
        ["which tasks to cancel? Give ids, or filters such as --queue and --error."],
    ),
    "ids and filters": (
        ["task", "cancel", UNKNOWN, "--queue", "x"],
        ["cancel by ids or by filters, not by both."],
    ),
}


@pytest.fixture
def modules(workplace: Path) -> None:
    (workplace / "boom.py").write_text("raise RuntimeError('boom')\n")
    (workplace / "wrong.py").write_text("app = 3\n")
    handler = "\n\n@app.task({})\ndef {}(): ...\n"
    (workplace / "twice.py").write_text(
        "from celers_worker import Celers\n\napp = Celers()\n"
        + handler.format("", "a")
        + handler.format('name="a"', "b")
    )


@pytest.mark.parametrize("case", WRONG_USAGE)
def test_wrong_usage_is_told_in_a_line_each_and_writes_nothing(
    modules: None, workplace: Path, case: str
) -> None:
    arguments, problems = WRONG_USAGE[case]
    answer = celers(*arguments)

    assert errors(answer) == [problem.replace("{here}", str(workplace)) for problem in problems]
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.count("celers: error: ") == len(problems)
    assert "s3cr3t" not in answer.err
