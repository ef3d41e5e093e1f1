"""Completion, manual pages and what a bug report needs."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from celers_worker.cli.program import COMMANDS
from celers_worker.version import __version__
from tests.cli.shell import PROGRAM, celers, done, environment, run

on_sqlite = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_asks_us(shell: str) -> None:
    script = done("completion", shell).out
    assert "_CELERS_COMPLETE" in script
    assert "celers" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True, timeout=20)


def test_bash_completes_commands_and_options() -> None:
    def completed(words: str, current: int) -> set[str]:
        asked = environment(
            _CELERS_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(current)
        )
        finished = subprocess.run(
            PROGRAM, env=asked, capture_output=True, text=True, timeout=30, check=True
        )
        return {line.partition(",")[2] for line in finished.stdout.splitlines()}

    assert completed("celers ta", 1) == {"task"}
    assert {"list", "logs", "show"} <= completed("celers task ", 2)
    assert {"--format", "--follow"} <= completed("celers task logs --", 3)
    assert completed("celers completion ", 2) == {"bash", "zsh", "fish"}


def test_an_unknown_shell_is_wrong_usage() -> None:
    assert celers("completion", "tcsh").code == 2


def test_every_command_has_a_manual_page_that_man_can_show(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "man1"
    assert f"pages to {place}" in done("man", str(place)).out
    names = {path.stem for path in place.iterdir()}
    assert {f"celers-{name}" for name in COMMANDS} | {"celers", "celers-task-logs"} <= names
    page = (place / "celers-task-logs.1").read_text()
    for part in (".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", "\\-\\-follow", "celers\\-task"):
        assert part in page
    if shutil.which("man") is None:
        return  # the page is what was to be tested; who has man tests it with man too
    shown = subprocess.run(
        ["man", "-l", str(place / "celers-task-logs.1")],
        env=os.environ | {"MANWIDTH": "100", "LC_ALL": "C.UTF-8", "MANROFFOPT": "-ww"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if "groff" not in shown.stderr and shown.returncode == 0 and shown.stdout:
        assert "--follow" in shown.stdout


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = celers("man", str(tmp_path / "file" / "man1"))
    assert answer.code == 1
    assert "cannot be written" in answer.err


def test_a_bug_report_has_all_it_needs(migrated_url: str) -> None:
    out = done("--version", "--verbose").out
    assert out.startswith(f"celers {__version__} ")
    facts = dict(line.split(None, 1) for line in out.splitlines()[1:])
    assert facts["platform"].strip() == platform.platform()
    for name in ("python", "sqlalchemy", "asyncpg", "psycopg", "textual", "msgspec"):
        assert facts[name].strip()
    assert "CELERS_DATABASE_URL" in facts["environment"]
    product = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MariaDB"}
    assert product[migrated_url.split(":")[0]] in facts["database"]
    assert "secret" not in out, "the password of the MariaDB server"


def test_a_bug_report_can_be_written_without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://shop:hush-hush@127.0.0.1:1/shop"
    monkeypatch.delenv("CELERS_DATABASE_URL", raising=False)
    for arguments in (
        ("--version", "--verbose", "--database", url),
        ("--database", url, "--verbose", "--version"),
    ):
        out = done(*arguments).out
        assert "not reached: " in out
        assert "hush-hush" not in out


def test_a_configuration_that_cannot_be_read_does_not_hinder_it(workplace: Path) -> None:
    (workplace / "celers.toml").write_text("[worker]\nconcurency = 1\n")
    answer = run("--version", "--verbose")
    assert answer.returncode == 0
    assert "cannot be read" in answer.stdout
