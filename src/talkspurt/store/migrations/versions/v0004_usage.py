"""What calls used of their providers."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this step."""
    op.create_table(
        "usage",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("call_id", sa.String(32), nullable=False),
        sa.Column("leg", sa.String(16), nullable=False),
        sa.Column("vendor", sa.String(128), nullable=False),
        sa.Column("unit", sa.String(24), nullable=False),
        sa.Column("amount", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_usage"),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name="fk_usage_call_id", ondelete="CASCADE"),
    )
    op.create_index("ix_usage_call_id", "usage", ["call_id"])


def downgrade() -> None:
    """Take this step back."""
    op.drop_table("usage")
