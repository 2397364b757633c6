"""A policy judges facts, refuses what it is not told, and says why in words that can be spoken."""

from datetime import UTC, datetime

import pytest

from talkspurt.agent import Agent, Policy, ReadBack, tool
from talkspurt.errors import ConfigurationError

POLICY = """
timezone = "America/New_York"

[tools.cancel_order]
statuses = ["pending"]
facts = {reason = ["no longer needed", "ordered by mistake"]}
max_facts = {days = 30}
rate = "2/call"
reasons.status = "Only a pending order can be cancelled."

[[tools.refund]]
level = 1
max_amount_cents = 10_000
reasons = {amount = "Over a hundred dollars I need a code first.", level = "Verify first."}
[[tools.refund]]
level = 2
max_amount_cents = 100_000

[tools.call_back]
hours = "Mon-Fri 08:00-20:00, Sat 10:00-24:00"
"""
NOON = datetime(2026, 6, 3, 16, 0, tzinfo=UTC)
"""A Wednesday, 12:00 in New York."""
ALLOWED = ReadBack("", status="pending", facts={"reason": "no longer needed", "days": 30})


@pytest.fixture
def policy() -> Policy:
    return Policy.parse(POLICY)


def refused(policy: Policy, name: str, read_back: ReadBack | None = None, level: int = 1, now: datetime = NOON) -> str:
    refusal = policy.refusal(name, level=level, now=now, read_back=read_back)
    return "" if refusal is None else f"{refusal.ground}: {refusal.reason}"


def test_what_keeps_all_rules_is_allowed(policy: Policy) -> None:
    assert not refused(policy, "cancel_order", ALLOWED)
    assert not refused(policy, "anything_else", ReadBack("", 10**9))


@pytest.mark.parametrize(
    ("read_back", "reason"),
    [
        (ReadBack("", status="shipped", facts=ALLOWED.facts), "status: Only a pending order can be cancelled."),
        (ReadBack("", status="", facts=ALLOWED.facts), "status: Only"),
        (ReadBack("", status="pending", facts={"reason": "bored", "days": 1}), "facts: "),
        (ReadBack("", status="pending", facts={"days": 1}), "facts: "),
        (ReadBack("", status="pending", facts={"reason": "no longer needed", "days": 31}), "facts: "),
        (ReadBack("", status="pending", facts={"reason": "no longer needed", "days": "1"}), "facts: "),
        (ReadBack("", status="pending", facts={"reason": "no longer needed"}), "facts: "),
    ],
)
def test_what_breaks_a_rule_or_is_not_told_is_refused(policy: Policy, read_back: ReadBack, reason: str) -> None:
    assert refused(policy, "cancel_order", read_back).startswith(reason)


@pytest.mark.parametrize(
    ("level", "cents", "reason"),
    [
        (0, 1, "level: Verify first."),
        (1, 10_000, ""),
        (1, 10_001, "amount: Over a hundred dollars I need a code first."),
        (1, -10_001, "amount: Over a hundred dollars I need a code first."),
        (2, 100_000, ""),
        (2, 100_001, "amount: The amount is more than I'm allowed to handle."),
        (1, 0, ""),
        (1, None, "amount: Over a hundred dollars I need a code first."),
        (2, None, "amount: The amount is more than I'm allowed to handle."),
    ],
)
def test_one_rule_that_allows_is_enough_and_the_best_refusal_is_told(
    policy: Policy, level: int, cents: int | None, reason: str
) -> None:
    assert refused(policy, "refund", ReadBack("", cents), level=level) == reason


@pytest.mark.parametrize(
    ("now", "open_"),
    [
        (datetime(2026, 6, 3, 12, 0, tzinfo=UTC), True),  # Wednesday 08:00 in New York
        (datetime(2026, 6, 3, 11, 59, tzinfo=UTC), False),
        (datetime(2026, 6, 4, 0, 0, tzinfo=UTC), False),  # Wednesday 20:00
        (datetime(2026, 6, 6, 13, 0, tzinfo=UTC), False),  # Saturday 09:00
        (datetime(2026, 6, 7, 3, 59, tzinfo=UTC), True),  # Saturday 23:59
        (datetime(2026, 6, 7, 16, 0, tzinfo=UTC), False),  # Sunday
    ],
)
def test_hours_are_local(policy: Policy, now: datetime, open_: bool) -> None:
    assert (refused(policy, "call_back", now=now) == "") is open_


def test_rates_are_read(policy: Policy) -> None:
    assert [(rate.count, rate.per) for rate in policy.rates("cancel_order")] == [(2, "call")]
    assert policy.rates("refund") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tools", "not valid TOML"),
        ("[tools.refund]\n[mcp_tools.refund]", "refund: in tools or in mcp_tools, not in both"),
        ('timezone = "Mars"\n[tools]', "timezone 'Mars' is not known"),
        ("[tools.refund]\nmax_amount = 1", "tools.refund.0.max_amount: Extra inputs"),
        ("[tools.refund]\nlevel = 3", "less than or equal to 2"),
        ('[tools.refund]\nhours = "all day"', 'must be like "08:00-20:00"'),
        ('[tools.refund]\nhours = "20:00-08:00"', 'must be like "08:00-20:00"'),
        ('[tools.refund]\nhours = "Fri-Mon 08:00-09:00"', 'must be like "08:00-20:00"'),
        ('[tools.refund]\nhours = "08:00+05:00-20:00"', 'must be like "08:00-20:00"'),
        ('[tools.refund]\nhours = "08:00:30-20:00"', 'must be like "08:00-20:00"'),
        ('[tools.refund]\nhours = ""', 'must be like "08:00-20:00"'),
        ("[tools.refund]\nhours = []", 'must be like "08:00-20:00"'),
        ('[tools.refund]\nrate = ""', "must be a text such as"),
        ("[tools]\nrefund = []", "tools.refund: .*states no rule"),
        ("[mcp_tools]\nrefund = []", "mcp_tools.refund: .*states no rule"),
        ('[tools.refund]\nrate = "often"', "rate 'often' is not a number per call"),
        ("[tools.refund]\nrate = 3", "must be a text such as"),
        ('[tools.refund]\nreasons = {mood = "No."}', "tools.refund.0.reasons.mood"),
    ],
)
def test_a_mistake_says_where_it_is(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Policy.parse(text)


def test_rules_for_an_unknown_tool_stop_the_start() -> None:
    @tool
    async def cancel_order() -> None:
        """Cancel."""

    with pytest.raises(ConfigurationError, match=r"rules for 'cancel_orders'.*did you mean 'cancel_order'"):
        Agent("a", "p", "g", tools=[cancel_order], policy=Policy.parse("[tools.cancel_orders]"))
