"""A dentist's front desk: an agent of one's own, with nothing left out.

Try it from the repository:
TALKSPURT_CONFIG=examples/dentist.toml .venv/bin/talkspurt call --serve --say "I need an appointment."
"""

from talkspurt.agent import Agent, ToolError, tool
from talkspurt.agent.dialogue import Dialogue, Intent, Options, Outcome, Slot
from talkspurt.agent.small_talk import SMALL_TALK

free = {"Monday": ["nine thirty", "two o'clock"], "Tuesday": ["eleven o'clock"], "Thursday": ["four fifteen"]}


@tool
async def find_times(day: str) -> dict[str, list[dict[str, str]]]:
    """List the free appointments of a weekday."""
    return {"times": [{"time": time} for time in free.get(day, [])]}


async def word_booking(day: str, time: str) -> str:
    if time not in free.get(day, []):
        raise ToolError("That time isn't free.")
    return f"I'll book {day} at {time} for you. Shall I go ahead?"


@tool(effect=True, read_back=word_booking)
async def book(day: str, time: str) -> dict[str, str]:
    """Book an appointment on a weekday at one of its free times."""
    if time not in free.get(day, []):
        raise ToolError("That time was just taken.")
    free[day].remove(time)
    return {"status": "booked", "day": day, "time": time}


# How Robin talks when no language model is configured.
dialogue = Dialogue(
    intents=(
        Intent(
            "book",
            title="book an appointment",
            examples=("I'd like to see the dentist.", "Can I get an appointment?", "My tooth hurts.", "Are you free?"),
            slots=("day", "time"),
            tool="book",
            outcomes=(Outcome("You're booked for {day} at {time}."),),
        ),
        *SMALL_TALK,
    ),
    slots=(
        Slot("day", "choice", ask="Which day suits you: Monday, Tuesday or Thursday?", choices=tuple(free)),
        Slot(
            "time",
            "choice",
            ask="Which time suits you?",
            options=Options("find_times", items="times", value="time", arguments={"day": "{day}"}),
        ),
    ),
)

agent = Agent(
    name="Robin",
    prompt="You are Robin, the friendly voice of Elm Street Dental. Book appointments. At most 20 words a turn.",
    greeting="Elm Street Dental, this is Robin, an AI assistant. How can I help?",
    tools=[find_times, book],
    dialogue=dialogue,
)
