"""How Sarah talks when no language model is configured: the retail agent's dialogue, as data.

The tools it names are in `talkspurt.retail.tools`; the shape is explained in `talkspurt.agent.dialogue`.
"""

from dataclasses import replace
from typing import Final

from talkspurt.agent.dialogue import Dialogue, Intent, Options, Outcome, Phrases, Resolver, Slot, Verification
from talkspurt.agent.small_talk import CAPABILITIES, GOODBYE, OUT_OF_SCOPE, REPEAT, SLOWER, SPELL, THANKS

ORDER_ID: Final = r"W\d{7}"
"""Every order number."""

_SLOTS: Final = (
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
        ask="Which item would you like to return?",
        retry="Sorry, which item was that?",
        options=Options("check_order_status", items="items", value="name", arguments={"order_id": "{order_id}"}),
    ),
)

_ORDER_STATUS: Final = Intent(
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
            "I'm so sorry, that order with the {items.name:list} was lost. I can refund it.", where={"status": "lost"}
        ),
        Outcome(
            "A return is requested for that order, and we're waiting for the item.",
            where={"status": "return requested"},
        ),
        Outcome(("Your order is {status}. It should arrive {eta}.", "Your order is {status} at the moment.")),
    ),
)

_RETURN: Final = Intent(
    "return_item",
    title="return an item",
    slots=("order_id", "items"),
    tool="process_return",
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

_REFUND: Final = Intent(
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

_ACCOUNT: Final = Intent(
    "account_info",
    title="hear what's on your account",
    tool="get_account_info",
    examples=(
        "What's on my account?",
        "I have a question about my account.",
        "Can you tell me my account details?",
        "What information do you have about me?",
        "I'd like to check my account information.",
        "Could you pull up my account?",
        "Can you look up my profile?",
        "I want to know what you have on file for me.",
        "Look at my account, please.",
        "Read me my account details.",
        "Is my information up to date?",
        "I want to verify my contact details.",
        "What name is my account under?",
        "I need some information about my customer account.",
        "Tell me about my account.",
        "What does my profile say?",
        "Check my personal details, please.",
    ),
    outcomes=(
        Outcome(
            "The email on your account is {email:email}.",
            about=(
                "Which email address do you have for me?",
                "What's the email on my account?",
                "Is my email correct in your system?",
            ),
        ),
        Outcome(
            "The address on your account is {address}.",
            about=(
                "What address do you have on file for me?",
                "Where do you ship my orders to?",
                "What's my shipping address on the account?",
                "Do you have my right address?",
            ),
        ),
        Outcome(
            (
                "You have {orders:count}. The latest is {orders.-1.order_id:spell}, which is {orders.-1.status}.",
                "I don't see any orders on your account.",
            ),
            about=(
                "What orders do I have?",
                "How many orders are on my account?",
                "List all my orders.",
                "What is my order history?",
                "What have I bought from you before?",
            ),
        ),
        Outcome(
            (
                "I have you as {name}, with {orders:count} on your account.",
                "I have you as {name}.",
            )
        ),
    ),
)

_PERSON: Final = Intent(
    "speak_to_person",
    title="speak to a person",
    tool="escalate_to_human",
    arguments={"reason": "The caller asked for a person. Topic: {topic}. Last words: {said}"},
    examples=(
        "I want to talk to a real person.",
        "Can I speak to someone?",
        "Give me a human.",
        "Representative.",
        "Operator, please.",
        "Let me talk to an agent.",
        "I'd like to speak with a customer service representative.",
        "Put me through to somebody.",
        "Transfer me to a person.",
        "I don't want to talk to a machine.",
        "Are you a robot? I want a human being.",
        "Connect me with a supervisor.",
        "I need to talk to your manager.",
        "Can a real human help me?",
        "Stop, just get me somebody who can help.",
        "Is there a live person I can talk to?",
        "This isn't working, let me speak to someone.",
        "I want to complain to a manager.",
        "You don't understand me, get me a person.",
        "Can someone call me back?",
        "I'd rather talk to a human.",
        "Customer service, please.",
        "Let me speak to a member of staff.",
        "Pass me on to a colleague.",
        "I need an actual person on the line.",
        "I'm done talking to a computer.",
        "Is anybody there who can help me?",
        "I'd like to talk to somebody about my order.",
        "Can I speak to a person about a refund?",
        "I need to speak with someone about my return.",
        "Get me somebody, then.",
    ),
    outcomes=(
        Outcome("{message}", where={"handed_over": True}, follow_up=False),
        Outcome(("{message}", "I've asked a colleague to call you back."), where={"callback": True}),
        Outcome(("{message}", "I'm sorry, nobody is free to take your call right now.")),
    ),
)

_SMALL_TALK: Final = (
    GOODBYE,
    THANKS,
    REPEAT,
    SLOWER,
    SPELL,
    replace(CAPABILITIES, say="I can check an order, set up a return or a refund, or look at your account."),
    replace(
        OUT_OF_SCOPE,
        say=(
            "I'm sorry, I don't know about that. I can look into orders, returns, refunds, or your account.",
            "I'm afraid I can't help with that. I can look into orders, returns, refunds, or your account.",
        ),
        examples=(
            *OUT_OF_SCOPE.examples,
            "What are your store hours?",
            "What's your return policy?",
            "How many days do I have to return something?",
            "How much does shipping cost?",
            "Cancel my order, please.",
            "I want to change the address of an order.",
            "I'd like to exchange it for another color.",
            "Where is your nearest store?",
            "Do you sell televisions?",
            "Do you have this in a larger size in stock?",
            "Which laptop should I buy?",
            "How much does the blue jacket cost?",
            "Do you price match other shops?",
            "Do you have any discounts or coupon codes?",
            "I want to buy a gift card.",
            "Can I pay with bitcoin?",
            "I forgot my password for the website.",
            "Your website doesn't load on my phone.",
            "How do I set up my new camera?",
            "Does the vacuum come with a warranty?",
            "I need a doctor's appointment.",
            "Is the coffee maker dishwasher safe?",
            "Do you ship to Mars?",
            "I'd like to place a new order for a bicycle.",
            "Unsubscribe me from your newsletter.",
            "I'd like to reserve a table for two.",
        ),
    ),
)

DIALOGUE: Final = Dialogue(
    intents=(_ORDER_STATUS, _RETURN, _REFUND, _ACCOUNT, _PERSON, *_SMALL_TALK),
    slots=_SLOTS,
    verification=Verification(
        tool="verify_caller",
        ways=(("order_id", "zip_code"), ("email",), ("name", "zip_code")),
        ask="To keep your account safe, I need to verify you first.",
        refused="I'm sorry, that doesn't match our records.",
    ),
    person="speak_to_person",
    phrases=Phrases(
        hello="Hi, this is Sarah! How can I help you today?",
        offer_person="Would you like me to get a colleague for you?",
        ask_many="That order has the {choices}. Which would you like to return?",
        ask_choice="I see orders ending in {choices}. Which one is it?",
    ),
)
"""The bundled agent's dialogue."""
