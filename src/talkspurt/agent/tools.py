"""`@tool`: a typed async function that a model may call, with what the runtime must know of it.

The function's annotations become the JSON Schema that the model sees and that its arguments
are checked against; the docstring's first paragraph becomes the description, and lines of the
form `name: text` below it describe the arguments. A parameter annotated `Caller` is filled in
by the runtime and hidden from the model; so is one marked `KeypadSecret`, with digits that the
caller keys in and that nothing but the tool ever sees.

Every mistake in a declaration is a `ConfigurationError` when the module is imported, not a
surprise in a call.
"""

import types
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import signature as signature_of
from typing import Any, Final, overload

from pydantic import BaseModel

from talkspurt.agent import declarations
from talkspurt.agent.caller import Caller
from talkspurt.agent.declarations import BUILT_IN, END_CALL, NEW_CALLER, SPEAK_SLOWER, ToolFunction, is_unbound
from talkspurt.agent.effects import Effect, ReadBack
from talkspurt.agent.keypad_secret import KeypadSecret
from talkspurt.agent.progress import Progress
from talkspurt.agent.rates import Rate
from talkspurt.agent.refusal import ToolError
from talkspurt.core.events import Interruptible
from talkspurt.core.language import Expectation

__all__ = ["BUILT_IN", "END_CALL", "NEW_CALLER", "SPEAK_SLOWER", "KeypadSecret", "Tool", "ToolError", "tool"]

KEYED_IN: Final = " When you call it, the caller is asked to key in the {}: never ask them to say it."
"""Told to the model of every tool with a secret, or it would ask for the digits aloud."""

