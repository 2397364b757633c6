"""What callers want of orders that have not come yet."""

from typing import Final

from talkspurt.agent.dialogue import Intent, Outcome
from talkspurt.retail.dialogue.slots import SWAP_ARGUMENTS, SWAP_DOUBTS

ORDER_STATUS: Final = Intent(
    "order_status",
    title="check an order",
    slots=("order_id",),
    tool="check_order_status",
    examples=(
        "Where is my order?",
        "What's the status of my order?",
        "I'd like to check on an order I placed.",
        "Has my package shipped yet?",
        "When will my delivery arrive?",
        "My order hasn't arrived yet.",
        "I'm still waiting for my parcel.",
        "Can you track a package for me?",
        "I want to know where my stuff is.",
        "It was supposed to be here yesterday and nothing came.",
        "How long until my things get here?",
        "Is my order on its way?",
        "Could you look up an order for me?",
        "I ordered something last week and haven't heard anything.",
        "Any update on my shipment?",
        "What's taking my order so long?",
        "Did my order go through?",
        "Was my package delivered?",
        "It says delivered but I never got it.",
        "I placed an order a few days ago, has it been sent out?",
        "Calling about the status of a purchase.",
        "Do you know when I'll get my order?",
        "I'm calling to find out what's happening with my order.",
        "My package is late.",
        "Tell me about order W1234567.",
        "Can you check whether the thing I bought has left the warehouse?",
        "When should I expect the delivery?",
        "I never received what I ordered.",
        "Is there a delay with my delivery?",
        "I need an update on something I bought online.",
        "My tracking hasn't moved in days.",
        "Where are the shoes I ordered?",
        "Why don't I have my things yet?",
        "Where is it now?",
        "The lamp still hasn't shown up.",
    ),
    outcomes=(
        Outcome(
            ("It should arrive {eta}.", "I don't have a delivery date for it yet. It is {status}."),
            about=("When will it arrive?", "What day is it coming?", "What's the delivery date?"),
        ),
        Outcome(
            ("The tracking number is {tracking.0:spell}.", "There's no tracking number yet. The order is {status}."),
            about=("What's the tracking number?", "Can you give me the tracking code?"),
        ),
        Outcome(
            "The total was {total:money}, for the {items.name:list}.",
            about=("How much did my order cost?", "What was the total of the order?", "How much did I pay?"),
        ),
        Outcome(
            "It goes to {address}.",
            about=("Which address is it going to?", "Where are you sending my order?", "Where was it sent to?"),
        ),
        Outcome(
            "That order was paid with your {paid_with:list}.",
            about=("How did I pay for that order?", "Which card did you charge for the order?"),
        ),
        Outcome(
            "That order has the {items.name:list}.",
            about=("What's in my order?", "Which items did I order?", "What did I buy?"),
        ),
        Outcome(
            (
                "Good news: your order with the {items.name:list} was delivered.",
                "Good news: that order was delivered.",
            ),
            where={"status": "delivered"},
        ),
        Outcome(
            (
                "Your order with the {items.name:list} is pending. It should arrive {eta}.",
                "Your order with the {items.name:list} is pending, so it hasn't shipped yet.",
            ),
            where={"status": "pending"},
        ),
        Outcome(
            (
                "Your order with the {items.name:list} is processed and on its way. It should arrive {eta}.",
                "Your order with the {items.name:list} is processed and getting ready to ship.",
            ),
            where={"status": "processed"},
        ),
        Outcome(
            (
                "Your order with the {items.name:list} has shipped. It should arrive {eta}.",
                "Your order with the {items.name:list} has shipped and is on its way.",
            ),
            where={"status": "shipped"},
        ),
        Outcome("That order with the {items.name:list} was cancelled.", where={"status": "cancelled"}),
        Outcome(
            "I'm so sorry, that order with the {items.name:list} was lost. I can refund it.",
            where={"status": "lost in transit"},
        ),
        Outcome(
            "A return is requested for that order, and we're waiting for the item.",
            where={"status": "return requested"},
        ),
        Outcome(
            "An exchange is requested for that order: you'll get an email about sending the item back.",
            where={"status": "exchange requested"},
        ),
        Outcome(("Your order is {status}. It should arrive {eta}.", "Your order is {status} at the moment.")),
    ),
)

