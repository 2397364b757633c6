"""A florist whose tools are an MCP server's: the agent has none of its own, only words for them.

Try it from the repository:
TALKSPURT_CONFIG=examples/florist.toml .venv/bin/talkspurt call --serve --say "What do tulips cost?"

What the server may do, and what the caller hears before it does it, is in `florist.toml`.
"""

from talkspurt import Agent
from talkspurt.agent.dialogue import Dialogue, Intent, Outcome, Slot
from talkspurt.agent.small_talk import SMALL_TALK

FLOWERS = ("roses", "tulips", "sunflowers")

dialogue = Dialogue(
    intents=(
        Intent(
            "price",
            title="ask for a price",
            examples=("How much are roses?", "What do the tulips cost?", "What's the price of sunflowers?"),
            slots=("flower",),
            tool="flower_price",
            outcomes=(Outcome("A bunch of {flower} is {price:money}."),),
        ),
        Intent(
            "order",
            title="order flowers",
            examples=(
                "I'd like to order flowers.",
                "Please put tulips aside for me.",
                "I want to buy a bunch of roses.",
            ),
            slots=("flower",),
            tool="order_bunch",
            outcomes=(Outcome("Your {flower} will be ready in an hour."),),
        ),
        *SMALL_TALK,
    ),
    slots=(Slot("flower", "choice", ask="Roses, tulips or sunflowers?", choices=FLOWERS),),
)

agent = Agent(
    name="Iris",
    prompt="You are Iris, the friendly voice of Canal Street Flowers. At most 20 words a turn.",
    greeting="Canal Street Flowers, this is Iris, an AI assistant. How can I help?",
    dialogue=dialogue,
)
