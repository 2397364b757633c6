"""A caller asks the real agent for a person: real server, models and socket, and REST by Twilio's own SDK."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from e2e.e2e_server import Server, running_server
from talkspurt.simulate.caller import run_script
from talkspurt.simulate.exchange import Colleague, ExchangeDouble
from talkspurt.simulate.lines import Say, Wait

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="session")]
TOKEN = "e2e-auth-token"
BILLING = "+12025550123"
CONFIGURATION = """
[twilio]
account_sid = "{account_sid}"
auth_token = "{token}"
api_url = "{api_url}"

{more}
[handover.targets.billing]
number = "{billing}"
kind = "warm"
"""


@pytest.fixture(scope="session")
async def exchange() -> AsyncIterator[ExchangeDouble]:
    async with ExchangeDouble(auth_token=TOKEN) as double:
        yield double


@pytest.fixture(scope="session")
async def with_people(tmp_path_factory: pytest.TempPathFactory, exchange: ExchangeDouble) -> AsyncIterator[Server]:
    folder: Path = tmp_path_factory.mktemp("handover")
    configuration = CONFIGURATION.format(
        account_sid=exchange.account_sid, token=TOKEN, api_url=exchange.api_url, billing=BILLING, more=""
    )
    async with running_server(folder, configuration=configuration) as server:
        exchange.serve(server.url)
        yield server


async def test_a_colleague_takes_the_call_after_a_briefing(with_people: Server, exchange: ExchangeDouble) -> None:
    exchange.hire(BILLING, Colleague(keys=("2", "1")))
    report = await run_script(
        with_people.url,
        [Say("Let me talk to a real person, please."), Wait(30)],
        exchange=exchange,
        auth_token=TOKEN,
        from_number="+14155550177",
    )
    assert report.recording.of("joined"), report.recording.events
    assert "from 1 4 1 5 5 5 5 0 1 7 7" in exchange.of(BILLING, "hears Call")[-1]
    rows = with_people.store("SELECT end_reason FROM calls WHERE caller = '+14155550177'")
    assert rows == [("handover",)]


async def test_a_caller_whose_agent_has_no_model_left_gets_a_person(tmp_path: Path) -> None:
    tests = os.pathsep.join(filter(None, [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH")]))
    async with ExchangeDouble(auth_token=TOKEN) as exchange:
        exchange.hire(BILLING, Colleague())
        configuration = CONFIGURATION.format(
            account_sid=exchange.account_sid,
            token=TOKEN,
            api_url=exchange.api_url,
            billing=BILLING,
            more='[model]\nname = "custom:e2e.broken_model:create"\n',
        )
        async with running_server(tmp_path, configuration=configuration, PYTHONPATH=tests) as server:
            exchange.serve(server.url)
            report = await run_script(
                server.url,
                [Say("Where is my order?"), Say("I said, where is my order?"), Say("My order, please."), Wait(30)],
                exchange=exchange,
                auth_token=TOKEN,
                from_number="+14155550178",
            )
            assert report.recording.of("joined"), report.recording.events
            assert server.store("SELECT end_reason FROM calls WHERE caller = '+14155550178'") == [("handover",)]
