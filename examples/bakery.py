"""A bakery that tells when it is open: a whole agent. Try it, from the repository:

TALKSPURT_CONFIG=examples/bakery.toml .venv/bin/talkspurt call --serve --say "When are you open on Sunday?"
"""

from talkspurt import Agent, tool
from talkspurt.agent.dialogue import Dialogue, Intent, Outcome, Slot
from talkspurt.agent.small_talk import SMALL_TALK

HOURS = {"Friday": "seven to six", "Saturday": "eight to four", "Sunday": "nine to noon"}


@tool
async def opening_hours(day: str) -> dict[str, str]:
    """Tell when the bakery is open on a day of the weekend."""
    return {"hours": HOURS.get(day, "no time at all")}


questions = ("When are you open?", "Are you open on Sunday?", "What time do you close?", "Can I come by on Saturday?")
answer = Outcome("On {day} we're open from {hours}. Anything else?")
hours = Intent(
    "hours", questions, title="know our opening hours", slots=("day",), tool="opening_hours", outcomes=(answer,)
)
day = Slot("day", "choice", ask="For Friday, Saturday or Sunday?", choices=tuple(HOURS))

agent = Agent(
    name="Ben",
    prompt="You are Ben, the friendly voice of Mill Street Bakery. At most 20 words a turn.",
    greeting="Mill Street Bakery, this is Ben, an AI assistant. How can I help?",
    tools=[opening_hours],
    dialogue=Dialogue(intents=(hours, *SMALL_TALK), slots=(day,)),
)
