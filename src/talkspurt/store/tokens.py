"""Stream tokens: the right to attach one media socket to one call, once, within a minute.

A signed webhook issues a token inside its TwiML; the socket hands it back in `start`. Only a
hash is stored. Redeeming is one conditional UPDATE, so of any number of sockets that show the
same token, in any process, one wins. The database's time says whether the minute is over: webhook and
socket may reach workers whose clocks differ. The same transaction makes the attachment the owner of
the call, conditional too: two tokens issued for the same attachment (a retried webhook) still
lead to one owner.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import func, insert, update

from talkspurt.store.calls import Call
from talkspurt.store.clock import Clock, DatabaseTime
from talkspurt.store.database import Database
from talkspurt.store.tables import calls, stream_tokens

LIFETIME: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Attachment:
    """The right to speak with a call's caller, until a later attachment gets it."""

    call: Call
    number: int


class StreamTokens:
    """The stream_tokens table. All methods raise `StoreError`."""

    def __init__(self, database: Database, clock: Clock, time: DatabaseTime) -> None:
        """`clock` is for the records, `time` decides."""
        self._database = database
        self._clock = clock
        self._time = time

    async def issue(self, call: Call) -> str:
        """A new token for the attachment that follows the one `call` has."""
        token = secrets.token_urlsafe(32)
        async with self._database.write() as connection:
            statement = insert(stream_tokens).values(
                hash=_hash(token),
                call_id=call.id,
                carrier_call_id=call.carrier_call_id,
                attachment=call.attachment + 1,
                expires_at=await self._time.now(connection) + LIFETIME,
            )
            await connection.execute(statement)
        return token

    async def redeem(self, token: str, carrier_call_id: str) -> Attachment | None:
        """Use up a token; None when it is unknown, used, expired, another call's, or its call is not to be attached."""
        async with self._database.write() as connection:
            take_token = (
                update(stream_tokens)
                .where(
                    stream_tokens.c.hash == _hash(token),
                    stream_tokens.c.carrier_call_id == carrier_call_id,
                    stream_tokens.c.redeemed_at.is_(None),
                    stream_tokens.c.expires_at > await self._time.now(connection),
                )
                .values(redeemed_at=self._clock())
                .returning(stream_tokens.c.call_id, stream_tokens.c.attachment)
            )
            taken = (await connection.execute(take_token)).one_or_none()
            if taken is None:
                return None
            take_call = (
                update(calls)
                .where(
                    calls.c.id == taken.call_id,
                    calls.c.state == "live",
                    calls.c.attachment == taken.attachment - 1,
                )
                .values(attachment=taken.attachment, answered_at=func.coalesce(calls.c.answered_at, self._clock()))
                .returning(*calls.c)
            )
            owned = (await connection.execute(take_call)).one_or_none()
        return None if owned is None else Attachment(call=Call(**owned._mapping), number=owned.attachment)


def _hash(token: str) -> str:
    # The token is 256 random bits: a plain hash cannot be guessed backwards.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
