"""The shop's own rules, without the policy table that refuses the same at the door: each holds by itself."""

from datetime import UTC, datetime

import pytest

from retail.shop_line import order_of
from talkspurt.agent import ToolError
from talkspurt.retail.changes import Purse, plan_payment
from talkspurt.retail.claims import plan_cancel, plan_refund, plan_return
from talkspurt.retail.schema import Return, ReturnItem, Status
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
