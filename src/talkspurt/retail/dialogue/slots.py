"""What callers are asked for."""

from typing import Final

from talkspurt.agent.dialogue import Options, Resolver, Slot

ORDER_ID: Final = r"W\d{7}"
"""Every order number."""

ITEM_DOUBTS: Final = {
    "payment_method": "payment method|gift card|Which one do you mean: your",
    "which_item": "in the order\\. The order has|^Which one do you mean",
}
"""By what a tool for items says, which of its arguments it could not make out."""
SWAP_DOUBTS: Final = {
    **ITEM_DOUBTS,
    "new_item": "would you like|available|already|do you mean|another of its kind",
}
ITEM_ARGUMENTS: Final[dict[str, str | tuple[str, ...]]] = {
    "order_id": "{order_id}",
    "items": ("{which_item}", "{items}"),
    "payment_method": "{payment_method}",
}
SWAP_ARGUMENTS: Final = {**ITEM_ARGUMENTS, "new_items": "{new_item}"}
"""What tools are given that change items, or exchange them."""

SLOTS: Final = (
    Slot(
        "order_id",
        "identifier",
        noun="order number",
        pattern=ORDER_ID,
        ask="Could you tell me your order number, please?",
        retry="Sorry, I didn't get that. Could you say the order number one digit at a time?",
        keypad="Let's try the keypad: please type the digits of your order number, then press hash.",
        help="It's in your confirmation email: a W and seven digits.",
        resolver=Resolver("find_order", read_back="I found order {value:spell}. Is that the one?"),
        options=Options("get_account_info", items="orders", value="order_id", label="{order_id:ending} {status}"),
    ),
    Slot(
        "zip_code",
        "zip",
        noun="ZIP code",
        ask="What's the ZIP code on your account?",
        retry="Sorry, could you say the ZIP code again, one digit at a time?",
        keypad="Please type your ZIP code on the keypad, then press hash.",
        help="It's the five digit postal code of your home address.",
    ),
    Slot(
        "email",
        "email",
        noun="email address",
        ask="What's the email address on your account?",
        retry="Sorry, could you say the email address again, slowly?",
        help="It's the address your confirmation was sent to.",
    ),
    Slot(
        "name",
        "person",
        ask="What's your first and last name, please?",
        retry="Sorry, could you say your first and last name again?",
    ),
    Slot(
        "items",
        "choice",
        noun="item",
        many=True,
        ask="Which item is it?",
        retry="Sorry, which item was that?",
        options=Options("check_order_status", items="items", value="name", arguments={"order_id": "{order_id}"}),
    ),
    Slot(
        "which_item",
        "free",
        many=True,
        ask="Which item do you mean?",
    ),
    Slot(
        "new_item",
        "free",
        many=True,
        noun="new item",
        ask="What would you like instead?",
        retry="Sorry, what should it be instead?",
        opening=r"\b(?:for|to|into|in|with) (?:the |an? |one |same |something )|instead|\bsize\b|\bcheap|\bexpensive\b|"
        r"\b(?:larger|smaller|bigger)\b|\bsame\b",
    ),
    Slot(
        "payment_method",
        "free",
        noun="payment method",
        ask="Which payment method would you like?",
        retry="Sorry, which payment method was that?",
        opening=r"\bgift ?card|\bpay ?pal\b|\bvisa\b|\bmaster ?card\b|\bamex\b|\bamerican express\b|\bcard ending\b",
    ),
    Slot(
        "reason",
        "free",
        ask="May I ask why: is it no longer needed, or was it ordered by mistake?",
        retry="Sorry, is it no longer needed, or was it ordered by mistake?",
        opening=r"\bmistak|\baccident|\bno longer (?:need|want)|\b(?:don['’]?t|not) (?:need|want)|\btwice\b|"
        r"\bchang\w* my mind",
    ),
    Slot(
        "address",
        "free",
        noun="new address",
        ask="What's the new address, with street, city, state and ZIP code?",
        retry="Sorry, could you say the whole new address again?",
        opening=r"(?<![\dw])\d{1,5} [a-z].*\b\d{5}\b|\b(?:home|default) address\b|\bsame (?:address )?as\b",
    ),
    Slot(
        "own_address",
        "free",
        noun="new address",
        ask="What's your new address, with street, city, state and ZIP code?",
        retry="Sorry, could you say the whole new address again?",
        opening=r"(?<![\dw])\d{1,5} [a-z].*\b\d{5}\b",
    ),
    Slot("product", "free", ask="Which product is it?", opening="."),
)
