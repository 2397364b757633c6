"""What workers and inference processes say to each other over a Unix socket.

A message is its length (4 bytes, big-endian) and MessagePack of one of the structs below. Requests go to the process,
answers to the worker; `piece` ties them together and is the worker's own number. A piece ends with `Transcribed`,
`Judged`, `Ended` or `Failed`. `Transcribed`, `Judged` and `Spoken` say how long it was in the queue and at work.

Flow control: of speech the process makes `CREDIT` chunks ahead of what the worker has taken; each `More` allows one
more. Both sides are of one installation, so there are no versions.
"""

import asyncio
from typing import Any, Final

import msgspec

from talkspurt.errors import ProtocolError

CREDIT: Final = 4
"""Chunks of speech on their way: five seconds at most, 80 kB."""
LONGEST: Final = 4_000_000
"""Bytes of a message. Half a minute of audio has 480 kB."""
_LENGTH: Final = 4


class _Message(msgspec.Struct, tag=True, array_like=True, gc=False):
    pass


# ── requests ──────────────────────────────────────────────────────────────────────


class WarmUp(_Message):
    """Load the models of a kind and run them once."""

    piece: int
    kind: str


class Transcribe(_Message):
    """Tell the words in PCM16 at the line's rate."""

    piece: int
    call: str
    due: float
    expires: float
    pcm: bytes


class Judge(_Message):
    """Tell whether a voice has finished."""

    piece: int
    call: str
    due: float
    expires: float
    pcm: bytes


class Synthesize(_Message):
    """Speak."""

    piece: int
    call: str
    due: float
    expires: float
    ahead: bool
    text: str
    voice: str
    pace: float


class Want(_Message):
    """What was made ahead is waited for now."""

    piece: int


class More(_Message):
    """The worker has taken a chunk."""

    piece: int


class Cancel(_Message):
    """Nobody wants it any more. It is not answered."""

    piece: int


class Ping(_Message):
    """Are you alive?"""


Request = WarmUp | Transcribe | Judge | Synthesize | Want | More | Cancel | Ping


# ── answers ───────────────────────────────────────────────────────────────────────


class Transcribed(_Message):
    """The words."""

    piece: int
    queued: float
    ran: float
    text: str


class Judged(_Message):
    """The probability that the voice has finished."""

    piece: int
    queued: float
    ran: float
    score: float


class Spoken(_Message):
    """The next chunk of speech; the times are those of all pieces since the one before."""

    piece: int
    queued: float
    ran: float
    pcm: bytes
    words: tuple[tuple[str, float], ...]


class Ended(_Message):
    """Speech is complete, or models are warm."""

    piece: int


class Failed(_Message):
    """It went wrong. `code` is the error's, `reason` why it was refused, or ""."""

    piece: int
    code: str
    message: str
    reason: str
    retryable: bool


class Pong(_Message):
    """Alive."""


PieceAnswer = Transcribed | Judged | Spoken | Ended | Failed
Answer = PieceAnswer | Pong

REQUESTS: Final = msgspec.msgpack.Decoder(Request)
ANSWERS: Final = msgspec.msgpack.Decoder(Answer)
_ENCODER: Final = msgspec.msgpack.Encoder()


def framed(message: Request | Answer) -> bytes:
    """A message as it goes over the socket."""
    body = _ENCODER.encode(message)
    return len(body).to_bytes(_LENGTH, "big") + body


async def read_message(reader: asyncio.StreamReader, decoder: msgspec.msgpack.Decoder[Any]) -> Any:
    """The next message. Raises `ProtocolError` for what is none, and `asyncio.IncompleteReadError` at the end."""
    length = int.from_bytes(await reader.readexactly(_LENGTH), "big")
    if length > LONGEST:
        raise ProtocolError("inference_too_long", f"{length} bytes")
    try:
        return decoder.decode(await reader.readexactly(length))
    except msgspec.MsgspecError as error:
        raise ProtocolError("inference_garbage", str(error)) from None
