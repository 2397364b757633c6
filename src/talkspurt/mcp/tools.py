"""A tool of an MCP server as a `Tool`: what the server says of it, under what the configuration declares.

The server gives the schema and words; name, level, effect and all else come from the declaration. Arguments are checked
against the schema that the server shows *now*, when they are proposed and again when they are sent.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from inspect import Parameter, Signature
from typing import Any, ClassVar, Final

from mcp_types import CallToolResult, TextContent
from mcp_types import Tool as ListedTool
from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from talkspurt.agent import Caller, Effect, Expectation, Progress, ReadBack, Tool, ToolError
from talkspurt.agent.declarations import KEY, TOOL_NAME, read_rate
from talkspurt.agent.plain_text import clean, message
from talkspurt.config_mcp import McpLookup, McpToolConfig
from talkspurt.errors import ConfigurationError
from talkspurt.mcp.connection import McpConnection, NotSentError
from talkspurt.mcp.schema import UnusableSchemaError, description_of, usable_schema
from talkspurt.mcp.wording import ReadBackTemplate

IDEMPOTENCY_KEY: Final = "talkspurt/idempotency-key"
"""Where `_meta` carries an effect's key when no argument takes it."""
ERROR_CHARACTERS: Final = 200

NO_AMOUNT: Final = "I need the amount, as a whole number of cents. Nothing was done."
UNREACHABLE: Final = "That system can't be reached just now. Nothing was done."
BUSY: Final = "That system is busy just now. Nothing was done."
CHANGED: Final = "That system does not offer this any more. Nothing was done."

_REASONS: Final[Mapping[str, str]] = {
    "not connected": UNREACHABLE,
    "too many calls at once": BUSY,
    "rejected": CHANGED,
}
# No argument of a server's tool can have these names, so nothing the model sends takes their place.
_CALLER: Final = "(caller)"
_EFFECT: Final = "(effect)"
_PROGRESS: Final = "(progress)"


class ToolFailedError(Exception):
    """The server answered, but not so that it can be known what it did."""


