"""When a person has seen to an effect, and which of those that were confirmed and not done nobody has."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UNSETTLED = sa.text(
    "state IN ('failed', 'refused', 'expired', 'resolved_not_done') AND key IS NOT NULL AND settled_at IS NULL"
)


def upgrade() -> None:
    """Apply this step."""
    op.add_column("effects", sa.Column("settled_at", sa.DateTime(timezone=True)))
    op.create_index(
        "ix_effects_unsettled", "effects", ["changed_at"], sqlite_where=UNSETTLED, postgresql_where=UNSETTLED
    )


def downgrade() -> None:
    """Take this step back."""
    op.drop_index("ix_effects_unsettled", "effects")
    op.drop_column("effects", "settled_at")
