"""Notes that a caller is to be called back: from a tool of the agent, or from a key that they pressed while waiting."""

import structlog

from talkspurt.store import Callback, Store
from talkspurt.telemetry import metrics

_log = structlog.get_logger(__name__)


async def note_callback(
    store: Store, call_id: str, *, number: str, target: str | None, account: str | None, reason: str
) -> Callback | None:
    """The call-back that the call has now: this one, or the one that it had before, which stays as it is.

    None for a number that was withheld. Raises `StoreError`.
    """
    if not number:
        return None
    if await store.callbacks.note(call_id, number=number, target=target, account=account, reason=reason):
        metrics.CALLBACKS.inc()
        _log.info("callback_noted", call_id=call_id, target=target)
    return await store.callbacks.find(call_id)
