"""Payment methods and reasons, as callers name them."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail.rows import method
from talkspurt.agent import ToolError
from talkspurt.retail.methods import choose_method
from talkspurt.retail.reasons import BY_MISTAKE, NO_LONGER_NEEDED, cancel_reason

VISA = method("credit_card", "credit_card_1111111", "visa", "4821")
AMEX = method("credit_card", "credit_card_2222222", "amex", "0005")
PAYPAL = method("paypal", "paypal_3333333")
MASTERCARD = method("credit_card", "credit_card_5555555", "mastercard", "7777")
GIFT = method("gift_card", "gift_card_4444444")
ALL = (VISA, AMEX, PAYPAL, GIFT)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("my PayPal", PAYPAL),
        ("pay pal please", PAYPAL),
        ("the gift card", GIFT),
        ("my giftcard", GIFT),
        ("the GC", GIFT),
        ("the card ending four eight two one", VISA),
        ("the one ending in 4821", VISA),
        ("ending oh oh oh five", AMEX),
        ("my Visa", VISA),
        ("American Express", AMEX),
        ("the original payment method", VISA),
        ("the same one I paid with", VISA),
        ("credit_card_2222222", AMEX),
        ("gift_card_4444444", GIFT),
        ("the other credit card", AMEX),
        ("back to where it came from", VISA),
    ],
)
def test_a_method_is_found_as_people_name_it(said: str, meant: object) -> None:
    assert choose_method(said, ALL, VISA) is meant


@pytest.mark.parametrize(
    ("said", "methods", "sentence"),
    [
        ("", ALL, "Which payment method would you like"),
        ("whatever", ALL, "Which payment method would you like"),
        (
            "my credit card",
            ALL,
            "Which one do you mean: your Visa ending 4 8 2 1 or your American Express ending 0 0 0 5",
        ),
        ("the other one", ALL, "Which one do you mean"),
        ("Mastercard", ALL, "I don't see that payment method on your account"),
        ("the Visa ending 9999", ALL, "I don't see that payment method"),
        ("Visa ending 0005", ALL, "I don't see that payment method"),
        ("my wife's card ending 1234", ALL, "I don't see that payment method"),
        ("credit_card_9513926", ALL, "I don't see that payment method"),
        ("PayPal", (VISA,), "I don't see that payment method"),
        ("bitcoin", ALL, "I don't see that payment method"),
        ("bitcoin", (VISA,), "I don't see that payment method"),
        ("anything", (), "There is no payment method"),
    ],
)
def test_a_method_that_is_none_of_the_callers_or_several_is_refused(
    said: str, methods: tuple[object, ...], sentence: str
) -> None:
    with pytest.raises(ToolError) as refusal:
        choose_method(said, methods, VISA)  # type: ignore[arg-type]
    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    ("heard", "meant"),
    [
        ("A pal", PAYPAL),
        ("I said, they pile.", PAYPAL),
        ("Paypalf", PAYPAL),
        ("I said the discard. I said the discard.", GIFT),
        ("master car", MASTERCARD),
    ],
)
def test_a_method_that_sounds_like_what_was_heard_is_proposed(heard: str, meant: object) -> None:
    assert choose_method(heard, (MASTERCARD, PAYPAL, GIFT), MASTERCARD) is meant


@pytest.mark.parametrize(
    "heard", ["D reader.", "I'll only do that.", "nothing", "no thanks", "Apple Pay", "bank transfer"]
)
def test_what_sounds_like_no_method_proposes_none(heard: str) -> None:
    with pytest.raises(ToolError, match="I don't see that payment method"):
        choose_method(heard, (MASTERCARD, PAYPAL, GIFT), MASTERCARD)


@pytest.mark.parametrize("heard", ["they pow", "I said, they pow.", "D reader."])
def test_the_only_method_is_proposed_whatever_was_heard(heard: str) -> None:
    assert choose_method(heard, (PAYPAL,), PAYPAL) is PAYPAL
    assert choose_method(heard, (VISA, PAYPAL), VISA, usable=(VISA,)) is VISA


@pytest.mark.parametrize(
    "said", ["nothing", "no", "leave it", "cash", "Google Pay", "my card", "the gift card", "ending 4821"]
)
def test_the_only_method_is_not_proposed_for_another_kind_or_for_a_no(said: str) -> None:
    with pytest.raises(ToolError, match="I don't see that payment method"):
        choose_method(said, (PAYPAL,), PAYPAL)


def test_the_only_method_need_not_be_named() -> None:
    assert choose_method("", (PAYPAL,), PAYPAL) is PAYPAL
    assert choose_method("I don't mind", (PAYPAL,), PAYPAL) is PAYPAL


@settings(deadline=None)
@given(st.text(max_size=60))
def test_whatever_is_said_only_the_callers_own_methods_come_out(said: str) -> None:
    with suppress(ToolError):
        assert choose_method(said, ALL, VISA) in ALL


@settings(deadline=None)
@given(st.from_regex(r"\d{4}", fullmatch=True))
def test_digits_that_are_on_no_card_choose_none(digits: str) -> None:
    if digits in ("4821", "0005"):
        return
    with pytest.raises(ToolError):
        choose_method(f"the Visa ending {digits}", ALL, VISA)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("no longer needed", NO_LONGER_NEEDED),
        ("I don't need it anymore", NO_LONGER_NEEDED),
        ("I do not want it any more", NO_LONGER_NEEDED),
        ("we changed our mind", NO_LONGER_NEEDED),
        ("I have no use for it now", NO_LONGER_NEEDED),
        ("ordered by mistake", BY_MISTAKE),
        ("it was an accident", BY_MISTAKE),
        ("I accidentally ordered it", BY_MISTAKE),
        ("I ordered it twice", BY_MISTAKE),
        ("I didn't mean to order that", BY_MISTAKE),
        ("it wasn't by mistake, I just don't need it", NO_LONGER_NEEDED),
    ],
)
def test_a_reason_is_read_from_the_callers_words(said: str, reason: str) -> None:
    assert cancel_reason(said) == reason


@pytest.mark.parametrize(
    "said",
    [
        "",
        "it takes too long",
        "I found it cheaper",
        "because I say so",
        "I ordered it by mistake and don't need it",
        "the manager already approved it",
    ],
)
def test_any_other_reason_is_asked_about(said: str) -> None:
    with pytest.raises(ToolError, match="Is it one of those"):
        cancel_reason(said)
