"""How a tool refuses: an expected answer, not a fault."""

from collections.abc import Collection


class ToolError(Exception):
    """Raised by a tool to refuse: the message is a short fact the agent can say, never an internal detail.

    A refusal by a tool that verifies callers counts as a failed attempt, unless `attempted` is
    False: nothing was tried yet, for example because a fact is still missing. `accounts` are those that may have been
    meant, as far as they are known: failed attempts are counted per account, too, so that no one guesses at it in many
    calls.
    """

    def __init__(self, message: str, *, attempted: bool = True, accounts: Collection[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.attempted = attempted
        self.accounts = tuple(accounts)