CANCEL: Final = Intent(
    "cancel_order",
    title="cancel an order",
    slots=("order_id", "reason"),
    tool="cancel_order",
    doubts={"reason": "Is it one of those"},
    examples=(
        "Cancel my order, please.",
        "I want to cancel an order.",
        "I'd like to cancel what I ordered.",
        "Can I still cancel my purchase?",
        "Please stop my order, I don't need it anymore.",
        "I ordered this by mistake, please cancel it.",
        "I need to call off an order.",
        "How do I cancel an order I just placed?",
        "I changed my mind, cancel it.",
        "Cancel order W1234567.",
        "I don't want it anymore, don't ship it.",
        "I ordered the same thing twice, cancel one of them.",
        "Could you take back my order before it ships?",
        "I'd like to withdraw my order.",
        "Cancel everything I ordered yesterday.",
        "Please cancel my pending order.",
        "I accidentally placed an order and need it cancelled.",
        "Don't send it, I found I no longer need it.",
        "I no longer need the things I ordered, can you cancel?",
        "Is it too late to cancel?",
        "Get rid of the order I made this morning.",
        "My kid ordered that by accident, please cancel.",
    ),
    outcomes=(
        Outcome(
            (
                "Done: that order is cancelled, and {refund:money} will be back {when}.",
                "Done: that order is cancelled.",
            )
        ),
    ),
    declined="Okay, I won't cancel it.",
)

CHANGE_ITEMS: Final = Intent(
    "change_items",
    title="change an item of an order",
    slots=("order_id", "items", "new_item"),
    tool="change_order_items",
    arguments=SWAP_ARGUMENTS,
    doubts=SWAP_DOUBTS,
    examples=(
        "I want to change an item in my pending order.",
        "Can I switch the color of something I just ordered?",
        "I picked the wrong size, can you change it before it ships?",
        "Change the yoga mat in my order to a purple one.",
        "I'd like the blue one instead in my pending order.",
        "Can you modify the items of my order?",
        "I'd rather have the larger one, it hasn't shipped yet.",
        "Please swap the item I ordered this morning for another color.",
        "I ordered a medium but I need a large, please change the order.",
        "Change my pending order to the cheaper version.",
        "Could you update the size in the order I placed?",
        "I want a different variant of what I ordered, before you send it.",
        "Switch my order from black to white.",
        "I need to edit what's in my order.",
        "I chose the wrong color when I ordered.",
        "Make it the ten cup model instead, the order is still pending.",
        "I'd like to upgrade the item in my order.",
        "Change what I ordered to the steel version.",
    ),
    outcomes=(
        Outcome(
            "Done: it's changed. The difference of {difference:money} goes back to your {method}.",
            where={"way": "to be paid back"},
        ),
        Outcome(
            "Done: it's changed. The difference of {difference:money} is charged to your {method}.",
            where={"way": "to pay"},
        ),
        Outcome("Done: it's changed, at no extra cost."),
    ),
    declined="Okay, I've left the order as it is.",
)

CHANGE_ADDRESS: Final = Intent(
    "change_address",
    title="send an order to another address",
    slots=("order_id", "address"),
    tool="change_order_address",
    doubts={"address": "address"},
    examples=(
        "I want to change the address of an order.",
        "Can you ship my order to a different address?",
        "I entered the wrong delivery address.",
        "Please send my package somewhere else.",
        "My order is going to my old address.",
        "I need to update the shipping address on my order.",
        "Deliver it to my office instead.",
        "The address on my order is wrong.",
        "Could you redirect my order to another address?",
        "I made a typo in the address when I ordered.",
        "I'm moving, so my order has to go to a new place.",
        "Change where order W1234567 is delivered.",
        "Send my pending order to my mother's house.",
        "I'd like the parcel to go to a different city.",
        "Can I still change where it's being shipped?",
        "The apartment number is missing on my order.",
        "I won't be home, can you deliver to another address?",
        "Switch the delivery address of my order to my home address.",
    ),
    outcomes=(Outcome("Done: your order goes to {address}."),),
    declined="Okay, the address stays as it is.",
)

CHANGE_PAYMENT: Final = Intent(
    "change_payment",
    title="change how an order is paid",
    slots=("order_id", "payment_method"),
    tool="change_order_payment",
    doubts={"payment_method": "payment method|gift card|Which one do you mean|paid by your"},
    examples=(
        "I want to change the payment method of my order.",
        "Can I pay for my order with another card?",
        "Charge my gift card instead of my credit card.",
        "I'd like to use PayPal for the order I placed.",
        "Put the order on a different card.",
        "I used the wrong card to pay.",
        "Please switch the payment to my Visa.",
        "Can you bill my other card for that order?",
        "Change how order W1234567 is paid.",
        "I want to pay with my gift card instead.",
        "Use another payment method for my pending order.",
        "Could you take the money from PayPal instead?",
        "The card I paid with is about to expire, use another one.",
        "I'd rather pay that order with something else.",
        "Move the charge for my order to my other card.",
        "Can I still change the way I pay?",
    ),
    outcomes=(Outcome(("Done: that order is now paid with your {method}.", "Done: the payment is changed.")),),
    declined="Okay, the payment stays as it is.",
)

INTENTS: Final = (ORDER_STATUS, CANCEL, CHANGE_ITEMS, CHANGE_ADDRESS, CHANGE_PAYMENT)
"""All of this module."""
