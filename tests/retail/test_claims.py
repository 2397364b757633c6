"""The shop's own rules, without the policy table that refuses the same at the door: each holds by itself."""

from datetime import UTC, datetime

import pytest

from retail.shop_line import order_of
from talkspurt.agent import ToolError
from talkspurt.retail.changes import Purse, plan_payment
from talkspurt.retail.claims import plan_cancel, plan_refund, plan_return
from talkspurt.retail.schema import Payment, PaymentKind, PaymentMethod, Return, ReturnItem, Status
from talkspurt.retail.shop import Shop

PENDING, DELIVERED = "W7704128", "W2378156"


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PENDING])
async def test_only_what_is_pending_is_cancelled_or_paid_otherwise(shop: Shop, status: Status) -> None:
    order = await order_of(shop, PENDING)
    order.status = status
    with pytest.raises(ToolError, match=r"can't be cancelled|Only pending orders can be cancelled"):
        plan_cancel(order, "no longer needed")
    with pytest.raises(ToolError, match=r"can't be changed|Only pending orders can be changed"):
        plan_payment(order, "gift card", Purse(()))


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.DELIVERED])
async def test_only_what_was_delivered_comes_back(shop: Shop, status: Status) -> None:
    order = await order_of(shop, DELIVERED)
    order.status = status
    with pytest.raises(ToolError, match=r"return|exchange"):
        plan_return(order, ["lamp"])


async def test_a_return_is_refunded_once(shop: Shop) -> None:
    order = await order_of(shop, DELIVERED)
    order.status = Status.RETURN_REQUESTED
    now = datetime.now(UTC)
    items = [ReturnItem(item=order.items[0])]
    order.returned = Return(method=order.payments[0].method, received_at=now, refunded_at=now, items=items)
    with pytest.raises(ToolError, match="already been refunded"):
        plan_refund(order)


async def test_no_more_goes_back_to_a_method_than_it_paid(shop: Shop) -> None:
    order = await order_of(shop, DELIVERED)
    card = order.payments[0].method
    lamp = plan_return(order, ["lamp"])
    gift = PaymentMethod(id="gift_card_1", user_id=card.user_id, kind="gift_card", balance_cents=0)
    paid = [(card, lamp.cents - 1_000), (gift, 1_000)]
    order.payments = [
        Payment(
            id=method.id, position=at, kind=PaymentKind.PAYMENT, method=method, method_id=method.id, amount_cents=cents
        )
        for at, (method, cents) in enumerate(paid)
    ]
    with pytest.raises(ToolError, match="no more can go back to it"):
        plan_return(order, ["lamp"])
    everything = plan_return(order, ["lamp"], "gift card", [card, gift])
    assert (everything.method, everything.cents) == (gift, lamp.cents)
