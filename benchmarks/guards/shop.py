"""The shop's own rules."""

from typing import Final

from benchmarks.guards.guard import Guard

AS_AGREED: Final = "tests/retail/test_as_agreed.py"
OPERATIONS: Final = "tests/retail/test_operations.py"
RED_TEAM: Final = "tests/retail/test_red_team.py"
READ_BACKS: Final = "tests/retail/test_read_backs.py"
SHOP_TOOLS: Final = "tests/retail/test_retail_tools.py"
RETAIL: Final = (
    "tests/retail/test_retail_tools.py tests/retail/test_operations.py tests/retail/test_variants.py "
    "tests/retail/test_bookings.py tests/retail/test_claims.py"
)

GUARDS: Final = (
    Guard(
        "a name points at accounts, too",
        "retail/shop.py",
        "        if name is not None:\n            pointers",
        "        if False:\n            pointers",
        RETAIL,
    ),
    Guard(
        "only pending orders are cancelled", "retail/claims.py", 'require_pending(order, "cancelled")', "pass", RETAIL
    ),
    Guard(
        "only delivered orders come back", "retail/claims.py", 'require_delivered(order, "returned")', "pass", RETAIL
    ),
    Guard(
        "only pending orders are changed, and only delivered ones exchanged",
        "retail/changes.py",
        '(require_pending if kind == "change" else require_delivered)(order, _DONE[kind])',
        "pass",
        RETAIL,
    ),
    Guard(
        "only pending orders are paid otherwise",
        "retail/changes.py",
        'require_pending(order, "changed")',
        "pass",
        RETAIL,
    ),
    Guard(
        "money goes back to where it came from, or to a gift card",
        "retail/claims.py",
        "if method.id != original.id and method.kind != GIFT_CARD:",
        "if False:",
        RETAIL,
    ),
    Guard(
        "no more goes back to a method than it paid",
        "retail/claims.py",
        "if method.kind != GIFT_CARD and cents > own:",
        "if False:",
        RETAIL,
    ),
    Guard(
        "a return is refunded once",
        "retail/claims.py",
        "order.returned is not None and order.returned.refunded_at is not None:",
        "False:",
        RETAIL,
    ),
    Guard(
        "a return is refunded when it has arrived",
        "retail/claims.py",
        "order.returned is not None and order.returned.received_at is not None:",
        "order.returned is not None:",
        RETAIL,
    ),
    Guard(
        "a gift card pays no more than it has",
        "retail/changes.py",
        "    if cents > left:\n",
        "    if False:\n",
        RETAIL,
    ),
    Guard("what is out of stock is not sent", "retail/variants.py", "if not variant.available:", "if False:", RETAIL),
    Guard(
        "an item becomes another of its kind only",
        "retail/variants.py",
        "found = [variant for variant in product.variants if variant.id in numbers]",
        "found = [Variant(id=next(iter(numbers)), options={}, price_cents=1, available=True)]",
        RETAIL,
    ),
    Guard(
        "a call is of one customer",
        "retail/agent.py",
        "policies=Policies(accounts_per_call=1),",
        "policies=Policies(),",
        f"{RED_TEAM} -k attack_leaves",
    ),
    Guard(
        "a ZIP code has to be right",
        "retail/shop.py",
        "        if zip_code is not None:\n            query",
        "        if False:\n            query",
        RETAIL,
    ),
    Guard(
        "of two customers with the same facts neither is verified",
        "retail/shop.py",
        "return found[0] if len(found) == 1 else None",
        "return found[0] if found else None",
        RETAIL,
    ),
    Guard(
        "of two items of a kind it is said which becomes another",
        "retail/read_backs.py",
        "told = _apart(swap.item, same, items)",
        "told = item_name(swap.item)",
        READ_BACKS,
    ),
    Guard(
        "of two calls at one customer the second waits for the first",
        "retail/customers.py",
        "        await _hold(session, account)\n",
        "        pass\n",
        f"{AS_AGREED} -k 'waits_for_the_customers_row and postgresql'",
        needs_postgresql=True,
    ),
    Guard(
        "an order that is just being shipped is waited for",
        "retail/customers.py",
        "        select(Order.id).where(Order.user_id == account).order_by(Order.id),\n",
        "",
        f"{AS_AGREED} -k 'just_being_shipped and postgresql'",
        needs_postgresql=True,
    ),
    Guard(
        "a gift card that just pays elsewhere is waited for",
        "retail/customers.py",
        "        select(PaymentMethod.id).where(PaymentMethod.user_id == account).order_by(PaymentMethod.id),\n",
        "",
        f"{AS_AGREED} -k 'gift_card and postgresql'",
        needs_postgresql=True,
    ),
    Guard(
        "a variant that is just being changed is waited for",
        "retail/customers.py",
        "        await session.execute(variants.with_for_update(read=True))\n",
        "",
        f"{AS_AGREED} -k 'variant_that_is_just_being_changed and postgresql'",
        needs_postgresql=True,
    ),
    Guard(
        "a variant is read once it is held",
        "retail/customers.py",
        "wanted = wanted.execution_options(populate_existing=True)",
        "pass",
        f"{AS_AGREED} -k 'variant_that_is_just_being_changed and postgresql'",
        needs_postgresql=True,
    ),
    Guard(
        "nobody acts on another customer's order",
        "retail/customers.py",
        "select(Order).where(Order.user_id == account)",
        "select(Order)",
        f"{SHOP_TOOLS} -k orders_of_others",
    ),
    Guard(
        "an order number proves nobody but its own customer",
        "retail/shop.py",
        "Order.id == order_id, Order.user_id == User.id",
        "Order.id == order_id",
        f"{SHOP_TOOLS} -k one_wrong_fact",
    ),
    Guard(
        "a name has to be right",
        "retail/shop.py",
        "        if name is not None:\n            query",
        "        if False:\n            query",
        f"{SHOP_TOOLS} -k one_wrong_fact",
    ),
    Guard(
        "an e-mail has to be right",
        "retail/shop.py",
        "        if email is not None:\n            query",
        "        if False:\n            query",
        f"{SHOP_TOOLS} -k one_wrong_fact",
    ),
    Guard(
        "one fact alone proves nobody",
        "retail/shop.py",
        "if email is None and (zip_code is None or (order_id is None and name is None)):",
        "if False:",
        f"{SHOP_TOOLS} -k one_fact_alone",
    ),
    Guard(
        "only pending orders are sent elsewhere",
        "retail/deeds.py",
        'require_pending(order, "sent elsewhere")',
        "pass",
        "tests/retail/test_operations.py -k changed_item_is_another",
    ),
    Guard(
        "a returned order is refunded where it was agreed",
        "retail/claims.py",
        "refunds = (MoneyBack(order.returned.method, cents),)",
        "refunds = (MoneyBack(paying_method(order), cents),)",
        f"{SHOP_TOOLS} -k where_it_was_agreed",
    ),
    Guard(
        "a process that was stopped lets go of its customer",
        "retail/shop.py",
        """        idle = {"idle_in_transaction_session_timeout": f"{int(IDLE * 1000)}"}""",
        "        idle: dict[str, str] = {}",
        f"{AS_AGREED} -k 'stopped_in_a_transaction and postgresql'",
        needs_postgresql=True,
    ),
    Guard(
        "a stranger finds few order numbers out",
        "retail/tools/identity.py",
        "@tool(rate=FINDING)",
        "@tool",
        f"{RED_TEAM} -k few_order_numbers",
    ),
    Guard(
        "what an exchange will cost is spent",
        "retail/changes.py",
        "    promised = purse.promised_cents(method)\n",
        "    promised = 0\n",
        f"{OPERATIONS} -k promised",
    ),
    Guard(
        "what went back to one method is not paid back to another",
        "retail/claims.py",
        "        due = min(paid, kept)\n",
        "        due = paid\n",
        f"{OPERATIONS} -k another_method",
    ),
    Guard(
        "a return brings back no more than was paid",
        "retail/claims.py",
        "return min(sum(item.price_cents for item in items), sum(money.cents for money in paid_with(order)))",
        "return sum(item.price_cents for item in items)",
        f"{OPERATIONS} -k as_far_as",
    ),
    Guard(
        "what was paid back is not paid back again",
        "retail/claims.py",
        "sign = 1 if payment.kind is PaymentKind.PAYMENT else -1",
        "sign = 1",
        f"{SHOP_TOOLS} -k refunded_once",
    ),
    Guard(
        "no money goes to what is on nobody's account",
        "retail/methods.py",
        "if _ELSEWHERE.search(text) or _DENIED.match(text):",
        "if False:",
        "tests/retail/test_methods_and_reasons.py",
    ),
    Guard(
        "a gift card has less once it has paid",
        "retail/bookings.py",
        "method.balance_cents += cents if kind is PaymentKind.REFUND else -cents",
        "pass",
        "tests/retail/test_operations.py -k gift_card_twice",
    ),
    Guard(
        "an order's items are changed once",
        "retail/bookings.py",
        "plan.order.status = Status.ITEMS_CHANGED",
        "pass",
        "tests/retail/test_operations.py -k changed_item_is_another",
    ),
    Guard(
        "an order is exchanged once",
        "retail/bookings.py",
        "plan.order.status = Status.EXCHANGE_REQUESTED",
        "pass",
        "tests/retail/test_operations.py -k exchange_is_noted",
    ),
    Guard(
        "an order is returned once",
        "retail/bookings.py",
        "plan.order.status = Status.RETURN_REQUESTED",
        "pass",
        f"{SHOP_TOOLS} -k returned_once",
    ),
    Guard(
        "an order is paid by what can pay it",
        "retail/changes.py",
        "    require_balance(method, paid[0].cents, purse)\n",
        "",
        "tests/retail/test_operations.py -k too_little",
    ),
    Guard(
        "what two methods have paid is not paid by a third",
        "retail/changes.py",
        "    if len(paid) != 1:\n",
        "    if False:\n",
        "tests/retail/test_operations.py -k two_methods",
    ),
    Guard(
        "an item becomes one other",
        "retail/changes.py",
        "            if item.id in swaps:\n",
        "            if False:\n",
        "tests/retail/test_operations.py -k cannot_be_changed",
    ),
    Guard(
        "a dearer item is paid by what can pay it",
        "retail/changes.py",
        "    require_balance(method, plan.cents, purse)\n",
        "",
        "tests/retail/test_operations.py -k method_that_can_pay",
    ),
)