WordsIt = Callable[..., Awaitable[str | ReadBack]]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function with its declarations. Made by `@tool`, called only by the dispatcher.

    Declared on methods, it binds like one: `shop.find_order` is the tool that works on `shop`.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON Schema of the arguments, without the injected `Caller` and the secret."""
    arguments: type[BaseModel]
    """Checks a model's arguments; its fields carry the parameter names as aliases."""
    function: ToolFunction
    caller_parameter: str | None = None
    """Name of the parameter that receives the `Caller`, if there is one."""
    secret_parameter: str | None = None
    """Name of the parameter that receives the digits of `secret`, if there is one."""
    secret: KeypadSecret | None = None
    """What the caller has to key in before it runs."""
    level: int = 0
    """Verification level the caller needs before it runs."""
    verifies: int = 0
    """The level this tool may raise the caller to; its refusals count as failed attempts."""
    effect: bool = False
    """Changes something outside the conversation: needs a read-back that was heard and a yes."""
    read_back: WordsIt | None = None
    """Words the proposal from the arguments, and again right before it is carried out, when nothing may have changed;
    may raise `ToolError` to refuse."""
    effect_parameter: str | None = None
    """Name of the parameter that receives the `Effect`, if there is one."""
    lookup: ToolFunction | None = None
    """Tells what came of an effect's `key`: its result, or None when it did not happen and will not."""
    settles_within: float = 0.0
    """Seconds beyond `timeout` in which an outside system may still do what it was asked for: only after them does it
    count when the lookup says that an effect did not happen."""
    sets: tuple[str, ...] | None = None
    """Arguments that name what an effect sets to the others; () when it is the account's. Once that was set to
    something else, the same wish is a new one. None: within a call the same wish always gets the first result."""
    account_parameters: tuple[str, ...] = ()
    """Arguments that name an account: compared with the verified one."""
    max_amount_cents: int | None = None
    """Highest `ReadBack.amount_cents` of one effect, whatever a policy allows; one that is not stated, as in a
    read-back of words alone, is refused then. None: only a policy limits it."""
    rates: tuple[Rate, ...] = ()
    """How often it may run."""
    untrusted: bool = False
    """Its result holds free text of strangers: from then on the call may do less (docs/effects.md)."""
    timeout: float = 5.0
    """Seconds until the result is given up."""
    filler: str = ""
    """Said when the tool takes longer than a second; "" for the locale's own."""
    expects: Expectation | None = None
    """What the caller is expected to say once its answer has been spoken; None to read it from the words spoken."""
    interruptible: Interruptible | None = None
    """What may stop the agent when it speaks of the answer: "keypad", or "never" for what the law wants to be heard to
    its end; None as the agent's policies say."""
    cancellable: bool = False
    """Whether a caller who interrupts the turn that waits for it also stops the tool; otherwise it goes on."""
    progress_parameter: str | None = None
    """Name of the parameter that receives the `Progress`, if there is one."""
    finishes_later: bool = False
    """The model is told that it has started, the conversation goes on, and its result comes in a later turn, within
    `timeout`; if the call ends first, it is stopped."""

    def __get__(self, instance: object | None, owner: type | None = None) -> "Tool":
        """Bind a tool declared on a method to its object."""
        if instance is None or not self.unbound:
            return self

        def bound(function: ToolFunction) -> ToolFunction:
            return types.MethodType(function, instance) if is_unbound(function) else function

        return replace(
            self,
            function=bound(self.function),
            read_back=self.read_back and bound(self.read_back),
            lookup=self.lookup and bound(self.lookup),
        )

    @property
    def unbound(self) -> bool:
        """Whether this is a method that still lacks its object."""
        return is_unbound(self.function)

    @property
    def longest(self) -> float:
        """Seconds that its functions may take in all until the model has an answer."""
        # An effect is worded again before it is carried out, and looked up when it fails.
        return 3 * self.timeout if self.effect else self.timeout

    def keywords(
        self,
        arguments: BaseModel,
        caller: Caller,
        *,
        secret: str | None = None,
        effect: Effect | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """`arguments` as the function takes them, with what the runtime fills in; a read-back gets no effect."""
        fields = type(arguments).model_fields
        keywords = {str(fields[name].alias): getattr(arguments, name) for name in fields}
        # Of a tool whose arguments only its server knows.
        keywords |= arguments.model_extra or {}
        if self.caller_parameter is not None:
            keywords[self.caller_parameter] = caller
        if self.secret_parameter is not None:
            assert secret is not None, "the dispatcher waits for it"
            keywords[self.secret_parameter] = secret
        if self.effect_parameter is not None and effect is not None:
            keywords[self.effect_parameter] = effect
        if self.progress_parameter is not None and progress is not None:
            keywords[self.progress_parameter] = progress
        return keywords

    async def look_up(self, arguments: BaseModel, caller: Caller, key: str) -> Any | None:
        """Ask the tool's `lookup` what came of an effect. Raises what the lookup raises."""
        assert self.lookup is not None, "whoever asks has looked"
        known = {**self.keywords(arguments, caller), declarations.KEY: key}
        return await self.lookup(**{name: known.get(name) for name in signature_of(self.lookup).parameters})


@overload
def tool(function: ToolFunction, /) -> Tool: ...


@overload
def tool(
    *,
    level: int = 0,
    verifies: int = 0,
    effect: bool = False,
    read_back: WordsIt | None = None,
    lookup: ToolFunction | None = None,
    settles_within: float = 0.0,
    sets: Sequence[str] | None = None,
    max_amount_cents: int | None = None,
    rate: str = "",
    untrusted: bool = False,
    timeout: float = 5.0,
    filler: str = "",
    expects: Expectation | None = None,
    interruptible: Interruptible | None = None,
    cancellable: bool = False,
    finishes_later: bool = False,
) -> Callable[[ToolFunction], Tool]: ...


def tool(
    function: ToolFunction | None = None,
    /,
    *,
    level: int = 0,
    verifies: int = 0,
    effect: bool = False,
    read_back: WordsIt | None = None,
    lookup: ToolFunction | None = None,
    settles_within: float = 0.0,
    sets: Sequence[str] | None = None,
    max_amount_cents: int | None = None,
    rate: str = "",
    untrusted: bool = False,
    timeout: float = 5.0,
    filler: str = "",
    expects: Expectation | None = None,
    interruptible: Interruptible | None = None,
    cancellable: bool = False,
    finishes_later: bool = False,
) -> Tool | Callable[[ToolFunction], Tool]:
    """Make a typed async function a tool; see `Tool` for what each declaration means.

    Use as `@tool` or `@tool(level=1, ...)` on functions and methods, or as `tool(shop.find_order)`.
    Raises `ConfigurationError` when the function or a declaration cannot be used.
    """

    def declare(function: ToolFunction) -> Tool:
        name = getattr(function, "__name__", repr(function))
        declarations.check_function(name, function)
        declarations.check_declarations(name, level=level, verifies=verifies, timeout=timeout, expects=expects)
        declarations.check_interruption(name, effect=effect, interruptible=interruptible, cancellable=cancellable)
        signature = declarations.read_signature(name, function)
        if finishes_later:
            declarations.check_later(name, signature, effect=effect, verifies=verifies, cancellable=cancellable)
        secret_parameter, secret = declarations.secret_of(name, signature.secrets, effect=effect)
        declarations.check_amount(name, max_amount_cents, effect=effect)
        declarations.check_read_back(name, signature, effect=effect, read_back=read_back, lookup=lookup)
        declarations.check_outcome(
            name, signature, lookup=lookup, settles_within=settles_within, effect=effect, sets=sets
        )
        description, notes = declarations.documentation(name, function, tuple(signature.arguments))
        if secret_parameter is not None:
            description += KEYED_IN.format(secret_parameter)
        arguments = declarations.arguments_model(name, signature.arguments, notes)
        return Tool(
            name=name,
            description=description,
            parameters=declarations.json_schema(name, arguments),
            arguments=arguments,
            function=function,
            caller_parameter=signature.caller,
            secret_parameter=secret_parameter,
            secret=secret,
            level=level,
            verifies=verifies,
            effect=effect,
            read_back=read_back,
            effect_parameter=signature.effect,
            lookup=lookup,
            settles_within=settles_within,
            sets=None if sets is None else tuple(sets),
            account_parameters=signature.accounts,
            max_amount_cents=max_amount_cents,
            rates=declarations.read_rate(name, rate),
            untrusted=untrusted,
            timeout=timeout,
            filler=filler,
            expects=expects,
            interruptible=interruptible,
            cancellable=cancellable,
            progress_parameter=signature.progress,
            finishes_later=finishes_later,
        )

    return declare if function is None else declare(function)
