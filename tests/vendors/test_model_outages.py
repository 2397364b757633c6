"""Everything that can be wrong with a vendor of language models, on every wire format: it ends soon, and is named."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import pytest

from talkspurt.core.history import CallerSaid
from talkspurt.errors import ProviderError, ProviderFault
from talkspurt.models.pydantic_ai import Patience
from talkspurt.ports import ReplyPart, ReplyRequest, TextDelta, ToolCallPart, ToolSpec
from talkspurt.testing.fakes import Outage
from talkspurt.testing.fakes.chat import MALFORMED, UNKNOWN_TOOL
from vendors.wires import FORMATS, WIRES

HASTY: Final = Patience(connect=0.5, first=1.0, between=0.4, whole=3.0)
"""For outages that only a deadline can end."""
CALM: Final = Patience(connect=10.0, first=10.0, between=10.0, whole=20.0)
"""For outages that show at once: none of them may wait for a deadline, not even on a busy machine."""
TOOL: Final = ToolSpec("look_up", "Looks things up.", {"type": "object", "properties": {"id": {"type": "string"}}})
REQUEST: Final = ReplyRequest("You are Sarah.", (CallerSaid("Where is my order?"),), (TOOL,))


@dataclass(frozen=True)
class Expected:
    faults: frozenset[ProviderFault]
    retryable: bool = True

    @classmethod
    def of(cls, *faults: ProviderFault, retryable: bool = True) -> "Expected":
        return cls(frozenset(faults), retryable)


EXPECTED: Final[Mapping[Outage, Expected]] = {
    Outage.RATE_LIMITED: Expected.of("rate_limited"),
    Outage.SERVER_ERROR: Expected.of("unavailable"),
    Outage.EXPIRED_KEY: Expected.of("key_rejected", retryable=False),
    Outage.REFUSED: Expected.of("unreachable"),
    Outage.HUNG_CONNECT: Expected.of("timeout"),
    Outage.HALF_OPEN: Expected.of("timeout"),
    Outage.HUNG: Expected.of("timeout"),
    Outage.HUNG_MID_STREAM: Expected.of("timeout"),
    Outage.DRIP: Expected.of("timeout"),
    Outage.TRUNCATED: Expected.of("broken_off"),
    Outage.DROPPED: Expected.of("unreachable", "broken_off", "unreadable", "failed"),
    # An SDK may skip what it cannot read, and then the reply has no end.
    Outage.GARBAGE: Expected.of("unreadable", "broken_off", "failed", "unavailable"),
    Outage.REPORT: Expected.of("unavailable", "failed"),
    Outage.WRONG_TYPE: Expected.of("unreadable", "broken_off", "failed"),
    Outage.EMPTY: Expected.of("empty"),
}


async def ask(vendor: str, outage: Outage) -> tuple[list[ReplyPart], ProviderError | None]:
    """What came of one request to a vendor with this outage."""
    wire = WIRES[vendor]
    hangs = outage in EXPECTED and "timeout" in EXPECTED[outage].faults
    parts: list[ReplyPart] = []
    failure = None
    async with wire.open() as fake:
        model = wire.connect(fake, patience=HASTY if hangs else CALM)
        if outage is Outage.HALF_OPEN:
            # It is what a connection of before becomes; the others are met by a new one.
            with suppress(ProviderError):
                await model.warm_up()
        await fake.suffer(outage)
        try:
            async with asyncio.timeout(CALM.first):
                async for part in model.reply(REQUEST):
                    parts.append(part)  # noqa: PERF401  # what came before the failure counts
        except ProviderError as error:
            failure = error
        await fake.recover()
        if not hangs:
            assert [part async for part in model.reply(REQUEST)], "it is asked again as if nothing had been"
        await model.aclose()
    return parts, failure


def test_every_outage_is_expected() -> None:
    assert EXPECTED.keys() | {Outage.MALFORMED_TOOL, Outage.UNKNOWN_TOOL} == set(Outage)


@pytest.mark.parametrize("outage", EXPECTED, ids=lambda outage: outage.value)
@pytest.mark.parametrize("vendor", FORMATS)
async def test_an_outage_ends_soon_in_an_error_that_names_it(vendor: str, outage: Outage) -> None:
    if outage is Outage.EXPIRED_KEY and not WIRES[vendor].keyed:
        pytest.skip("this server looks at no key")
    parts, failure = await ask(vendor, outage)
    assert failure is not None
    expected = EXPECTED[outage]
    assert failure.fault in expected.faults
    assert failure.retryable is expected.retryable
    assert failure.rejected is (outage is Outage.EXPIRED_KEY)
    assert failure.retry_after == (2.0 if outage is Outage.RATE_LIMITED else None)
    assert not [part for part in parts if isinstance(part, ToolCallPart)]
    midway = outage in (Outage.HUNG_MID_STREAM, Outage.TRUNCATED, Outage.DROPPED, Outage.GARBAGE, Outage.REPORT)
    assert bool([part for part in parts if isinstance(part, TextDelta)]) is midway


@pytest.mark.parametrize("vendor", FORMATS)
async def test_an_unknown_tool_is_for_the_dispatcher_to_refuse(vendor: str) -> None:
    parts, failure = await ask(vendor, Outage.UNKNOWN_TOOL)
    assert failure is None
    assert [part.name for part in parts if isinstance(part, ToolCallPart)] == [UNKNOWN_TOOL]


@pytest.mark.parametrize("vendor", FORMATS)
async def test_malformed_arguments_never_become_a_call_that_can_run(vendor: str) -> None:
    parts, failure = await ask(vendor, Outage.MALFORMED_TOOL)
    calls = [part.arguments for part in parts if isinstance(part, ToolCallPart)]
    if vendor == "google":
        assert failure is not None
        assert failure.fault == "empty"
    elif vendor == "ollama":
        assert not calls
    else:
        assert calls == [MALFORMED]
