"""Hand-overs with every step of theirs, and call-backs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OPEN = sa.text("state IN ('requested', 'waiting', 'ringing', 'briefing', 'accepted', 'connected')")


def upgrade() -> None:
    """Apply this step."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "handovers",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("call_id", sa.String(32), nullable=False),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("tried", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("account", sa.String(128)),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("cause", sa.String(32)),
        sa.Column("line", sa.Integer),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("leg", sa.String(64)),
        sa.Column("requested_at", moment, nullable=False),
        sa.Column("queued_at", moment, nullable=False),
        sa.Column("changed_at", moment, nullable=False),
        sa.Column("seen_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_handovers"),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name="fk_handovers_call_id", ondelete="CASCADE"),
        sa.CheckConstraint(
            "state IN ('requested', 'waiting', 'ringing', 'briefing', 'accepted', 'connected', "
            "'completed', 'failed', 'canceled')",
            name=op.f("ck_handovers_state"),
        ),
    )
    op.create_index("ix_handovers_call_id", "handovers", ["call_id"])
    op.create_index("ix_handovers_target_state", "handovers", ["target", "state"])
    op.create_index(
        "uq_handovers_open", "handovers", ["call_id"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN
    )
    op.create_index("uq_handovers_line", "handovers", ["target", "line"], unique=True)
    op.create_table(
        "handover_steps",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("handover_id", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("detail", sa.String(64), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_handover_steps"),
        sa.ForeignKeyConstraint(
            ["handover_id"], ["handovers.id"], name="fk_handover_steps_handover_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_handover_steps_handover_id", "handover_steps", ["handover_id"])
    op.create_table(
        "callbacks",
        sa.Column("call_id", sa.String(32), nullable=False),
        sa.Column("number", sa.String(64), nullable=False),
        sa.Column("target", sa.String(64)),
        sa.Column("account", sa.String(128)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("requested_at", moment, nullable=False),
        sa.Column("done_at", moment),
        sa.PrimaryKeyConstraint("call_id", name="pk_callbacks"),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name="fk_callbacks_call_id", ondelete="CASCADE"),
    )
    op.create_index("ix_callbacks_done_at", "callbacks", ["done_at"])
