"""Arrays in binds as rows, for PostgreSQL's statements about many tasks at once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ARRAY, TIMESTAMP, bindparam, func

INSTANT = TIMESTAMP(timezone=True)


def rows(alias: str, **columns: tuple[str, Any]) -> Any:
    """``unnest($1, $2) AS alias(name, name)``; *columns* give each name its bind and its type."""
    arrays = [bindparam(bind, type_=ARRAY(kind)) for bind, kind in columns.values()]
    return func.unnest(*arrays).table_valued(*columns).render_derived(name=alias)
