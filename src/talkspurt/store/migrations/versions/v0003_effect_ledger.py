"""Effects with all their states, their transitions, owners of calls, and verification attempts."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
STATES = (
    "state IN ('proposed', 'read_back', 'confirmed', 'executing', 'done', 'failed', 'in_doubt', 'withdrawn', "
    "'refused', 'expired', 'resolved_done', 'resolved_not_done')"
)
STATES_BEFORE = "state IN ('proposed', 'executing', 'done', 'failed', 'withdrawn', 'in_doubt')"
ONCE = sa.text("state IN ('executing', 'done', 'in_doubt', 'resolved_done')")
ONCE_BEFORE = sa.text("state IN ('executing', 'done', 'in_doubt')")


def upgrade() -> None:
    """Apply this step."""
    op.add_column("calls", sa.Column("fence", sa.Integer, nullable=False, server_default="0"))
    op.drop_index("uq_effects_once", "effects")
    with op.batch_alter_table("effects", copy_from=_effects_before(), recreate="auto") as effects:
        if op.get_context().dialect.name != "sqlite":
            # On SQLite the table is made anew from `_effects_before`, which has no check.
            effects.drop_constraint(op.f("ck_effects_state"), type_="check")
        effects.alter_column("state", type_=sa.String(20), existing_type=sa.String(16), existing_nullable=False)
        for column in _added():
            effects.add_column(column)
        effects.create_check_constraint(op.f("ck_effects_state"), STATES)
    op.create_index(
        "uq_effects_once",
        "effects",
        ["call_id", "fingerprint"],
        unique=True,
        sqlite_where=ONCE,
        postgresql_where=ONCE,
    )
    op.create_index("uq_effects_key", "effects", ["key"], unique=True)
    op.create_index("ix_effects_state", "effects", ["state"])
    op.create_index("ix_effects_tool_subject", "effects", ["tool", "subject"])
    op.create_table(
        "effect_transitions",
        sa.Column("proposal", sa.String(64), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("fence", sa.Integer),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("proposal", "state", name="pk_effect_transitions"),
        sa.ForeignKeyConstraint(
            ["proposal"], ["effects.proposal"], name="fk_effect_transitions_proposal", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "verification_attempts",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("call_id", sa.String(32), nullable=False),
        sa.Column("number", sa.String(64), nullable=False),
        sa.Column("account", sa.String(128)),
        sa.Column("outcome", sa.String(8), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_verification_attempts"),
        sa.CheckConstraint("outcome IN ('open', 'passed', 'failed')", name=op.f("ck_verification_attempts_outcome")),
    )
    for columns in (["call_id"], ["number", "at"], ["account", "at"]):
        op.create_index(f"ix_verification_attempts_{'_'.join(columns)}", "verification_attempts", columns)


def downgrade() -> None:
    """Take this step back. Effects in a state that it did not know are in doubt, or withdrawn if they never began."""
    op.drop_table("verification_attempts")
    op.drop_table("effect_transitions")
    for name in ("ix_effects_tool_subject", "ix_effects_state", "uq_effects_key", "uq_effects_once"):
        op.drop_index(name, "effects")
    op.execute("UPDATE effects SET state = 'done' WHERE state = 'resolved_done'")
    op.execute("UPDATE effects SET state = 'failed' WHERE state = 'resolved_not_done'")
    op.execute("UPDATE effects SET state = 'withdrawn' WHERE state IN ('read_back', 'confirmed', 'refused', 'expired')")
    with op.batch_alter_table("effects") as effects:
        effects.drop_constraint(op.f("ck_effects_state"), type_="check")
        for column in _added():
            effects.drop_column(column.name)
        effects.create_check_constraint(op.f("ck_effects_state"), STATES_BEFORE)
    op.create_index(
        "uq_effects_once",
        "effects",
        ["call_id", "fingerprint"],
        unique=True,
        sqlite_where=ONCE_BEFORE,
        postgresql_where=ONCE_BEFORE,
    )
    op.drop_column("calls", "fence")


def _added() -> tuple["sa.Column[object]", ...]:
    return (
        sa.Column("account", sa.String(128)),
        sa.Column("subject", sa.String(128), nullable=False, server_default=""),
        sa.Column("words", sa.Text, nullable=False, server_default=""),
        sa.Column("facts", sa.Text, nullable=False, server_default="{}"),
        sa.Column("heard_at", sa.Float),
        sa.Column("turn", sa.Integer),
        sa.Column("key", sa.String(64)),
        sa.Column("began_at", MOMENT),
        sa.Column("deadline", MOMENT),
        sa.Column("claimed_until", MOMENT),
        sa.Column("told_at", MOMENT),
    )


def _effects_before() -> sa.Table:
    return sa.Table(
        "effects",
        sa.MetaData(),
        sa.Column("proposal", sa.String(64), nullable=False),
        sa.Column("call_id", sa.String(32), nullable=False),
        sa.Column("tool", sa.String(128), nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("proposed_at", MOMENT, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("proposal", name="pk_effects"),
    )
