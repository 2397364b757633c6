"""What callers hear before they agree: everything that will be done, in words they can keep in mind."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkspurt.agent import ToolError
from talkspurt.retail import read_backs
from talkspurt.retail.addresses import Place
from talkspurt.retail.changes import PaymentPlan, Swap, SwapPlan
from talkspurt.retail.claims import CancelPlan, MoneyBack, RefundPlan, ReturnPlan
from talkspurt.retail.schema import Order, OrderItem, PaymentMethod, Status, User, Variant
from talkspurt.retail.words import spoken_amount


def method(kind: str = "credit_card", brand: str | None = "visa", last_four: str | None = "1234") -> PaymentMethod:
    return PaymentMethod(id=kind, user_id="u", kind=kind, brand=brand, last_four=last_four, balance_cents=None)


def item(position: int, name: str, **options: str) -> OrderItem:
    return OrderItem(
        id=str(position),
        variant_id=str(position),
        product_id=name,
        position=position,
        name=name,
        options=options,
        price_cents=10_00,
    )


def order(*items: OrderItem, status: Status = Status.DELIVERED) -> Order:
    return Order(id="W2378156", status=status, items=list(items))


GIFT = method("gift_card", None, None)


def returning(items: list[OrderItem], everything: list[OrderItem], cents: int, paid_by: PaymentMethod) -> str:
    return read_backs.returning(ReturnPlan(order(*everything), tuple(items), cents, paid_by)).words


def test_a_short_return_is_read_back_in_full() -> None:
    items = [item(0, "Headphones")]
    assert returning(items, items, 90_00, GIFT) == (
        "Just to confirm: I'll return the headphones from order W 2 3 7 8 1 5 6 "
        "and refund 90 dollars to your gift card. Shall I go ahead?"
    )


def test_of_many_alike_it_is_said_how_many() -> None:
    everything = [item(n, name) for n, name in enumerate(["Smart Watch", *["Indoor Security Camera"] * 9])]
    assert "return the smart watch and all 9 indoor security cameras from" in returning(
        everything, everything, 123_45, method()
    )
    assert "return 8 of the 9 indoor security cameras from" in returning(everything[2:], everything, 123_45, method())
    pair = everything[:3]
    assert "return both indoor security cameras and the smart watch from" in returning(
        pair[::-1], pair, 123_45, method()
    )


def test_every_item_of_a_return_is_told_however_many_they_are() -> None:
    everything = [
        item(n, name) for n, name in enumerate(["Smart Watch", "Desk Lamp", *(f"Hat {n}" for n in range(18))])
    ]
    question = returning(everything[:10], everything, 123_45, method())
    assert "the smart watch, desk lamp, hat 0, hat 1, hat 2, hat 3, hat 4, hat 5, hat 6 and hat 7 from" in question
    assert "return all 20 items from" in returning(everything, everything, 123_45, method())
    assert "return everything but the smart watch and desk lamp from" in returning(
        everything[2:], everything, 123_45, method()
    )


def test_a_return_that_cannot_be_told_whole_is_refused() -> None:
    everything = [item(n, f"Indoor Security Camera Number {n}") for n in range(40)]
    with pytest.raises(ToolError, match="too much to read back"):
        returning(everything[:20], everything, 123_45, method())


def test_a_kind_that_goes_whole_is_counted_when_its_items_are_too_many_to_tell_apart() -> None:
    shirts = [item(n, "T-Shirt", color=f"a very special hue of blue, number {n}", size="M") for n in range(6)]
    everything = [*shirts, item(6, "Smart Watch"), item(7, "Desk Lamp")]
    question = returning([*shirts, everything[6]], everything, 123_45, method())
    assert "return all 6 t-shirts and the smart watch from" in question


def test_a_return_of_several_items_names_them() -> None:
    everything = [item(n, name) for n, name in enumerate(["Smart Watch", "Desk Lamp", "Garden Hose", "Grill"])]
    question = returning(everything[:3], everything, 123_45, method())
    assert "the smart watch, desk lamp and garden hose" in question


def test_of_two_of_a_kind_it_is_said_which_goes_back() -> None:
    tablets = [item(0, "Tablet", color="gold", storage="64GB"), item(1, "Tablet", color="black", storage="64GB")]
    assert "the tablet in black from" in returning(tablets[1:], tablets, 10_00, GIFT)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["Tablet", "T-Shirt"]), st.sampled_from("ab"), st.sampled_from("xy")), max_size=6
    ),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_other_items_are_other_words(ordered: list[tuple[str, str, str]], taken: list[bool]) -> None:
    everything = [item(n, name, color=color, size=size) for n, (name, color, size) in enumerate(ordered)]
    chosen = [each for each, take in zip(everything, taken, strict=False) if take]
    for other in everything:
        if other in chosen or not chosen:
            continue
        for left in chosen:
            swapped = [other if each is left else each for each in chosen]
            alike = (left.name, left.options) == (other.name, other.options)
            told = returning(chosen, everything, 10_00, GIFT), returning(swapped, everything, 10_00, GIFT)
            assert alike or told[0] != told[1]


names = st.sampled_from(["Headphones", "Smart Watch", "Indoor Security Camera", "LED Light Bulb", "T-Shirt"])
methods = st.builds(method, st.sampled_from(["credit_card", "paypal", "gift_card"]), st.sampled_from(["visa", None]))


@settings(deadline=None)
@given(st.lists(names, min_size=1, max_size=20), st.integers(1, 20), st.integers(1, 10**7), methods)
def test_no_return_is_longer_than_is_heard_to_its_end(
    ordered: list[str], chosen: int, cents: int, paid_by: PaymentMethod
) -> None:
    items = [item(position, name) for position, name in enumerate(ordered)]
    question = returning(items[:chosen], items, cents, paid_by)
    assert len(question) <= read_backs.LONGEST
    assert question.endswith("Shall I go ahead?")
    assert spoken_amount(cents) in question
    refund = read_backs.refunding(RefundPlan(order(), (MoneyBack(paid_by, cents),)))
    assert len(refund.words.split()) <= read_backs.READ_BACK_WORDS
    assert refund.amount_cents == cents


def test_a_cancellation_tells_order_reason_and_money() -> None:
    plan = CancelPlan(order(status=Status.PENDING), "ordered by mistake", (MoneyBack(GIFT, 12_50),))
    read_back = read_backs.cancellation(plan)
    assert read_back.words == (
        "I'll cancel order W 2 3 7 8 1 5 6, ordered by mistake, "
        "and refund 12 dollars and 50 cents to your gift card. Shall I go ahead?"
    )
    assert (read_back.amount_cents, read_back.status, dict(read_back.facts)) == (
        12_50,
        "pending",
        {"reason": "ordered by mistake", "refunded_to": "gift_card"},
    )


def swap(new_cents: int, **options: str) -> SwapPlan:
    old = item(0, "T-Shirt", color="red", size="M", waterproof="no")
    new = Variant(id="v", options={**old.options, **options}, price_cents=new_cents)
    return SwapPlan("change", order(old, status=Status.PENDING), (Swap(old, new),), method())


@pytest.mark.parametrize(
    ("cents", "money"),
    [
        (13_00, "and charge 3 dollars to your Visa ending 1 2 3 4."),
        (9_00, "and refund 1 dollar to your Visa ending 1 2 3 4."),
        (10_00, "at no extra cost, on your Visa ending 1 2 3 4."),
    ],
)
def test_a_change_tells_what_becomes_of_the_item_the_difference_and_that_it_is_final(cents: int, money: str) -> None:
    read_back = read_backs.swapping(swap(cents, color="blue", size="L"))
    assert "the t-shirt to blue, size L" in read_back.words
    assert money in read_back.words
    assert "only once" in read_back.words
    assert read_back.amount_cents == cents - 10_00


def exchange(everything: list[OrderItem], *swaps: tuple[OrderItem, str]) -> str:
    becomes = [
        Swap(old, Variant(id=new, options={**old.options, "color": new}, price_cents=10_00)) for old, new in swaps
    ]
    return read_backs.swapping(SwapPlan("exchange", order(*everything), tuple(becomes), GIFT)).words


def test_of_two_of_a_kind_it_is_said_which_becomes_another() -> None:
    tablets = [item(0, "Tablet", color="gold", storage="64GB"), item(1, "Tablet", color="black", storage="64GB")]
    assert "exchange the tablet in gold for another, red in" in exchange(tablets, (tablets[0], "red"))
    assert "exchange the tablet in black for another, red in" in exchange(tablets, (tablets[1], "red"))


def test_of_several_alike_it_is_said_how_many_become_another() -> None:
    shirts = [item(n, "T-Shirt", color="white") for n in range(3)]
    assert "exchange 1 of the 3 t-shirts for another, red in" in exchange(shirts, (shirts[1], "red"))
    assert "exchange all 3 t-shirts for another, red in" in exchange(shirts, *((shirt, "red") for shirt in shirts))
    assert "exchange 2 of the 3 t-shirts for another, red and 1 of the 3 t-shirts for another, blue in" in exchange(
        shirts, (shirts[0], "red"), (shirts[1], "blue"), (shirts[2], "red")
    )


def test_what_cannot_be_heard_to_its_end_is_refused() -> None:
    items = [item(n, f"T-Shirt {n}", color="white") for n in range(30)]
    with pytest.raises(ToolError, match="too much to read back"):
        exchange(items, *((each, "red") for each in items))


def test_another_payment_and_another_address_are_told_whole() -> None:
    pending = order(status=Status.PENDING)
    assert read_backs.paying(PaymentPlan(pending, method(), GIFT, 5_00)).words == (
        "I'll charge 5 dollars for the order ending 8 1 5 6 to your gift card, and refund your Visa ending 1 2 3 4. "
        "Shall I go ahead?"
    )
    place = Place("445 Maple Drive", "Suite 394", "Fort Worth", "TX", "76165")
    told = "445 Maple Drive, Suite 394, Fort Worth, Texas, 7 6 1 6 5. Shall I go ahead?"
    assert read_backs.sending(pending, place).words.endswith(told)
    moved = read_backs.moving(User(id="u", first_name="Ann", last_name="Lee"), place)
    assert moved.words == f"I'll change the address on your account, Ann, to {told}"
