"""Calls, stream tokens, turns and effects."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ONCE = sa.text("state IN ('executing', 'done', 'in_doubt')")


def upgrade() -> None:
    """Apply this step."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "calls",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("carrier_call_id", sa.String(64), nullable=False),
        sa.Column("caller", sa.String(64), nullable=False),
        sa.Column("dialled", sa.String(64), nullable=False),
        sa.Column("agent", sa.String(64), nullable=False),
        sa.Column("locale", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("end_reason", sa.String(64)),
        sa.Column("handover_target", sa.String(64)),
        sa.Column("attachment", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("snapshot", sa.Text),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("answered_at", moment),
        sa.Column("ended_at", moment),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
        sa.UniqueConstraint("carrier_call_id", name="uq_calls_carrier_call_id"),
        sa.CheckConstraint("state IN ('live', 'handover', 'ended')", name=op.f("ck_calls_state")),
    )
    op.create_index("ix_calls_created_at", "calls", ["created_at"])
    op.create_table(
        "stream_tokens",
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("call_id", sa.String(32), nullable=False),
        sa.Column("carrier_call_id", sa.String(64), nullable=False),
        sa.Column("attachment", sa.Integer, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("redeemed_at", moment),
        sa.PrimaryKeyConstraint("hash", name="pk_stream_tokens"),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name="fk_stream_tokens_call_id", ondelete="CASCADE"),
    )
    op.create_index("ix_stream_tokens_call_id", "stream_tokens", ["call_id"])
    op.create_table(
        "turns",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("call_id", sa.String(32), nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_turns"),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name="fk_turns_call_id", ondelete="CASCADE"),
    )
    op.create_index("uq_turns_call_id_n", "turns", ["call_id", "n"], unique=True)
    op.create_table(
        "effects",
        sa.Column("proposal", sa.String(64), nullable=False),
        sa.Column("call_id", sa.String(32), nullable=False),
        sa.Column("tool", sa.String(128), nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("proposed_at", moment, nullable=False),
        sa.Column("changed_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("proposal", name="pk_effects"),
        sa.CheckConstraint(
            "state IN ('proposed', 'executing', 'done', 'failed', 'withdrawn', 'in_doubt')",
            name=op.f("ck_effects_state"),
        ),
    )
    op.create_index(
        "uq_effects_once",
        "effects",
        ["call_id", "fingerprint"],
        unique=True,
        sqlite_where=ONCE,
        postgresql_where=ONCE,
    )


def downgrade() -> None:
    """Take this step back."""
    for table in ("effects", "turns", "stream_tokens", "calls"):
        op.drop_table(table)
