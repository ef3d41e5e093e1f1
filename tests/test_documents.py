"""The pages of docs/ are true: what they show runs as it stands, and their links lead on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.documents import DOCS, Document, Shell
from tests.poolers import PgBouncer
from tests.servers import Server

TASKS = """\
from celers_worker import Celers

app = Celers()


@app.task(queue="emails")
async def send_welcome(to: str) -> str:
    return f"sent to {to}"
"""
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
#: Pages that are walked through from the top to the end, with the database that they are about.
WALKS = {
    "quickstart.md": "postgres",
    "concepts.md": "sqlite",
    "configuration.md": "sqlite",
    "deployment/failover.md": "sqlite",
    "deployment/mysql.md": "mysql",
    "deployment/pgbouncer.md": "pgbouncer",
    "operations/runbook.md": "sqlite",
    "operations/watching.md": "sqlite",
    "troubleshooting.md": "sqlite",
    "upgrading.md": "sqlite",
}
#: Pages whose blocks tests of their own run.
ELSEWHERE = {"operations/backup.md"}
SERVERS = {
    "postgres": "postgres_server",
    "mysql": "mariadb_server",
    "pgbouncer": "postgres_server",
}


@pytest.fixture
def variables(request: pytest.FixtureRequest, database: str) -> Iterator[dict[str, str]]:
    """What a walk finds in its environment."""
    if database == "sqlite":
        yield {}
        return
    server: Server = request.getfixturevalue(SERVERS[database])
    server.start()  # the test before may have killed it
    name = f"celers_{uuid4().hex}"
    url = server.create_database(name)
    if database == "pgbouncer":
        with PgBouncer(server) as pooler:
            yield {"CELERS_DATABASE_URL": pooler.url_of(url)}
    else:
        yield {"DATABASE_URL": url}
    server.start()
    server.drop_database(name)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("page", "database"), WALKS.items())
def test_who_follows_a_page_gets_to_its_end(
    page: str, variables: dict[str, str], tmp_path: Path
) -> None:
    shell = Shell(tmp_path, **variables)
    (tmp_path / "tasks.py").write_text(TASKS)
    ran = 0
    for block in Document(page).marked:
        if block.kind == "file":
            (tmp_path / block.name).write_text(block.text)
        elif block.kind == "run":
            shell.succeed(block.name, block.text)
            ran += 1
        elif block.kind == "fails":
            ended = shell.execute(block.text)
            assert ended.returncode not in (0, 127), block.name
            assert "Traceback" not in ended.stderr
            ran += 1
    assert ran


@pytest.mark.parametrize("page", [*WALKS, *ELSEWHERE])
def test_every_command_of_a_page_is_run_or_says_why_not(page: str) -> None:
    document = Document(page)
    marked = {block.text for block in document.marked}
    for language in ("bash", "console", "sh"):
        assert [text for text in document.blocks(language) if text not in marked] == []


def test_every_page_with_such_blocks_is_known_here() -> None:
    with_blocks = {page for page in PAGES if "<!-- run: " in Document(page).text}
    assert with_blocks == {*WALKS, *ELSEWHERE}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    place = (DOCS / page).parent
    assert [link for link in Document(page).links if not (place / link).exists()] == []


def test_every_page_is_in_the_index() -> None:
    assert sorted({*Document("index.md").links, "index.md"} - {"../README.md"}) == PAGES
