"""The agent that answers the benchmark's calls, with a probe of the event loop it lives on."""

from benchmarks.capacity.probe import probe

from talkspurt.agent import Agent


def create_agent() -> Agent:
    """The agent."""
    return Agent(
        name="bench",
        prompt="You answer a shop's telephone. Be brief.",
        greeting="Thank you for calling. How can I help you?",
        lifespan=probe,
    )
