"""Room in the pages of the hot table's primary key on PostgreSQL, for the entry a claim adds.

Ids rise, so pages are written full; without room a claim splits each of them.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade():
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER INDEX celers_tasks_pkey SET (fillfactor = 50)")


def downgrade():
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER INDEX celers_tasks_pkey RESET (fillfactor)")
