"""When somebody is there, how that is said, and what a colleague is told."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from talkspurt.config import HandoverConfig
from talkspurt.errors import ConfigurationError
from talkspurt.ports import EffectRecord
from talkspurt.server.handover import words
from talkspurt.server.handover.briefing import LONGEST, announce, brief
from talkspurt.server.handover.hours import OpeningHours, time_zone
from talkspurt.server.handover.returning import how_it_went
from talkspurt.server.handover.targets import Targets
from talkspurt.store import Call, Handover
from talkspurt.store.handovers import OPEN, State

NEW_YORK = ZoneInfo("America/New_York")


def at(text: str, zone: ZoneInfo = NEW_YORK) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-25 08:59", False),
        ("2026-11-25 09:00", True),
        ("2026-11-25 16:59", True),
        ("2026-11-25 17:00", False),
        ("2026-11-26 12:00", False),  # closed that day
        ("2026-11-27 23:30", True),  # Friday night, past midnight
        ("2026-11-28 01:59", True),
        ("2026-11-28 02:00", False),
        ("2026-11-29 12:00", False),
    ],
)
def test_hours_are_those_of_the_clock_on_the_wall(moment: str, is_open: bool) -> None:
    lines = ("mon-fri 09:00-17:00", "FRI  22:00-02:00")
    hours = OpeningHours.parse(lines, NEW_YORK, [date(2026, 11, 26)])
    assert hours.is_open(at(moment)) is is_open
    assert hours.is_open(at(moment).astimezone(UTC)) is is_open


def test_nine_is_nine_on_the_day_the_clocks_change() -> None:
    hours = OpeningHours.parse(["sun 09:00-10:00"], NEW_YORK)
    assert hours.is_open(datetime(2026, 11, 1, 14, 0, tzinfo=UTC)), "after the change it is five hours behind"
    assert hours.is_open(datetime(2026, 10, 25, 13, 0, tzinfo=UTC)), "before it, four"
    assert not hours.is_open(datetime(2026, 11, 1, 13, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-25 08:00", "today at 9:30 AM"),
        ("2026-11-25 10:00", "tomorrow at 9:30 AM"),
        ("2026-11-27 18:00", "on Monday at 9:30 AM"),
        ("2026-12-23 18:00", "on January 4 at 9:30 AM"),
    ],
)
def test_the_next_opening_is_found_and_said(now: str, opens: str) -> None:
    holidays = [date(2026, 12, day) for day in range(24, 32)] + [date(2027, 1, day) for day in range(1, 4)]
    hours = OpeningHours.parse(["mon-fri 09:30-17:00"], NEW_YORK, holidays)
    following = hours.opens_next(at(now))
    assert following is not None
    assert words.moment(following, at(now).astimezone(UTC)) == opens


def test_without_hours_it_never_closes_but_on_closed_days() -> None:
    hours = OpeningHours.parse([], NEW_YORK, [date(2026, 12, 25)])
    assert hours.is_open(at("2026-12-24 03:00"))
    assert not hours.is_open(at("2026-12-25 12:00"))
    following = hours.opens_next(at("2026-12-25 12:00"))
    assert following is not None
    assert words.moment(following, at("2026-12-25 12:00")) == "tomorrow at 12 AM"


@pytest.mark.parametrize("line", ["monday 9-5", "mon-fri", "mon 09:00-25:00", "mun 09:00-10:00", "mon 9:00-10:00", ""])
def test_hours_that_cannot_be_read_are_refused_at_start(line: str) -> None:
    config = HandoverConfig.model_validate({"targets": {"billing": {"number": "+12025550123", "hours": [line]}}})
    with pytest.raises(ConfigurationError, match=r"handover\.targets\.billing"):
        Targets.from_config(config, kinds=frozenset({"cold"}))


def test_a_day_may_end_at_midnight() -> None:
    hours = OpeningHours.parse(["mon 18:00-24:00"], NEW_YORK)
    assert hours.is_open(at("2026-11-23 23:59"))
    assert not hours.is_open(at("2026-11-24 00:00"))


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ({"number": "+12025550123", "kind": "warm"}, "twilio.account_sid"),
        ({"number": "+12025550123", "otherwise": "nowhere"}, "no target 'nowhere'"),
        ({"number": "+12025550123", "time_zone": "Mars/Base"}, "not a known time zone"),
    ],
)
def test_targets_that_cannot_work_are_refused_at_start(target: dict[str, str], complaint: str) -> None:
    config = HandoverConfig.model_validate({"targets": {"billing": target}})
    with pytest.raises(ConfigurationError, match=complaint):
        Targets.from_config(config, kinds=frozenset({"cold"}))


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (("front desk", "Front-Desk"), "'front desk' and 'Front-Desk' differ only in how they are written"),
        (("--",), "'--' is no name of a place"),
        (("x" * 65,), "at most 64 characters"),
    ],
)
def test_names_that_could_not_be_told_apart_said_or_stored_are_refused_at_start(
    names: tuple[str, ...], complaint: str
) -> None:
    config = HandoverConfig.model_validate({"targets": dict.fromkeys(names, "+12025550123")})
    with pytest.raises(ConfigurationError, match=complaint):
        Targets.from_config(config, kinds=frozenset({"cold"}))


def test_places_that_send_to_each_other_are_tried_once_each() -> None:
    numbers = {"a": "+12025550123", "b": "+12025550124"}
    config = HandoverConfig.model_validate(
        {"targets": {name: {"number": n, "otherwise": "b" if name == "a" else "a"} for name, n in numbers.items()}}
    )
    targets = Targets.from_config(config, kinds=frozenset({"cold"}))
    assert [target.name for target in targets.chain("a")] == ["a", "b"]
    assert targets.next_open("b", ("b", "a"), at("2026-11-25 12:00")) is None


def test_an_unknown_zone_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="tzdata"):
        time_zone("../etc/passwd")


# ── coming back ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("state", "cause", "phrase", "status"),
    [
        ("failed", "busy", "back_unanswered", "busy"),
        ("failed", "came_back", "back", "came_back"),
        ("failed", None, "back_unanswered", "failed"),
        ("canceled", "vanished", "back_unanswered", "failed"),
        ("canceled", None, "back_unanswered", "failed"),
    ],
)
def test_a_caller_whom_nobody_has_is_taken_back_however_that_came(
    state: State, cause: str | None, phrase: str, status: str
) -> None:
    """Also when it was canceled: restored as it ended, the conversation would let its caller go again at once."""
    returned = how_it_went(replace(handover(), state=state, cause=cause))
    assert returned is not None
    assert (returned.phrase, json.loads(returned.content)["status"]) == (phrase, status)


@pytest.mark.parametrize("state", [*OPEN, "completed"])
def test_a_caller_who_is_put_through_is_not_taken_back(state: State) -> None:
    assert how_it_went(replace(handover(), state=state)) is None
    assert how_it_went(None) is None


# ── the briefing ──────────────────────────────────────────────────────────────────

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def call(caller: str = "+12025550101") -> Call:
    return Call(
        id="c1",
        carrier_call_id="CA1",
        caller=caller,
        dialled="+12025550100",
        agent="retail",
        locale="en-US",
        state="handover",
        end_reason=None,
        handover_target="billing",
        attachment=1,
        fence=1,
        failures=0,
        snapshot=None,
        created_at=NOW,
        answered_at=NOW,
        ended_at=None,
    )


def handover(reason: str = "A bill", account: str | None = "maya", level: int = 1) -> Handover:
    return Handover("h1", "c1", "billing", (), reason, account, level, "ringing", None, 0, 1, None, NOW, NOW, NOW, NOW)


def effect(tool: str, state: str, arguments: str = "{}") -> EffectRecord:
    return EffectRecord(tool, "c1", tool, arguments, state)  # type: ignore[arg-type]


def test_an_unverified_caller_is_said_to_be_one() -> None:
    text = brief(call(""), handover(account="maya", level=0), ()).text
    assert "from a withheld number" in text
    assert "The caller is not verified." in text
    assert "maya" not in text


def test_whatever_picks_up_hears_nothing_that_says_whose_call_it_is() -> None:
    """It may be a machine that records: who it is comes after a key."""
    effects = [
        effect("change_address", "done", '{"street":"12 Elm Street"}'),
        effect("offer_refund", "in_doubt", '{"method":"visa_4821"}'),
    ]
    known = handover(reason="The refund to Visa 4821")
    assert announce(known, effects).text == (
        "Call for billing. The caller is verified by facts that match our records. Done in this call: change address. "
        "Pending: offer refund may or may not have happened: please check."
    )
    whole = brief(call(), known, effects).text
    for private in ("1 2 0 2 5 5 5 0 1 0 1", "maya", "12 Elm Street", "visa 4821", "The refund to Visa 4821"):
        assert private in whole


@pytest.mark.parametrize("level", [1, 0])
def test_what_was_done_for_somebody_else_is_said_to_be(level: int) -> None:
    others = replace(effect("process_return", "done", '{"order_id":"W1"}'), account="daniel_ortega")
    mine = replace(effect("cancel_order", "done", '{"order_id":"W2"}'), account="maya")
    now = handover(level=level)
    whole, announced = brief(call(), now, [others, mine]).text, announce(now, [others, mine]).text
    whose, anothers = ("", "") if level else (", for account maya", ", for another account")
    assert f"process return, for account daniel ortega, order id W1; cancel order{whose}, order id W2." in whole
    assert f"Done in this call: process return, for another account; cancel order{anothers}." in announced


def refusal(tool: str, message: str, arguments: str = "{}", kind: str = "refused") -> EffectRecord:
    result = f'{{"error":{{"kind":"{kind}","message":"{message}"}}}}'
    return replace(effect(tool, "refused", arguments), result=result)


def test_what_is_in_doubt_is_pending() -> None:
    effects = [effect("offer_refund", "in_doubt", '{"order_id":"W1","items":["lamp","desk"]}')]
    text = brief(call(), handover(), effects).text
    assert "offer refund, order id W1, items lamp; desk may or may not have happened: please check" in text
    assert "Nothing is known to have been changed in this call." in text


def test_an_effect_is_told_in_the_words_that_were_read_to_the_caller() -> None:
    """Canonical ids would be read out as numbers of billions."""
    words = (
        "I'll exchange the lamp for the black one, and $5.20 go to your Visa. The order has no. 7. Shall I go ahead?"
    )
    arguments = '{"items":["W2378156/0"],"new_items":["4107812777"]}'
    told = "exchange items, as read to the caller: I'll exchange the lamp for the black one, and $5.20 go to your Visa"
    done = replace(effect("exchange_items", "done", arguments), words=words)
    text = brief(call(), handover(), [done]).text
    assert f"Done in this call: {told}. The order has no. 7." in text
    assert "Shall I" not in text
    assert "4107812777" not in text
    assert "lamp" not in announce(handover(), [done]).text
    text = brief(call(), handover(), [replace(done, state="confirmed")]).text
    assert f"Pending: {told}. The order has no. 7. This was confirmed, and is not done yet." in text
    only = replace(done, words="Shall I cancel it?")
    assert "as read to the caller: Shall I cancel it?" in brief(call(), handover(), [only]).text


def test_what_was_offered_last_is_pending_although_leaving_has_withdrawn_it() -> None:
    effects = [
        effect("cancel_order", "withdrawn", '{"order_id":"W1"}'),
        effect("change_address", "withdrawn"),
        refusal("offer_refund", "Only one change can be confirmed at a time."),
    ]
    text = brief(call(), handover(), effects).text
    assert "Pending: change address was offered, and the caller has not said yes." in text
    assert "cancel" not in text, "that was long ago"
    assert "offered" not in brief(call(), handover(), [*effects, effect("offer_refund", "done")]).text


def test_what_was_refused_or_failed_is_told_with_the_reason() -> None:
    """It is the main reason to be put through."""
    effects = [
        refusal("offer_refund", "Refunds above 500 dollars need a colleague.", '{"order_id":"W1"}'),
        replace(
            effect("change_address", "failed"),
            result='{"error":{"kind":"refused","message":"The order has been sent."}}',
        ),
        effect("cancel_order", "resolved_not_done"),
    ]
    assert brief(call(), handover(), effects).sentences[-1] == (
        "Wanted, and not done: offer refund, order id W1: Refunds above 500 dollars need a colleague; change address: "
        "The order has been sent; cancel order: it is certain by now that it did not happen."
    )
    assert announce(handover(), effects).sentences[-1] == (
        "Wanted, and not done: offer refund; change address; cancel order."
    )


def test_what_has_gone_further_since_is_not_told_as_refused() -> None:
    again = refusal(
        "cancel_order", "The caller has to be verified first.", '{"order_id":"my latest"}', "verification_required"
    )
    effects = [
        again,
        refusal("cancel_order", "Which order do you mean: W1 or W2?"),
        refusal("teleport", "There is no such tool.", kind="unknown_tool"),
        refusal("cancel_order", "That takes too long.", '{"order_id":"#w 1","reason":"other"}'),
        effect("cancel_order", "done", '{"order_id":"W1","reason":"other"}'),
    ]
    assert "Wanted" not in brief(call(), handover(), effects).text
    twice = [refusal("cancel_order", "It has been sent.", f'{{"order_id":"{spelled}"}}') for spelled in ("w2", "W2")]
    assert brief(call(), handover(), [*effects, *twice]).text.count("It has been sent") == 1
    other = [refusal("cancel_order", "It has been sent.", '{"order_id":"W2"}'), effects[-1]]
    assert "cancel order, order id W2: It has been sent." in brief(call(), handover(), other).text


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("executing", "Nothing is known to have been changed in this call."),
        ("in_doubt", "Nothing is known to have been changed in this call."),
        ("confirmed", "Nothing was changed in this call."),
        ("failed", "Nothing was changed in this call."),
        ("resolved_not_done", "Nothing was changed in this call."),
        ("done", "Done in this call: offer refund."),
    ],
)
def test_what_may_have_happened_is_not_said_to_have_not(state: str, said: str) -> None:
    text = brief(call(), handover(), [effect("offer_refund", state)]).text
    assert said in text
    assert text.count("changed in this call") == (0 if state == "done" else 1)


def test_words_of_strangers_are_one_line_of_speech() -> None:
    text = brief(call(), handover(reason="Help!\n\x00</Say><Dial>911</Dial>" + "x" * 5_000), ()).text
    assert "\n" not in text
    assert "\x00" not in text
    assert len(text) < LONGEST
    assert brief(call(), handover(), [effect(f"tool_{n}", "done") for n in range(99)]).text.count("tool") == 5
