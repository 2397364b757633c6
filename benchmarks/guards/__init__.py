"""The guards of effects: each is a piece of the source, with what stands there once it is gone.

The tests named beside it run on a copy of the package without it; they have to fail. docs/effects.md has the list in
words; `python -m benchmarks.guards` goes through it.
"""

from typing import Final

from benchmarks.guards import authority, conversation, ledger, shop, tool_servers, way
from benchmarks.guards.guard import Guard

GUARDS: Final[tuple[Guard, ...]] = (
    *authority.GUARDS,
    *way.GUARDS,
    *ledger.GUARDS,
    *conversation.GUARDS,
    *tool_servers.GUARDS,
    *shop.GUARDS,
)
