"""Who is counted, by which clock, and what counting may cost."""

from pathlib import Path

import pytest

from talkspurt.config import LimitsConfig
from talkspurt.errors import ConfigurationError
from talkspurt.server.door import Door
from talkspurt.server.limits import MOST_COUNTED, RateLimits

from .conftest import running, settings


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
