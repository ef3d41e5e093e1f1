"""The suspect that a worker runs alone: what had not begun did not kill it."""

import sqlalchemy as sa

from celers_worker.store.migrate import add_columns, drop_columns
from celers_worker.store.types import Id

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade():
    add_columns(
        "celers_workers",
        sa.Column("suspect_id", Id()),
        sa.Column("suspect_lease", sa.BigInteger),
    )


def downgrade():
    drop_columns("celers_workers", "suspect_id", "suspect_lease")
