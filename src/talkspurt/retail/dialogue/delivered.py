"""What callers want of orders that have come, or never will."""

from typing import Final

from talkspurt.agent.dialogue import Intent, Outcome
from talkspurt.retail.dialogue.slots import ITEM_ARGUMENTS, ITEM_DOUBTS, SWAP_ARGUMENTS, SWAP_DOUBTS

RETURN: Final = Intent(
    "return_item",
    title="return an item",
    slots=("order_id", "items"),
    tool="process_return",
    arguments=ITEM_ARGUMENTS,
    doubts=ITEM_DOUBTS,
    examples=(
        "I want to return something.",
        "I'd like to send an item back.",
        "How do I return a product?",
        "Can I return the shoes I bought?",
        "It doesn't fit, I want to send it back.",
        "I need to make a return.",
        "I don't like it, can I bring it back?",
        "I got the wrong size and need to return it.",
        "This arrived broken and I want to send it back to you.",
        "I'd like to start a return for my order.",
        "Can you take this back?",
        "I no longer want this, how do I ship it back?",
        "Please set up a return for me.",
        "I bought the wrong one, I'd like to give it back.",
        "I need a return label.",
        "The color isn't what I expected, so I'm returning it.",
        "I have a return to make.",
        "I'd like to return one thing from my order.",
        "I want to return order W1234567.",
        "It's not what I ordered, I want to return it.",
        "I changed my mind about the lamp and want to send it back.",
        "Is it possible to return this jacket?",
        "I'm not happy with it and would like to return it.",
        "My item is defective, I need to ship it back.",
        "What do I do to send this thing back?",
        "I want to hand back what I bought.",
        "They sent me the wrong item, come pick it up.",
        "I'd like to return everything in my order.",
        "Help me with a return, please.",
        "I still have the box and I want to send it back.",
    ),
    outcomes=(
        Outcome(
            (
                "All set: your return of the {items:list} is requested. You'll get {refund:money}.",
                "All set: your return of the {items:list} is requested.",
                "All set: your return is requested.",
            )
        ),
    ),
    declined="Okay, I won't send that return.",
)

EXCHANGE: Final = Intent(
    "exchange_item",
    title="exchange an item",
    slots=("order_id", "items", "new_item"),
    tool="exchange_items",
    arguments=SWAP_ARGUMENTS,
    doubts=SWAP_DOUBTS,
    examples=(
        "I'd like to exchange it for another color.",
        "Can I exchange this for a bigger size?",
        "I want to swap the shoes I received for another pair.",
        "I got a medium, and I'd like to exchange it for a large.",
        "I need an exchange.",
        "Could you replace it with the white one?",
        "The headphones came in black, I want to trade them for white ones.",
        "How do I exchange an item I received?",
        "Please exchange the lamp I got for a brass one.",
        "It's too small, I'd like a larger one in exchange.",
        "I'd like to exchange something from my delivered order.",
        "Can I swap what you delivered for a different version?",
        "I want the same thing in another size instead of the one I got.",
        "Exchange, please.",
        "I want to exchange order W1234567.",
        "I received the wrong color and want the right one instead.",
        "Can you send me the ten cup model in exchange for mine?",
        "I'd rather have the other model, can I swap mine?",
        "The jacket doesn't fit, I need it one size up.",
        "I'd like to trade in what I received for the cheaper one.",
    ),
    outcomes=(
        Outcome(
            "All set: the exchange is requested. You'll get back {difference:money}, and an email about sending it in.",
            where={"way": "to be paid back"},
        ),
        Outcome(
            "All set: the exchange is requested. It costs {difference:money} more, and you'll get an email.",
            where={"way": "to pay"},
        ),
        Outcome("All set: the exchange is requested, at no extra cost. You'll get an email about sending it in."),
    ),
    declined="Okay, I won't exchange it.",
)

REFUND: Final = Intent(
    "refund",
    title="get a refund",
    slots=("order_id",),
    tool="offer_refund",
    examples=(
        "I want my money back.",
        "I'd like a refund.",
        "Can I get a refund for my order?",
        "When do I get my refund?",
        "I haven't received my refund yet.",
        "Please refund my purchase.",
        "I was charged for something I never got, give me my money back.",
        "You charged me twice, I want to be reimbursed.",
        "Can you put the money back on my card?",
        "I need to be refunded.",
        "How do I get reimbursed?",
        "Refund me, please.",
        "I demand my money back for this order.",
        "I sent it back weeks ago and still no refund.",
        "Is my refund on its way?",
        "I would like to request a refund.",
        "Give me back what I paid.",
        "I want to be paid back for order W1234567.",
        "Could you reverse the charge?",
        "The item was faulty, so I want a refund.",
        "I'm calling about a refund.",
        "I expect a full refund.",
        "Where's the money you owe me?",
        "Can you credit my card for that order?",
        "I want compensation for the cancelled order.",
        "My order was cancelled, so I want my money.",
        "I'm owed a refund.",
        "Issue a refund for my last purchase.",
    ),
    outcomes=(
        Outcome(
            (
                "Done! You'll have {amount:money} back {when}.",
                "Done: your refund of {amount:money} is issued.",
                "Done: your refund is issued.",
            )
        ),
    ),
    declined="Okay, I won't issue that refund.",
)

INTENTS: Final = (RETURN, EXCHANGE, REFUND)
"""All of this module."""
