from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celers_worker.config import redact_url
from celers_worker.config.url import SCHEMES, anchored_url, has_password, url_problems


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///celers.db", "sqlite:///celers.db"),
        ("sqlite:////data/a:b@c.db", "sqlite:////data/a:b@c.db"),
        ("postgresql://host/name", "postgresql://host/name"),
        ("postgresql://user@host:5432/name", "postgresql://user@host:5432/name"),
        ("postgresql://user:@host/name", "postgresql://user:@host/name"),
        ("postgresql://u:hunter2@host:5432/name?a=b", "postgresql://u:***@host:5432/name?a=b"),
        ("postgresql+psycopg://u:hunter2@[::1]:5432/n", "postgresql+psycopg://u:***@[::1]:5432/n"),
        ("postgresql://[::1]:5432/n", "postgresql://[::1]:5432/n"),
        ("postgresql:///n?host=/run&password=hunter2", "postgresql:///n?host=/run&password=***"),
        ("mysql://h/n?ssl_passphrase=hunter2&x=1", "mysql://h/n?ssl_passphrase=***&x=1"),
        ("postgresql://u:hunt@er2@host/n", "postgresql://u:***@host/n"),
        ("postgresql://u:hunter/2#?@host/n", "postgresql://u:***@host/n"),
        ("postgresql:///u:hunter2@host/n", "postgresql:///u:***@host/n"),
        ("u:hunter2@host/n", "u:***@host/n"),
        ("postgresql:/u:hunter2@host/n", "postgresql:***@host/n"),
        ("postgresql://u:hunter2", "postgresql://u:***"),
        ("postgresql://u:hunter/2", "postgresql://u:***"),
        ("jdbc:postgresql://h/n?user=u&password=hunter2", "jdbc:***"),
        ("host=h password=hunter2 user=u", "host=h password=*** user=u"),
        ("host=h password='hunt er2' user=u", "host=h password=*** user=u"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    assert redact_url(url) == shown


@given(
    st.sampled_from(SCHEMES[1:]),
    st.text(min_size=1).map(lambda text: f"SECRET{text}SECRET"),
    st.booleans(),
)
def test_no_password_is_shown_encoded_or_not(scheme, password, encoded):
    url = f"{scheme}://user:{quote(password, safe='') if encoded else password}@host:5432/name"
    shown = redact_url(url)
    assert "SECRET" not in shown
    assert shown.endswith("@host:5432/name")
    assert "SECRET" not in " ".join(url_problems(url))


@given(st.text(alphabet=":/@?#[]&=%+ ab1", max_size=40))
def test_any_text_can_be_shown_and_judged(text):
    assert redact_url(redact_url(text)) == redact_url(text)
    list(url_problems(text))
    has_password(text)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///celers.db",
        "sqlite:////data/with a blank/celers.db",
        "postgresql:///name?host=/run/postgresql",
        "postgres://user@host/name",
        "postgresql+asyncpg://user:p%40ss%2Fw%25rd@host:5432/name?ssl=require",
        "postgresql+psycopg://user:a:b@[fe80::1]:1/name",
        "mysql+asyncmy://user@host:65535/name",
        "mariadb+pymysql://user@10.0.0.1/name",
    ],
)
def test_a_proper_url_has_no_problems(url):
    assert list(url_problems(url)) == []


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("sqlite:///a\n", "control character"),
        (" sqlite:///a", "blank at an end"),
        ("celers.db", "has no scheme"),
        ("sqlite:celers.db", "has no scheme"),
        ("user:hunter2@host", "has no scheme"),
        ("sqlite://celers.db", "needs a third slash"),
        ("postgre://h/n", "unknown scheme 'postgre'. Did you mean 'postgres'?"),
        ("PostgreSQL://h/n", "Did you mean 'postgresql'?"),
        ("postgresql+psycopg2://h/n", "Did you mean 'postgresql+psycopg'?"),
        ("sqlite+aiosqlite:///x", "Did you mean 'sqlite'?"),
        ("redis://h", "unknown scheme 'redis'. Use sqlite, "),
        ("postgresql://u:hunt@er2@h/n", "percent-encode"),
        ("postgresql://u:hunter/2@h/n", "percent-encode"),
        ("postgresql://u:hunter#2@h/n", "percent-encode"),
        ("postgresql://u:hunter?2@h/n", "percent-encode"),
        ("postgresql://u:hunter 2@h/n", "percent-encode"),
        ("postgresql://u:hunter%2@h/n", "percent-encode"),
        ("postgresql://u:hunter[2@h/n", "percent-encode"),
        ("postgresql://h:0/n", "no number from 1 to 65535"),
        ("postgresql://h:65536/n", "no number from 1 to 65535"),
        ("postgresql://h:/n", "no number from 1 to 65535"),
        ("postgresql://h:\u0665432/n", "no number from 1 to 65535"),
        ("postgresql://user:hunter2", "form is user:password@host:port"),
        ("postgresql://u@::1:5432/n", "IPv6 address in brackets"),
    ],
)
def test_a_wrong_url_is_refused_with_what_to_write_instead(url, problem):
    problems = " ".join(url_problems(url))
    assert problem in problems
    assert "hunt" not in problems


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:////data/a:b@c.db", False),
        ("postgresql://user@host:5432/name", False),
        ("postgresql://user:@host/name", False),
        ("postgresql://user:hunter2@host/name", True),
        ("postgresql://user:hunt@er2@host/name", True),
        ("mysql://host/name?password=hunter2", True),
    ],
)
def test_a_url_has_a_password_or_not(url, expected):
    assert has_password(url) is expected


def test_a_relative_file_stays_the_same_wherever_the_process_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert anchored_url("sqlite:///celers.db") == f"sqlite:///{tmp_path}/celers.db"
    assert anchored_url("sqlite:///a/b.db?mode=ro") == f"sqlite:///{tmp_path}/a/b.db?mode=ro"
    for url in (
        "sqlite:////var/lib/celers.db",
        "sqlite:///:memory:",
        "sqlite://",
        "memory://test",
        "postgresql://user@host/name",
    ):
        assert anchored_url(url) == url
