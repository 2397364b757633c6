"""A code sender that sends nothing: for tests of agents that ask for one-time codes."""

from talkspurt.agent import ToolError


class MemoryCodeSender:
    """`CodeSender` in a list. `reachable` False is an account without a number or address."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.reachable = True

    async def send(self, account: str, code: str, *, locale: str) -> str:
        if not self.reachable:
            raise ToolError("There is no number on file that I could send a code to.")
        self.sent.append((account, code))
        return "the number that ends in 12"
