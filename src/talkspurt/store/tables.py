"""The tables, as SQLAlchemy knows them. The migrations must lead to exactly these; a test compares."""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. Refuses one without a zone; comes back in UTC even from SQLite, which keeps no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database, in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time needs its zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """From the database, in UTC."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


usage: Final = Table(
    "usage",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("call_id", String(32), ForeignKey("calls.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("leg", String(16), nullable=False),
    Column("vendor", String(128), nullable=False),
    Column("unit", String(24), nullable=False),
    Column("amount", Float, nullable=False),
)
"""What a call used of whom. A call that several processes held has rows of each."""

calls: Final = Table(
    "calls",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("carrier_call_id", String(64), nullable=False, unique=True),
    Column("caller", String(64), nullable=False),
    Column("dialled", String(64), nullable=False),
    Column("agent", String(64), nullable=False),
    Column("locale", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("end_reason", String(64)),
    Column("handover_target", String(64)),
    # The number of the attachment that owns the call: the fencing number of its writes.
    Column("attachment", Integer, nullable=False),
    # Raised when a process takes the call up: the fencing number of its effects. Attachments come and go within it.
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False),
    Column("snapshot", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("answered_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    CheckConstraint("state IN ('live', 'handover', 'ended')", name="state"),
    Index(None, "created_at"),
)

stream_tokens: Final = Table(
    "stream_tokens",
    metadata,
    # Only a hash: whoever reads the database cannot open a socket.
    Column("hash", String(64), primary_key=True),
    Column("call_id", String(32), ForeignKey("calls.id", ondelete="CASCADE"), nullable=False),
    Column("carrier_call_id", String(64), nullable=False),
    Column("attachment", Integer, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("redeemed_at", UtcDateTime),
    Index(None, "call_id"),
)

turns: Final = Table(
    "turns",
    metadata,
    # Made when the turn happened, so that writing it again after a doubtful commit changes nothing.
    Column("id", String(32), primary_key=True),
    Column("call_id", String(32), ForeignKey("calls.id", ondelete="CASCADE"), nullable=False),
    Column("n", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("content", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("uq_turns_call_id_n", "call_id", "n", unique=True),
)

ONCE: Final = text("state IN ('executing', 'done', 'in_doubt', 'resolved_done')")
"""States of an effect that happened, or may have."""

UNSETTLED: Final = text(
    "state IN ('failed', 'refused', 'expired', 'resolved_not_done') AND key IS NOT NULL AND settled_at IS NULL"
)
"""Effects that were confirmed and not done, and that no person has seen to."""

effects: Final = Table(
    "effects",
    metadata,
    Column("proposal", String(64), primary_key=True),
    Column("call_id", String(32), nullable=False),
    Column("tool", String(128), nullable=False),
    Column("arguments", Text, nullable=False),
    # SHA-256 of tool and arguments: the identity of what is done, short enough for an index.
    Column("fingerprint", String(64), nullable=False),
    Column("account", String(128)),
    Column("subject", String(128), nullable=False, server_default=""),
    Column("words", Text, nullable=False, server_default=""),
    Column("facts", Text, nullable=False, server_default="{}"),
    Column("state", String(20), nullable=False),
    Column("result", Text),
    # Seconds into the call at which the read-back had been heard, and the caller's turn that then said yes.
    Column("heard_at", Float),
    Column("turn", Integer),
    Column("key", String(64)),
    Column("proposed_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("began_at", UtcDateTime),
    # When whoever executes it counts as gone.
    Column("deadline", UtcDateTime),
    # Until when a sweeper is looking it up.
    Column("claimed_until", UtcDateTime),
    # When a person was told that they have to look.
    Column("told_at", UtcDateTime),
    # When a person said that they have seen to it.
    Column("settled_at", UtcDateTime),
    CheckConstraint(
        "state IN ('proposed', 'read_back', 'confirmed', 'executing', 'done', 'failed', 'in_doubt', 'withdrawn', "
        "'refused', 'expired', 'resolved_done', 'resolved_not_done')",
        name="state",
    ),
    # The last line of defence: whatever the code does, one call cannot do one thing twice.
    Index("uq_effects_once", "call_id", "fingerprint", unique=True, sqlite_where=ONCE, postgresql_where=ONCE),
    Index("uq_effects_key", "key", unique=True),
    Index("ix_effects_state", "state"),
    Index("ix_effects_tool_subject", "tool", "subject"),
    Index("ix_effects_unsettled", "changed_at", sqlite_where=UNSETTLED, postgresql_where=UNSETTLED),
)

effect_transitions: Final = Table(
    "effect_transitions",
    metadata,
    # No state is entered twice: the key refuses what the condition of an UPDATE would let through.
    Column("proposal", String(64), ForeignKey("effects.proposal", ondelete="CASCADE"), primary_key=True),
    Column("state", String(20), primary_key=True),
    # The owner of the call that made it; NULL for the sweeper.
    Column("fence", Integer),
    Column("at", UtcDateTime, nullable=False),
)

verification_attempts: Final = Table(
    "verification_attempts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("call_id", String(32), nullable=False),
    Column("number", String(64), nullable=False),
    Column("account", String(128)),
    Column("outcome", String(8), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    CheckConstraint("outcome IN ('open', 'passed', 'failed')", name="outcome"),
    Index(None, "call_id"),
    Index(None, "number", "at"),
    Index(None, "account", "at"),
)

OPEN_HANDOVER: Final = text("state IN ('requested', 'waiting', 'ringing', 'briefing', 'accepted', 'connected')")

handovers: Final = Table(
    "handovers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("call_id", String(32), ForeignKey("calls.id", ondelete="CASCADE"), nullable=False),
    Column("target", String(64), nullable=False),
    # Names of the targets where nobody took the call: a list in JSON, "" for none.
    Column("tried", Text, nullable=False),
    Column("reason", Text, nullable=False),
    # Who the caller was known to be when the hand-over was asked for.
    Column("account", String(128)),
    Column("level", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("cause", String(32)),
    # Which of the target's lines the call holds: from ringing on until it is over.
    Column("line", Integer),
    Column("attempt", Integer, nullable=False),
    Column("leg", String(64)),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("queued_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    CheckConstraint(
        "state IN ('requested', 'waiting', 'ringing', 'briefing', 'accepted', 'connected', "
        "'completed', 'failed', 'canceled')",
        name="state",
    ),
    Index("ix_handovers_call_id", "call_id"),
    Index("ix_handovers_target_state", "target", "state"),
    # A call is handed over to one place at a time.
    Index("uq_handovers_open", "call_id", unique=True, sqlite_where=OPEN_HANDOVER, postgresql_where=OPEN_HANDOVER),
    # Whatever the code does, a target's telephone rings for no more callers than it has lines.
    Index("uq_handovers_line", "target", "line", unique=True),
)

handover_steps: Final = Table(
    "handover_steps",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("handover_id", String(32), ForeignKey("handovers.id", ondelete="CASCADE"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("target", String(64), nullable=False),
    Column("detail", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_handover_steps_handover_id", "handover_id"),
)

callbacks: Final = Table(
    "callbacks",
    metadata,
    # One a call: asking twice is no reason to be called twice.
    Column("call_id", String(32), ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("number", String(64), nullable=False),
    Column("target", String(64)),
    Column("account", String(128)),
    Column("reason", Text, nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("done_at", UtcDateTime),
    Index("ix_callbacks_done_at", "done_at"),
)
