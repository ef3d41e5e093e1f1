"""Workers that do not own the tables: what only an owner can do, a function does for them.

On MySQL `celers_enqueue` is made again, for a right to it must be none to change tasks.
"""

import sqlalchemy as sa
from alembic import op

from celers_worker.store import enqueue_function
from celers_worker.store.postgres import partitions

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade():
    match op.get_context().dialect.name:
        case "postgresql":
            op.execute(sa.text(partitions.CREATE_FUNCTION))
            op.execute(partitions.in_this_schema(partitions.SIGNATURE))
            op.execute(partitions.CLOSE_FUNCTION)
        case "mysql" | "mariadb":
            enqueue_function.create(op.get_context())


def downgrade():
    if op.get_context().dialect.name == "postgresql":
        op.execute(partitions.DROP_FUNCTION)