@dataclass(frozen=True)
class ServerTool:
    """One tool of one server, declared or, with `allow = "reads"`, marked as read-only by the server."""

    connection: McpConnection
    listed_as: str
    """Its name on the server."""
    declared: McpToolConfig

    def __post_init__(self) -> None:
        if not TOOL_NAME.fullmatch(self.name):
            raise ConfigurationError(f"{self.where}: '{self.name}' is no name that models accept: give it offered_as")
        if mistake := self._template.mistake():
            raise ConfigurationError(f"{self.where}: its read_back {mistake}")
        lookup = self.declared.lookup
        if lookup is not None and not all(name.isidentifier() for name in lookup.arguments):
            raise ConfigurationError(f"{self.where}: lookup.arguments must be plain names")
        read_rate(self.name, self.declared.rate)

    @property
    def where(self) -> str:
        """Which setting declares it, for messages."""
        return f"mcp.servers.{self.connection.name}.tools.{self.listed_as}"

    @property
    def name(self) -> str:
        """Its name for the model."""
        return self.declared.offered_as or re.sub(r"[^A-Za-z0-9_]", "_", self.listed_as)

    @cached_property
    def _template(self) -> ReadBackTemplate:
        return ReadBackTemplate(self.declared.read_back, unspoken=self.declared.unspoken)

    @property
    def _hidden(self) -> tuple[str, ...]:
        """Arguments that the runtime fills and no model sees."""
        return tuple(filter(None, (self.declared.account_argument, self.declared.key_argument)))

    def tool(self) -> Tool | None:
        """The tool as it can be offered now; None when its server does not have it.

        Of a server that has shown nothing yet it takes anything, and answers that it cannot be reached.
        Raises `UnusableSchemaError`.
        """
        listed = self.connection.listed.get(self.listed_as)
        if listed is None and self.connection.listed:
            return None
        declared = self.declared
        schema = {"type": "object", "properties": {}} if listed is None else self._fitting_schema(listed)
        expects = declared.expects
        return Tool(
            name=self.name,
            description=declared.description or description_of(listed, self.name),
            parameters=schema,
            arguments=_arguments_model(self.name, self._checked),
            function=self._carry_out if declared.effect else self._read,
            caller_parameter=_CALLER,
            effect_parameter=_EFFECT if declared.effect else None,
            level=declared.level,
            effect=declared.effect,
            read_back=self._read_back if declared.effect else None,
            lookup=None if declared.lookup is None else _Lookup(self, declared.lookup),
            settles_within=declared.settles_within,
            sets=declared.sets,
            max_amount_cents=declared.max_amount_cents,
            rates=read_rate(self.name, declared.rate),
            untrusted=declared.untrusted,
            timeout=declared.timeout,
            filler=declared.filler,
            expects=None if expects is None else Expectation(expects.kind, expects.pattern),
            interruptible=declared.interruptible,
            cancellable=declared.cancellable,
            progress_parameter=_PROGRESS,
            finishes_later=declared.finishes_later,
        )

    def _schema(self, listed: ListedTool) -> dict[str, Any]:
        return usable_schema(listed.input_schema, hidden=self._hidden)

    def _fitting_schema(self, listed: ListedTool) -> dict[str, Any]:
        """The schema, if it has the arguments that the declaration speaks of."""
        schema = self._schema(listed)
        if unknown := self._template.names - schema["properties"].keys():
            raise UnusableSchemaError(f"its read_back names {', '.join(sorted(unknown))}, which it does not take")
        if unknown := set(self.declared.sets or ()) - schema["properties"].keys():
            raise UnusableSchemaError(f"its sets names {', '.join(sorted(unknown))}, which it does not take")
        amount = self.declared.amount_argument
        if amount and amount not in schema["properties"]:
            raise UnusableSchemaError(f"its amount_argument is {amount}, which it does not take")
        if unknown := set(self._hidden) - listed.input_schema.get("properties", {}).keys():
            raise UnusableSchemaError(f"it does not take {', '.join(sorted(unknown))}")
        return schema

    # ── arguments ─────────────────────────────────────────────────────────────────

    def _checked(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """What a model sent, without nulls, if it fits the schema of now. Raises `PydanticCustomError`."""
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import best_match

        # Models that must fill every argument send null for those they mean to leave out.
        given = {name: value for name, value in arguments.items() if value is not None}
        listed = self.connection.listed.get(self.listed_as)
        if listed is None and not self.connection.listed:
            return given
        if listed is None:
            raise PydanticCustomError("mcp", "the system does not offer this any more")
        try:
            schema = self._schema(listed)
        except UnusableSchemaError:
            raise PydanticCustomError("mcp", "the system does not offer this any more") from None
        if (error := best_match(Draft202012Validator(schema).iter_errors(given))) is not None:
            where = ".".join(str(part) for part in error.absolute_path)
            raise PydanticCustomError(
                "mcp", "{text}", {"text": f"{where}: {error.message}" if where else error.message}
            )
        return given

    def _complete(self, arguments: Mapping[str, Any], caller: Caller, key: str = "") -> dict[str, Any]:
        """The arguments as the server gets them. Raises `ToolError` when it would not take them any more."""
        try:
            complete = self._checked(dict(arguments))
        except PydanticCustomError:
            raise ToolError(CHANGED) from None
        if self.declared.account_argument:
            assert caller.account is not None, "the dispatcher lets nobody in below level 1"
            complete[self.declared.account_argument] = caller.account
        if self.declared.key_argument:
            complete[self.declared.key_argument] = key
        return complete

    # ── what the dispatcher runs ──────────────────────────────────────────────────

    async def _read(self, **keywords: Any) -> Any:
        caller: Caller = keywords.pop(_CALLER)
        progress: Progress = keywords.pop(_PROGRESS)
        result = await self._send(self._complete(keywords, caller), progress)
        if result.is_error:
            raise ToolError(_error_of(result))
        return answer_of(result)

    async def _read_back(self, **keywords: Any) -> ReadBack:
        del keywords[_CALLER]
        if not self.connection.connected:
            # Nobody is asked to agree to what cannot be done.
            raise ToolError(UNREACHABLE)
        words = self._template.word(keywords)
        if not self.declared.amount_argument:
            return ReadBack(words)
        amount = keywords.get(self.declared.amount_argument)
        if isinstance(amount, bool) or not isinstance(amount, int):
            # JSON Schema takes 100.0 for an integer, too; an amount that is not understood must pass no limit.
            raise ToolError(NO_AMOUNT)
        return ReadBack(words, amount_cents=amount)

    async def _carry_out(self, **keywords: Any) -> Any:
        caller: Caller = keywords.pop(_CALLER)
        progress: Progress = keywords.pop(_PROGRESS)
        effect: Effect = keywords.pop(_EFFECT)
        meta = None if self.declared.key_argument else {IDEMPOTENCY_KEY: effect.key}
        result = await self._send(self._complete(keywords, caller, effect.key), progress, meta)
        if not result.is_error:
            return answer_of(result)
        if self.declared.errors == "not_done":
            raise ToolError(_error_of(result))
        raise ToolFailedError("the server reports an error, which leaves open what it did")

    async def _send(
        self, arguments: Mapping[str, Any], progress: Progress, meta: Mapping[str, Any] | None = None
    ) -> CallToolResult:
        async def farther() -> None:
            await progress(self.declared.progress)

        on_progress = farther if self.declared.progress else None
        try:
            return await self.connection.call(self.listed_as, arguments, meta=meta, on_progress=on_progress)
        except NotSentError as reason:
            raise ToolError(_REASONS[str(reason)]) from None


class _Lookup:
    """Asks the server's own tool what came of an effect; called with the parameters that its signature names."""

    def __init__(self, effect: ServerTool, lookup: McpLookup) -> None:
        self._effect = effect
        self._lookup = lookup
        names = (KEY, *lookup.arguments)
        self.__signature__ = Signature([Parameter(name, Parameter.KEYWORD_ONLY) for name in names])

    async def __call__(self, **keywords: Any) -> Any:
        """The effect's result, or None when it did not happen. Raises when the server does not say."""
        lookup, connection = self._lookup, self._effect.connection
        arguments = {name: keywords[name] for name in lookup.arguments if keywords.get(name) is not None}
        result = await connection.call(lookup.tool, {**arguments, lookup.key_argument: keywords[KEY]})
        said = answer_of(result)
        happened = said.get(lookup.happened) if isinstance(said, dict) else None
        if result.is_error or not isinstance(happened, bool):
            raise ToolFailedError(f"{lookup.tool} does not say whether it happened")
        return said if happened else None


def _arguments_model(name: str, check: Callable[[dict[str, Any]], dict[str, Any]]) -> type[BaseModel]:
    """A model without fields of its own: what it holds is what `check` lets through."""

    class Arguments(BaseModel):
        model_config = ConfigDict(extra="allow", title=name)
        checking: ClassVar = staticmethod(check)

        @model_validator(mode="before")
        @classmethod
        def _checked(cls, value: Any) -> Any:
            return cls.checking(value) if isinstance(value, dict) else value

    return Arguments


def answer_of(result: CallToolResult) -> Any:
    """What a server answered, as JSON: its structured content, otherwise its text."""
    if result.structured_content is not None:
        return result.structured_content
    text = _text_of(result)
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text_of(result: CallToolResult) -> str:
    return " ".join(block.text for block in result.content if isinstance(block, TextContent))


def _error_of(result: CallToolResult) -> str:
    text = message(clean(_text_of(result)))[:ERROR_CHARACTERS]
    return f"The system said: {text}" if text else "That did not work."
