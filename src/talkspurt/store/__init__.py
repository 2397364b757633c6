"""What outlives a call: its row, stream tokens, turns, effects, hand-overs and call-backs.

SQLite (one machine, nothing else to install) or PostgreSQL, by the same code. Nothing here
decides anything about a conversation; each class keeps one kind of record.

Invariants:
* every change of state is one conditional UPDATE, so two processes cannot both make it;
* times are UTC, taken from the store's clock;
* failures come out as `StoreError`, without the values that were being written.
"""

from talkspurt.store.callbacks import Callback, CallbackRecords
from talkspurt.store.calls import Call, CallRecords
from talkspurt.store.effects import EffectRecords, SqlEffectLedger
from talkspurt.store.handovers import Handover, HandoverRecords
from talkspurt.store.store import Store
from talkspurt.store.tokens import Attachment, StreamTokens
from talkspurt.store.turns import Turn, TurnLog

__all__ = [
    "Attachment",
    "Call",
    "CallRecords",
    "Callback",
    "CallbackRecords",
    "EffectRecords",
    "Handover",
    "HandoverRecords",
    "SqlEffectLedger",
    "Store",
    "StreamTokens",
    "Turn",
    "TurnLog",
]
