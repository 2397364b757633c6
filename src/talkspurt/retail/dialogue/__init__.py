"""How Sarah talks when no language model is configured: the retail agent's dialogue, as data.

The tools it names are in `talkspurt.retail.tools`; the shape is explained in `talkspurt.agent.dialogue`.
"""

from typing import Final

from talkspurt.agent.dialogue import Dialogue, Phrases, Verification
from talkspurt.retail.dialogue import delivered, other, pending
from talkspurt.retail.dialogue.slots import ORDER_ID, SLOTS

__all__ = ["DIALOGUE", "ORDER_ID"]

DIALOGUE: Final = Dialogue(
    intents=(*pending.INTENTS, *delivered.INTENTS, *other.INTENTS),
    slots=SLOTS,
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
        ask_many="That order has the {choices}. Which one do you mean?",
        ask_choice="I see orders ending in {choices}. Which one is it?",
    ),
)
"""The bundled agent's dialogue."""
