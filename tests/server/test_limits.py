"""Who is counted, by which clock, and what counting may cost."""

import asyncio
from pathlib import Path

import pytest

from talkspurt.config import LimitsConfig
from talkspurt.errors import ConfigurationError
from talkspurt.server.door import Door
from talkspurt.server.limits import CARRIERS_FOR, MOST_COUNTED, RateLimits

from .conftest import CALLER, DIALLED, TOKEN, running, settings, status_of, total


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def limits(clock: Clock, requests: str = "2/minute", calls: str = "2/minute") -> RateLimits:
    return RateLimits(LimitsConfig(requests_per_address=requests, calls_per_caller=calls), now=clock)


def test_a_share_comes_back_when_its_window_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    counted = limits(clock)
    # The machine's time is set back by an hour meanwhile.
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert [counted.admit_request("192.0.2.1") for _ in range(3)] == [True, True, False]
    clock.now += 59.9
    assert not counted.admit_request("192.0.2.1")
    clock.now += 0.1
    assert [counted.admit_request("192.0.2.1") for _ in range(3)] == [True, True, False]


def test_what_another_worker_counts_is_part_of_the_share() -> None:
    counted = limits(Clock())
    counted.count("request", "192.0.2.1")
    counted.count("caller", "+12025550101")
    assert [counted.admit_request("192.0.2.1") for _ in range(2)] == [True, False]
    assert [counted.admit_call("+12025550101") for _ in range(2)] == [True, False]


def test_of_more_addresses_than_are_counted_the_first_is_forgotten() -> None:
    counted = limits(Clock(), "1/minute")
    addresses = [f"10.0.{number // 256}.{number % 256}" for number in range(MOST_COUNTED + 1)]
    assert all(counted.admit_request(address) for address in addresses)
    assert not counted.admit_request(addresses[1])
    assert counted.admit_request(addresses[0])


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8::1", "2001:db8:0:0:ffff::9", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("198.51.100.1:4711", "198.51.100.1:4712", False),
    ],
)
def test_a_stranger_is_counted_by_what_he_has_at_least(first: str, second: str, same: bool) -> None:
    counted = limits(Clock(), "1/minute")
    assert counted.admit_request(first)
    assert counted.admit_request(second) is not same
    door = Door([], now=Clock())
    door.shut_out(first)
    assert door.lets_in(second) is not same


@pytest.mark.parametrize(
    ("rate", "seconds"),
    [("1/second", 1), ("1/5minutes", 300), ("1 per hour", 3600), ("1/2 days", 172_800), (" 1 / MINUTE ", 60)],
)
def test_rates_as_they_may_be_written(rate: str, seconds: float) -> None:
    clock = Clock()
    counted = limits(clock, rate)
    assert counted.admit_request("192.0.2.1")
    clock.now += seconds - 0.1
    assert not counted.admit_request("192.0.2.1")
    clock.now += 0.1
    assert counted.admit_request("192.0.2.1")


@pytest.mark.parametrize("rate", ["many", "0/minute", "5/0minutes", "5/fortnight", "5/minute; 100/hour", ""])
def test_what_is_no_rate_is_refused_with_an_example(rate: str) -> None:
    with pytest.raises(ConfigurationError, match=r"limits\.calls_per_caller: .* such as 600/minute"):
        limits(Clock(), calls=rate)


async def test_the_addresses_of_one_household_share_its_share(tmp_path: Path) -> None:
    async with running(settings(tmp_path, limits={"requests_per_address": "2/minute"})) as server:
        statuses = []
        for host in range(3):
            proxied = {"X-Forwarded-For": f"2001:db8::{host}"}
            answer = await server.post("/twilio/voice", {"CallSid": "CA1"}, token="guess", headers=proxied)
            statuses.append(answer.status_code)
        assert statuses == [403, 403, 429]


# ── the carrier ───────────────────────────────────────────────────────────────────

VOICE = {"CallSid": "CA1", "From": CALLER, "To": DIALLED}


async def test_what_the_carrier_signs_neither_counts_nor_shuts_it_out(tmp_path: Path) -> None:
    config = settings(tmp_path, server={"trusted_proxies": []}, limits={"requests_per_address": "3/minute"})
    before = total("talkspurt_connections_dropped_total", reason="shut_out")
    async with running(config) as server:
        for _ in range(10):
            assert (await server.resume()).verbs == ["Hangup"]
            (await server.dial()).drop()
        # Strangers who share its address use up its share, and it is heard all the same.
        statuses = [(await server.post("/twilio/voice", VOICE, token=None)).status_code for _ in range(5)]
        assert statuses == [403, 403, 403, 429, 429]
        assert await status_of(server.dial(token=None)) == 429
        socket, _ = await server.call()
        socket.media(1)
        await socket.echo()
    assert total("talkspurt_connections_dropped_total", reason="shut_out") == before


async def test_where_the_carrier_never_spoke_a_used_up_share_is_used_up_for_all(tmp_path: Path) -> None:
    async with running(settings(tmp_path, limits={"requests_per_address": "2/minute"})) as server:
        stranger = {"X-Forwarded-For": "203.0.113.9"}
        statuses = [
            (await server.post("/twilio/voice", VOICE, token=token, headers=stranger)).status_code
            for token in ("guess", None, TOKEN)
        ]
        assert statuses == [403, 403, 429]


async def test_requests_that_are_still_being_read_count(tmp_path: Path) -> None:
    async with running(settings(tmp_path, limits={"requests_per_address": "2/minute"})) as server:
        slow = []
        for _ in range(2):
            _reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(
                b"POST /twilio/voice HTTP/1.1\r\nHost: x\r\nX-Twilio-Signature: x\r\nContent-Length: 9\r\n\r\n"
            )
            await writer.drain()
            slow.append(writer)
        await asyncio.sleep(0.2)  # they have to be read
        assert (await server.post("/twilio/voice", VOICE)).status_code == 429
        for writer in slow:
            writer.transport.abort()


def test_the_carriers_address_is_known_while_it_speaks_and_some_time_longer() -> None:
    clock = Clock()
    told: list[tuple[str, str]] = []
    counted = RateLimits(
        LimitsConfig(requests_per_address="1/minute"), now=clock, tell=lambda kind, who: told.append((kind, who))
    )

    def carrier_asks() -> bool:
        visit = counted.visit("192.0.2.1", signed=True)
        if visit is not None:
            visit.is_carriers()
        return visit is not None

    for _ in range(5):
        assert carrier_asks()
        clock.now += 0.6 * CARRIERS_FOR
        counted.admit_request("192.0.2.1")
        assert not counted.admit_request("192.0.2.1")
    assert told.count(("carrier", "192.0.2.1")) == 5
    assert told.count(("request", "192.0.2.1")) == 5
    clock.now += CARRIERS_FOR
    counted.admit_request("192.0.2.1")
    assert not carrier_asks()
    counted.count("carrier", "192.0.2.1")
    assert carrier_asks(), "another worker has heard it"


def test_a_wrong_signature_counts_at_the_carriers_address_too() -> None:
    counted = limits(Clock(), "2/minute")
    counted.count("carrier", "192.0.2.1")
    for _ in range(2):
        visit = counted.visit("192.0.2.1", signed=True)
        assert visit is not None
        visit.is_strangers()
    assert not counted.admit_request("192.0.2.1")
