"""What the documents show, runs."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from celers_worker import testing
from celers_worker.config import load_config
from celers_worker.store import make_direct_store
from tests.documents import Document


def blocks(document: str, language: str) -> list[str]:
    return Document(document).blocks(language)


def program(document: str) -> dict[str, Any]:
    """The names that the document's Python defines, all of it as one module."""
    names: dict[str, Any] = {"__name__": "documented"}
    exec(compile("\n".join(blocks(document, "python")), document, "exec"), names)
    return names


async def test_the_transactions_of_the_document_commit_once(tmp_path: Path) -> None:
    names = program("transactions.md")
    app = names["app"]
    app.client.config = config = testing.config(tmp_path)
    with make_direct_store(config.database.url) as direct:
        direct.open()
        direct.run(
            lambda transaction: transaction.connection.execute(
                text("CREATE TABLE payments (order_number integer PRIMARY KEY)")
            )
        )
        task = await names["pay"].enqueue(7)
        run = await testing.drain(app)
        assert run.completed == ["pay", "receipt"]
        assert await task.result() == {"paid": 7}
        await names["refund"].enqueue(7)
        assert (await testing.drain(app)).completed == ["refund", "receipt"]
        left = direct.run(
            lambda transaction: transaction.connection.execute(
                text("SELECT order_number FROM payments")
            ).all()
        )
    assert left == []
    await app.close()


async def test_what_the_document_puts_around_handlers_is_there(tmp_path: Path) -> None:
    names = program("extending.md")
    app = names["app"]
    app.client.config = testing.config(tmp_path)
    found = await names["look_up"].enqueue("a")
    called = await names["call_the_service"].enqueue(3)
    sent = await names["newsletter"].enqueue(recipients=["ada", "grace"])
    await testing.drain(app)
    assert await found.result() == "value of a"
    assert await called.result() == 3
    assert await sent.result() == 2
    assert len(names["timings"]) == 3
    assert await names["look_up"]("b", pool=names["Pool"]()) == "value of b"
    await app.close()


async def test_the_workers_that_the_document_embeds_start_and_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = program("extending.md")
    app = names["app"]
    config = testing.config(tmp_path)
    monkeypatch.setenv("CELERS_DATABASE_URL", config.database.url)
    monkeypatch.chdir(tmp_path)
    await names["serve"]()
    await names["serve_two"]()
    assert app.client.config.worker.queues == ("reports:1", "default")
    await app.close()


@pytest.mark.parametrize("toml", blocks("extending.md", "toml"))
def test_the_settings_of_the_document_are_settings(toml: str, tmp_path: Path) -> None:
    assert tomllib.loads(toml)
    (tmp_path / "celers.toml").write_text(toml)
    assert load_config(environment={}, directory=tmp_path).config.has_backoffs
