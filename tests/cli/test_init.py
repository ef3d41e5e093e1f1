from pathlib import Path

from celers_worker.config import example_config
from tests.cli.shell import celers, done, errors


def test_it_writes_a_configuration_and_an_application_that_work(workplace: Path) -> None:
    answer = done("init")

    assert (workplace / "celers.toml").read_text() == example_config()
    commands = [line.split() for line in answer.lines if line.startswith("  celers ")]
    assert [command[1] for command in commands] == ["enqueue", "worker", "task"]
    assert done("check").code == 0
    done(*commands[0][1:])
    assert done("task", "list", "--format", "json").json[0]["name"] == "greet"


def test_it_overwrites_nothing_unless_forced(workplace: Path) -> None:
    (workplace / "celers.toml").write_text("[worker]\n")
    (workplace / "tasks.py").write_text("mine = 1\n")

    answer = celers("init")
    assert answer.code == 2
    assert errors(answer) == ["celers.toml exists and is left as it is: overwrite it with --force."]
    assert (workplace / "celers.toml").read_text() == "[worker]\n"

    done("init", "--force")
    assert (workplace / "celers.toml").read_text() == example_config()
    assert (workplace / "tasks.py").read_text() == "mine = 1\n"
