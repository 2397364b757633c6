"""What callers want besides orders: their account, products, answers, a person, and small talk."""

from dataclasses import replace
from typing import Final

from talkspurt.agent.dialogue import Intent, Outcome
from talkspurt.agent.small_talk import CAPABILITIES, GOODBYE, OUT_OF_SCOPE, REPEAT, SLOWER, SPELL, THANKS

ACCOUNT: Final = Intent(
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
            "You can pay with your {payment_methods.name:list}.",
            about=(
                "Which payment methods do I have?",
                "What cards do you have saved for me?",
                "How much is left on my gift card?",
                "Is my PayPal on file?",
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

MOVE: Final = Intent(
    "account_address",
    title="change the address of your account",
    slots=("own_address",),
    tool="change_account_address",
    arguments={"address": "{own_address}"},
    doubts={"own_address": "address"},
    examples=(
        "I've moved, please update my address.",
        "Change the address on my account.",
        "I have a new home address.",
        "Update my default address.",
        "My account still has my old address, please change it.",
        "I'd like to change my home address in your system.",
        "Please put my new address in my profile.",
        "I moved to another city and want to tell you my new address.",
        "Can you change the address you have on file for me?",
        "I need to give you my new address.",
        "My postal address has changed.",
        "Set a new default address for my account.",
        "We moved house last week, my account needs the new address.",
        "I want to correct the address in my customer profile.",
    ),
    outcomes=(Outcome("Done: the address on your account is {address}."),),
    declined="Okay, your address stays as it is.",
)

PRODUCTS: Final = Intent(
    "product_info",
    title="hear about a product",
    slots=("product",),
    tool="get_product",
    arguments={"product": "{product}", "options": "{product}"},
    doubts={"product": "What is it that you're looking for|Which product do you mean|Do you mean"},
    examples=(
        "How much does the blue jacket cost?",
        "Do you have this lamp in white?",
        "Do you sell coffee makers?",
        "What colors does the backpack come in?",
        "Is the tablet in stock?",
        "What sizes of running shoes do you have?",
        "How much is a yoga mat?",
        "Is the office chair available in leather?",
        "What's the price of the headphones?",
        "Tell me about your electric kettles.",
        "Do you carry garden hoses?",
        "Which versions of the speaker are there?",
        "What's the cheapest tablet you have?",
        "Do you have the jacket in large?",
        "Have you got any desk lamps left?",
        "I'm looking for a backpack, what do you have?",
        "Are the black headphones available?",
        "What kinds of coffee makers do you offer?",
        "Do you still sell that bluetooth speaker?",
        "How expensive is your cheapest office chair?",
    ),
    outcomes=(
        Outcome("I'm sorry, the {name} isn't available like that at the moment.", where={"available": 0}),
        Outcome(
            "Yes, we have the {name}: {cheapest}, for {from:money}.",
            where={"available": 1},
        ),
        Outcome("We have the {name} in {available} versions, from {from:money}. The cheapest is {cheapest}."),
    ),
)

SHOP_RULES: Final = Intent(
    "shop_rules",
    title="ask about our shop",
    tool="look_up_policy",
    arguments={"question": "{said}"},
    examples=(
        "What are your opening hours?",
        "When are you open?",
        "What are your store hours?",
        "Are you open on weekends?",
        "What's your return policy?",
        "How many days do I have to return something?",
        "How much does shipping cost?",
        "Is shipping free?",
        "How long does delivery usually take?",
        "Where is your nearest store?",
        "Do you ship abroad?",
        "Do you ship to Canada?",
        "Which payment methods do you accept?",
        "Can I pay with bitcoin?",
        "Do you take American Express?",
        "How long does a refund take to reach my account?",
        "Do you price match other shops?",
        "Do you have any discounts or coupon codes?",
        "Does the vacuum come with a warranty?",
        "What's your exchange policy?",
        "Can a pending order be changed in general?",
        "What is your cancellation policy?",
        "Do your gift cards expire?",
        "What do you do with my personal data?",
        "Why do you have to verify me?",
        "Unsubscribe me from your newsletter.",
        "How does a return work?",
        "Do I have to pay for sending something back?",
        "What happens if a parcel gets lost?",
        "Do you offer express delivery?",
        "Can I get a refund on a different card in general?",
    ),
    outcomes=(Outcome("{answer}"),),
)

PERSON: Final = Intent(
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
        # It says by itself what else could be done.
        Outcome(("{message}", "I'm sorry, nobody is free to take your call right now."), follow_up=False),
    ),
)

CALL_BACK: Final = Intent(
    "be_called_back",
    title="be called back",
    tool="escalate_to_human",
    arguments={
        "reason": "The caller asked to be called back. Topic: {topic}. Last words: {said}",
        "callback": "true",
    },
    examples=(
        "Can someone call me back?",
        "Call me back, please.",
        "I'd like a call back.",
        "Have a colleague call me back.",
        "Please ring me back later.",
        "Could somebody give me a call later?",
        "I'd rather be called back.",
        "Just have them call me.",
        "Arrange a callback for me.",
        "You can call me back on this number.",
    ),
    outcomes=(Outcome("{message}"),),
)

SMALL_TALK: Final = (
    GOODBYE,
    THANKS,
    REPEAT,
    SLOWER,
    SPELL,
    replace(
        CAPABILITIES,
        say="I can check, change or cancel an order, set up a return or an exchange, or look at your account.",
    ),
    replace(
        OUT_OF_SCOPE,
        say=(
            "I'm sorry, I don't know about that. I can help with orders, returns, our products, or your account.",
            "I'm afraid I can't help with that. I can help with orders, returns, our products, or your account.",
        ),
        examples=(
            *OUT_OF_SCOPE.examples,
            "Which laptop should I buy?",
            "I want to buy a gift card.",
            "I forgot my password for the website.",
            "Your website doesn't load on my phone.",
            "How do I set up my new camera?",
            "I need a doctor's appointment.",
            "Is the coffee maker dishwasher safe?",
            "I'd like to place a new order for a bicycle.",
            "I'd like to reserve a table for two.",
        ),
    ),
)

INTENTS: Final = (ACCOUNT, MOVE, PRODUCTS, SHOP_RULES, PERSON, CALL_BACK, *SMALL_TALK)
"""All of this module."""
