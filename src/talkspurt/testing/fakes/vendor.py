"""What every fake vendor has: a line to it that can be cut, and an outage that lasts until it is mended."""

from typing import ClassVar, Final, Self

from talkspurt.testing.fakes.line import Line, LineState
from talkspurt.testing.fakes.script import Fault, Outage

RETRY_AFTER: Final = 2.0
"""Seconds that a vendor with `Outage.RATE_LIMITED` asks to wait."""

REFUSALS: Final = {Outage.RATE_LIMITED: 429, Outage.SERVER_ERROR: 500, Outage.EXPIRED_KEY: 401}
"""The HTTP status that refuses everybody in an outage."""
TOOLS: Final = frozenset({Outage.MALFORMED_TOOL, Outage.UNKNOWN_TOOL})
"""Outages that only language models have."""
DRIP_EVERY: Final = 0.05
"""Seconds between two signs of life of a vendor that says nothing useful."""

_ON_THE_LINE: Final = {
    Outage.REFUSED: LineState.REFUSED,
    Outage.HUNG_CONNECT: LineState.HUNG_CONNECT,
    Outage.HALF_OPEN: LineState.HALF_OPEN,
}
IN_THE_ANSWER: Final = {
    Outage.HUNG: Fault.HANG,
    Outage.HUNG_MID_STREAM: Fault.STALL,
    Outage.DRIP: Fault.DRIP,
    Outage.TRUNCATED: Fault.CUT_SHORT,
    Outage.DROPPED: Fault.BREAK,
    Outage.GARBAGE: Fault.GARBAGE,
    Outage.REPORT: Fault.REPORT,
    Outage.WRONG_TYPE: Fault.WRONG_TYPE,
}
"""Outages that let a request in, and what then becomes of every answer."""


class FakeVendor:
    """A vendor on loopback behind a line. Its subclass serves at `server_address` and looks at `outage`."""

    outages: ClassVar[frozenset[Outage]]
    """What can be wrong with it: all that its transport and format know."""

    def __init__(self) -> None:
        self.outage: Outage | None = None
        self._line = Line(lambda: self.server_address)

    async def suffer(self, outage: Outage) -> None:
        """Let every request fail like this from now on."""
        await self.recover()
        self.outage = outage
        if outage in _ON_THE_LINE:
            await self._line.become(_ON_THE_LINE[outage])

    async def recover(self) -> None:
        """Answer as scripted again."""
        if self.outage in _ON_THE_LINE:
            await self._line.become(LineState.OPEN)
        self.outage = None

    @property
    def address(self) -> str:
        """`127.0.0.1:<port>`, where clients connect."""
        return self._line.address

    @property
    def connections(self) -> int:
        """How many clients have opened so far."""
        return self._line.accepted

    @property
    def server_address(self) -> str:
        """The same where it is served, past the line."""
        raise NotImplementedError

    def past_the_line(self, url: str) -> str:
        """A `url` of this vendor's without the line that can be broken, which costs time: for measurements."""
        return url.replace(self.address, self.server_address)

    async def start(self) -> None:
        """Serve at `server_address`."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Serve no longer."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        await self.start()
        await self._line.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._line.__aexit__(*exception)
        await self.stop()
