"""What a configuration file may be, before anything in it counts."""

from __future__ import annotations

import os

import pytest

from celers_worker.config import load_config
from celers_worker.core.errors import ConfigurationError


def problems_of(directory, *, environment=None):
    with pytest.raises(ConfigurationError) as refusal:
        load_config(environment=environment or {}, directory=directory)
    return list(refusal.value.problems)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"[worker]\nthreads = 1\nthreads = 2", "celers.toml:3: not valid TOML: "),
        (b"[worker]\n\n[worker]", "celers.toml:3: not valid TOML: "),
        (b"[worker]\nthreads = 1\nthreads = 2", "already set above: remove one"),
        (b"[worker]\nthreads =\n", "celers.toml:2: not valid TOML: "),
        (b"\n[worker", "celers.toml:2: not valid TOML: "),
        (b"\nx = '''\n", "celers.toml:2: not valid TOML: "),
        (b"[worker]\nname = '\xff'", "celers.toml:2: not UTF-8: save the file as UTF-8."),
        ("[worker]".encode("utf-16"), "celers.toml:1: not UTF-8"),
        (b"\0", "celers.toml:1: not valid TOML: "),
        (b"x = " + b"[" * 50_000, "nested too deeply"),
        (b"x = " + b"9" * 5_000, "a number or a date is out of range"),
        (b"#" * (1_048_576 + 1), "celers.toml is over 1 MiB"),
    ],
    ids=range(12),
)
def test_a_file_that_is_no_toml_says_where(tmp_path, data, problem):
    (tmp_path / "celers.toml").write_bytes(data)
    [found] = problems_of(tmp_path)
    assert problem in found
    assert len(found) < 200


def test_a_file_of_one_mebibyte_is_read(tmp_path):
    (tmp_path / "celers.toml").write_bytes(b"#" * 1_048_576)
    load_config(environment={}, directory=tmp_path)


def make_directory(path):
    path.mkdir()


def make_fifo(path):
    os.mkfifo(path)


def make_dangling_link(path):
    path.symlink_to("nowhere")


def make_device(path):
    path.symlink_to("/dev/zero")


def make_loop(path):
    path.symlink_to(path)


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (make_directory, "celers.toml is a directory: name a file."),
        (make_fifo, "celers.toml is no regular file: name a file."),
        (make_device, "celers.toml is no regular file: name a file."),
        (make_dangling_link, "celers.toml does not exist."),
        (make_loop, "celers.toml cannot be read: "),
    ],
)
def test_what_is_no_file_is_refused_without_opening_it(tmp_path, make, problem):
    make(tmp_path / "celers.toml")
    found = problems_of(tmp_path, environment={"CELERS_DATABASE_URL_FILE": "celers.toml"})
    assert found[0].startswith(problem)
    assert found[1].startswith(f"CELERS_DATABASE_URL_FILE: {problem}")


@pytest.mark.parametrize(
    ("mode", "url", "refused"),
    [
        (0o644, "postgresql://user:hunter2@host/name", True),
        (0o604, "postgresql://host/name?password=hunter2", True),
        (0o640, "postgresql://user:hunter2@host/name", True),
        (0o660, "mysql://user:hunter2@host/name", True),
        (0o400, "postgresql://user:hunter2@host/name", False),
        (0o620, "postgresql://user:hunter2@host/name", False),
        (0o600, "postgresql://user:hunter2@host/name", False),
        (0o644, "postgresql://user@host/name", False),
        (0o644, "sqlite:///celers.db", False),
    ],
)
def test_a_password_in_a_file_that_everybody_can_read_is_refused(tmp_path, mode, url, refused):
    file = tmp_path / "celers.toml"
    file.write_text(f'[database]\nurl = "{url}"')
    file.chmod(mode)
    if not refused:
        load_config(environment={}, directory=tmp_path)
        return
    [found] = problems_of(tmp_path, environment={"CELERS_DATABASE_URL": "sqlite:///other.db"})
    who = "everybody on this host" if mode & 0o004 else "the group of the file"
    assert found.startswith(f"celers.toml:2: {who} can read the password of database.url: ")
    assert "run `chmod 600 celers.toml`" in found


@pytest.mark.parametrize(
    ("mode", "readers", "refused"),
    [
        (0o640, "group", False),
        (0o644, "group", True),
        (0o644, "everybody", False),
        (0o640, "owner", True),
        (0o640, "nobody", True),
    ],
)
def test_who_else_may_read_a_password_has_to_be_said_in_the_file(tmp_path, mode, readers, refused):
    file = tmp_path / "celers.toml"
    url = "postgresql://user:hunter2@host/name"
    file.write_text(f'[database]\nurl = "{url}"\nfile_readers = "{readers}"\n')
    file.chmod(mode)
    if refused:
        assert "hunter2" not in "".join(problems_of(tmp_path))
    else:
        load_config(environment={}, directory=tmp_path)


def test_a_credential_of_systemd_may_have_any_mode(tmp_path):
    credential = tmp_path / "database_url"
    credential.write_text("postgresql://user:hunter2@host/name")
    credential.chmod(0o444)
    loaded = load_config(environment={"CREDENTIALS_DIRECTORY": str(tmp_path)}, directory=tmp_path)
    assert loaded.config.database.url == "postgresql://user:hunter2@host/name"
