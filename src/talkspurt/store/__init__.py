"""What outlives a call: its row, stream tokens, turns and effects.

SQLite (one machine, nothing else to install) or PostgreSQL, by the same code. Nothing here
decides anything about a conversation; each class keeps one kind of record.

Invariants:
* every change of state is one conditional UPDATE, so two processes cannot both make it;
* times are UTC, taken from the store's clock;
* failures come out as `StoreError`, without the values that were being written.
"""

from talkspurt.store.calls import Call, CallRecords
from talkspurt.store.effects import SqlEffectLedger
from talkspurt.store.store import Store
from talkspurt.store.tokens import Attachment, StreamTokens
from talkspurt.store.turns import Turn, TurnLog

__all__ = ["Attachment", "Call", "CallRecords", "SqlEffectLedger", "Store", "StreamTokens", "Turn", "TurnLog"]
