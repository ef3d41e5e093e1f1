from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from celers_worker.config.url import secrets_of
from celers_worker.observe import redaction
from celers_worker.observe.log_output import adopt_foreign_logs, configure_logs
from celers_worker.observe.redaction import hide_secrets_of, redacted

PASSWORD = 'h%C3%BCnd"chen\\7'
URL = f"postgresql://shop:{PASSWORD}@db.example.org/shop?sslpassword=anotherone"


@pytest.fixture(autouse=True)
def knowing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(redaction, "_known", ())
    hide_secrets_of(URL)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:], root.level = handlers, level


def test_the_secrets_of_a_url_are_its_password_and_secret_options() -> None:
    assert secrets_of(URL) == {PASSWORD, "anotherone"}
    assert secrets_of("sqlite:///shop:dir@home/x.db") == set()
    assert secrets_of("postgresql://shop@db/shop") == set()


@pytest.mark.parametrize(
    "text",
    [PASSWORD, 'hünd"chen\\7', json.dumps('hünd"chen\\7'), repr('hünd"chen\\7'), "anotherone"],
)
def test_a_secret_is_hidden_in_every_form(text: str) -> None:
    assert "chen" not in redacted(f"before {text} after")
    assert "anotherone" not in redacted(text)
    assert redacted(f"before {text} after").startswith("before ")


def test_the_password_of_any_url_is_hidden() -> None:
    shown = redacted("cannot reach amqp://guest:unknown-before@mq:5672/x and http://mq:8080/a@b")
    assert shown == "cannot reach amqp://guest:***@mq:5672/x and http://mq:8080/a@b"


def test_what_is_no_secret_stays() -> None:
    text = '{"event": "task ended", "at": "12:30:01", "url": "https://example.org/a?b=c"}'
    assert redacted(text) == text


@pytest.mark.parametrize("style", ["json", "console"])
def test_no_line_holds_a_secret_wherever_it_comes_from(style: str) -> None:
    stream = io.StringIO()
    configure_logs("debug", style, stream)
    adopt_foreign_logs("debug")
    structlog.get_logger().info("connecting", url=URL, nested={"deep": [URL]})
    logging.getLogger("driver").warning("cannot connect with %r", 'hünd"chen\\7')
    try:
        raise ValueError(URL)
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("driver").exception("failed too")
    assert len(stream.getvalue().splitlines()) >= 4
    for secret in ("chen", "anotherone"):
        assert secret not in stream.getvalue()


def test_a_json_line_is_json_still() -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream, worker="mail-1")
    structlog.get_logger().info("connecting", url=URL)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["worker"]) == ("connecting", "mail-1")
