"""celers_enqueue made anew: windows, replacing, debounce and tags for producers by SQL."""

from alembic import op

from celers_worker.store import enqueue_function

revision = "0010"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade():
    enqueue_function.create(op.get_context())


def downgrade():
    """The older one is not kept; a newer one serves its callers too."""
