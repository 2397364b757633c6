"""A language model that always fails, for `model.name = "custom:e2e.broken_model:create"`."""

from collections.abc import AsyncGenerator
from typing import Any

from talkspurt.errors import ProviderError
from talkspurt.ports import ReplyPart, ReplyRequest


class BrokenModel:
    """As a vendor is whose account was closed over night."""

    async def warm_up(self) -> None:
        """It was well when the server started."""

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        raise ProviderError("model", "broken", "HTTP 403")
        yield

    async def aclose(self) -> None:
        """Nothing to do."""


def create(_config: Any, _agent: Any) -> BrokenModel:
    """Called by the configuration."""
    return BrokenModel()
