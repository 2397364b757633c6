"""What is billed of a request that somebody gave up: nothing, if it never left."""

import asyncio

import pytest

from talkspurt.core.history import CallerSaid
from talkspurt.ports import ReplyRequest
from talkspurt.telemetry.usage import METER, Meter, MeteredModel
from talkspurt.testing.fakes import Fault, ModelReply, Outage
from vendors.wires import WIRES

REQUEST = ReplyRequest("Be Sarah. " * 40, (CallerSaid("Hello?"),), ())
TOLD_BY_HTTP = sorted(WIRES.keys() - {"bedrock"})
"""Bedrock's SDK waits in a thread, which nobody sees connect."""


async def given_up(model: MeteredModel) -> Meter:
    """What a call is billed that asks, and is not interested any more after a while."""
    meter = Meter()
    METER.set(meter)

    async def ask() -> None:
        async for _ in model.reply(REQUEST):
            pass

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0.3)
    asking.cancel()
    await asyncio.wait({asking})
    return meter


@pytest.mark.parametrize("name", TOLD_BY_HTTP)
async def test_a_request_whose_connection_was_never_made_is_not_billed(name: str) -> None:
    wire = WIRES[name]
    async with wire.open() as fake:
        model = MeteredModel(wire.connect(fake), name)
        await fake.suffer(Outage.HUNG_CONNECT)
        assert not (await given_up(model)).used
        await model.aclose()


@pytest.mark.parametrize("name", TOLD_BY_HTTP)
async def test_one_that_left_is_billed_though_nothing_came(name: str) -> None:
    wire = WIRES[name]
    async with wire.open() as fake:
        model = MeteredModel(wire.connect(fake), name)
        fake.script(ModelReply(fault=Fault.HANG))
        used = (await given_up(model)).used
        assert used["model", name, "discarded"] == used["model", name, "input"] > 90
        await model.aclose()
