"""The bundled retail agent under another name and voice, on a database of one's own.

Try it from the repository:
TALKSPURT_CONFIG=examples/store.toml .venv/bin/talkspurt call --serve --say "What are your opening hours?"
"""

from dataclasses import replace

from talkspurt.agent import Agent, Policies
from talkspurt.retail import create_agent


def open_store() -> Agent:
    """Sarah for another shop: its greeting, stricter verification, its own database file."""
    sarah = create_agent("sqlite+aiosqlite:///store.db")
    return replace(
        sarah,
        prompt=sarah.prompt.replace("Larkspur Home", "Corner Goods"),
        greeting="Thanks for calling Corner Goods, this is Sarah, an AI assistant. How can I help?",
        policies=Policies(verification_attempts=2),
    )
