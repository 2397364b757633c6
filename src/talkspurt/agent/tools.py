"""`@tool`: a typed async function that a model may call, with what the runtime must know of it.

The function's annotations become the JSON Schema that the model sees and that its arguments
are checked against; the docstring's first paragraph becomes the description, and lines of the
form `name: text` below it describe the arguments. A parameter annotated `Caller` is filled in
by the runtime and hidden from the model; so is one marked `KeypadSecret`, with digits that the
caller keys in and that nothing but the tool ever sees.

Every mistake in a declaration is a `ConfigurationError` when the module is imported, not a
surprise in a call.
"""

import inspect
import math
import re
import types
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, get_args, overload

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.errors import PydanticUserError

from talkspurt.agent.caller import Caller
from talkspurt.agent.expectations import mistake_in
from talkspurt.agent.refusal import ToolError
from talkspurt.core.digits import EntryRules
from talkspurt.core.events import Interruptible
from talkspurt.core.language import Expectation
from talkspurt.errors import ConfigurationError

__all__ = ["END_CALL", "SPEAK_SLOWER", "KeypadSecret", "Tool", "ToolError", "tool"]

END_CALL: Final = "end_call"
SPEAK_SLOWER: Final = "speak_slower"
"""The tools that the runtime itself adds to every agent; they take no arguments."""

MAX_LEVEL: Final = 2
TOOL_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,63}")
"""What every language-model vendor accepts as the name of a function."""

KEYED_IN: Final = " When you call it, the caller is asked to key in the {}: never ask them to say it."
"""Told to the model of every tool with a secret, or it would ask for the digits aloud."""

ToolFunction = Callable[..., Awaitable[Any]]
ReadBack = Callable[..., Awaitable[str]]


@dataclass(frozen=True, slots=True)
class KeypadSecret:
    """Marks a tool's parameter as digits that the caller keys in when the model calls the tool.

        async def verify_pin(caller: Caller, pin: Annotated[str, KeypadSecret("Please key in your PIN.", length=4)])

    The digits go from the keypad to the function: not to the model, the transcript, the log or the recording.
    """

    prompt: str
    """Said to the caller before the digits are collected."""
    length: int = 0
    """The exact number of digits, which ends the entry at once; 0 when it varies."""
    shortest: int = 1
    longest: int = 32
    """With a varying length the caller ends the entry with `#` or by a pause."""

    @property
    def rules(self) -> EntryRules:
        """When the entry is whole."""
        return EntryRules(shortest=self.length or self.shortest, longest=self.length or self.longest)


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
    read_back: ReadBack | None = None
    """Words the proposal from the arguments; may raise `ToolError` to refuse before anything is proposed."""
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

    def __get__(self, instance: object | None, owner: type | None = None) -> "Tool":
        """Bind a tool declared on a method to its object."""
        if instance is None or not self.unbound:
            return self
        read_back = self.read_back
        if read_back is not None and _is_unbound(read_back):
            read_back = types.MethodType(read_back, instance)
        return replace(self, function=types.MethodType(self.function, instance), read_back=read_back)

    @property
    def unbound(self) -> bool:
        """Whether this is a method that still lacks its object."""
        return _is_unbound(self.function)

    def keywords(self, arguments: BaseModel, caller: Caller, secret: str | None = None) -> dict[str, Any]:
        """Checked `arguments` as the function (and its read-back) take them, with caller and secret filled in."""
        fields = type(arguments).model_fields
        keywords = {str(fields[name].alias): getattr(arguments, name) for name in fields}
        if self.caller_parameter is not None:
            keywords[self.caller_parameter] = caller
        if self.secret_parameter is not None:
            assert secret is not None, "the dispatcher waits for it"
            keywords[self.secret_parameter] = secret
        return keywords


@overload
def tool(function: ToolFunction, /) -> Tool: ...


@overload
def tool(
    *,
    level: int = 0,
    verifies: int = 0,
    effect: bool = False,
    read_back: ReadBack | None = None,
    timeout: float = 5.0,
    filler: str = "",
    expects: Expectation | None = None,
    interruptible: Interruptible | None = None,
    cancellable: bool = False,
) -> Callable[[ToolFunction], Tool]: ...


def tool(
    function: ToolFunction | None = None,
    /,
    *,
    level: int = 0,
    verifies: int = 0,
    effect: bool = False,
    read_back: ReadBack | None = None,
    timeout: float = 5.0,
    filler: str = "",
    expects: Expectation | None = None,
    interruptible: Interruptible | None = None,
    cancellable: bool = False,
) -> Tool | Callable[[ToolFunction], Tool]:
    """Make a typed async function a tool; see `Tool` for what each declaration means.

    Use as `@tool` or `@tool(level=1, ...)` on functions and methods, or as `tool(shop.find_order)`.
    Raises `ConfigurationError` when the function or a declaration cannot be used.
    """

    def declare(function: ToolFunction) -> Tool:
        name = getattr(function, "__name__", repr(function))
        _check_function(name, function)
        _check_declarations(name, level=level, verifies=verifies, timeout=timeout, expects=expects)
        _check_interruption(name, effect=effect, interruptible=interruptible, cancellable=cancellable)
        parameters, caller_parameter, secrets = _parameters(name, function)
        secret_parameter, secret = _secret(name, secrets, effect=effect)
        _check_read_back(name, function, effect=effect, read_back=read_back)
        description, notes = _documentation(name, function, tuple(parameters))
        if secret_parameter is not None:
            description += KEYED_IN.format(secret_parameter)
        arguments = _arguments_model(name, parameters, notes)
        return Tool(
            name=name,
            description=description,
            parameters=_json_schema(name, arguments),
            arguments=arguments,
            function=function,
            caller_parameter=caller_parameter,
            secret_parameter=secret_parameter,
            secret=secret,
            level=level,
            verifies=verifies,
            effect=effect,
            read_back=read_back,
            timeout=timeout,
            filler=filler,
            expects=expects,
            interruptible=interruptible,
            cancellable=cancellable,
        )

    return declare if function is None else declare(function)


# ── checks ────────────────────────────────────────────────────────────────────────


def _check_function(name: str, function: ToolFunction) -> None:
    if not inspect.iscoroutinefunction(function):
        raise ConfigurationError(f"tool '{name}' must be an async function: write 'async def {name}(...)'")
    if not TOOL_NAME.fullmatch(name):
        raise ConfigurationError(f"tool '{name}': a name has 1 to 64 letters, digits and _, and begins with a letter")
    if name in (END_CALL, SPEAK_SLOWER):
        raise ConfigurationError(f"tool '{name}' is built in: give yours another name")


def _check_interruption(name: str, *, effect: bool, interruptible: Interruptible | None, cancellable: bool) -> None:
    if interruptible not in (None, *get_args(Interruptible)):
        raise ConfigurationError(
            f"tool '{name}': interruptible must be one of {', '.join(get_args(Interruptible))}, not {interruptible!r}"
        )
    if effect and cancellable:
        raise ConfigurationError(f"tool '{name}': a confirmed effect is carried through; drop cancellable")


def _check_declarations(name: str, *, level: int, verifies: int, timeout: float, expects: Expectation | None) -> None:
    for key, value in (("level", level), ("verifies", verifies)):
        if not 0 <= value <= MAX_LEVEL:
            raise ConfigurationError(f"tool '{name}': {key} must be 0, 1 or {MAX_LEVEL}, not {value}")
    if not (timeout > 0 and math.isfinite(timeout)):
        raise ConfigurationError(f"tool '{name}': timeout must be a positive number of seconds, not {timeout}")
    if expects is not None and (mistake := mistake_in(expects)):
        raise ConfigurationError(f"tool '{name}' {mistake}")


def _check_read_back(name: str, function: ToolFunction, *, effect: bool, read_back: ReadBack | None) -> None:
    if read_back is None:
        if effect:
            raise ConfigurationError(
                f"tool '{name}' has an effect, so the caller must hear what will be done: "
                "give it read_back=, an async function that words it"
            )
        return
    if not effect:
        raise ConfigurationError(f"tool '{name}' has a read_back but no effect: add effect=True or drop it")
    if not inspect.iscoroutinefunction(read_back):
        raise ConfigurationError(f"tool '{name}': its read_back must be an async function that returns the sentence")
    expected = tuple(inspect.signature(function).parameters)
    found = tuple(inspect.signature(read_back).parameters)
    if set(_without_self(expected)) != set(_without_self(found)):
        raise ConfigurationError(
            f"tool '{name}': its read_back must take the same parameters, "
            f"({', '.join(expected)}), not ({', '.join(found)})"
        )


def _secret(
    name: str, secrets: dict[str, tuple[Any, KeypadSecret]], *, effect: bool
) -> tuple[str | None, KeypadSecret | None]:
    """Check the secret parameter, if there is one, and return it."""
    if not secrets:
        return None, None
    if len(secrets) > 1:
        raise ConfigurationError(f"tool '{name}' has several secrets: ask for each in a tool of its own")
    ((parameter, (kind, secret)),) = secrets.items()
    where = f"tool '{name}': the secret '{parameter}'"
    if kind is not str:
        raise ConfigurationError(f"{where} must be a str: digits may begin with 0")
    if effect:
        # Its digits would have to be kept until the caller has agreed, and compared with the effect's earlier ones.
        raise ConfigurationError(
            f"{where} cannot be given to an effect: check it in a tool with verifies=2, and give the effect level=2"
        )
    if not secret.prompt.strip():
        raise ConfigurationError(f"{where} needs a prompt that asks the caller to key it in")
    if secret.length < 0:
        raise ConfigurationError(f"{where}: length must not be negative")
    try:
        _ = secret.rules
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    return parameter, secret


def _is_unbound(function: Callable[..., Any]) -> bool:
    return next(iter(inspect.signature(function).parameters), None) == "self"


def _without_self(names: tuple[str, ...]) -> tuple[str, ...]:
    return names[1:] if names[:1] == ("self",) else names


# ── from the function to what a model is told ─────────────────────────────────────


def _parameters(
    name: str, function: ToolFunction
) -> tuple[dict[str, tuple[Any, Any]], str | None, dict[str, tuple[Any, KeypadSecret]]]:
    """Parameter name to (annotation, default), the name of the parameter for the `Caller`, and the secret ones."""
    try:
        hints = inspect.get_annotations(_unwrapped(function), eval_str=True)
    except (NameError, TypeError, SyntaxError) as error:
        raise ConfigurationError(f"tool '{name}': an annotation cannot be resolved: {error}") from None
    parameters: dict[str, tuple[Any, Any]] = {}
    secrets: dict[str, tuple[Any, KeypadSecret]] = {}
    caller_parameter = None
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "self" and not parameters and caller_parameter is None:
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigurationError(f"tool '{name}': parameter '{parameter}' must be an ordinary named parameter")
        if parameter.name not in hints:
            raise ConfigurationError(
                f"tool '{name}': annotate parameter '{parameter.name}', e.g. '{parameter.name}: str'"
            )
        hint = hints[parameter.name]
        if hint is Caller:
            if caller_parameter is not None:
                raise ConfigurationError(f"tool '{name}' takes the Caller twice")
            caller_parameter = parameter.name
            continue
        marks = getattr(hint, "__metadata__", ())
        if secret := next((mark for mark in marks if isinstance(mark, KeypadSecret)), None):
            secrets[parameter.name] = (hint.__origin__, secret)
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        parameters[parameter.name] = (hint, default)
    return parameters, caller_parameter, secrets


def _unwrapped(function: ToolFunction) -> Callable[..., Any]:
    function = inspect.unwrap(function)
    return function.__func__ if inspect.ismethod(function) else function


def _documentation(name: str, function: ToolFunction, parameters: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """The docstring's first paragraph, and what its `name: text` lines say of the parameters."""
    docstring = inspect.getdoc(function)
    if not docstring:
        raise ConfigurationError(f"tool '{name}' needs a docstring: the model reads there what the tool is for")
    description, _, rest = docstring.partition("\n\n")
    notes: dict[str, str] = {}
    current = None
    for line in rest.splitlines():
        label, colon, text = line.strip().partition(":")
        if colon and label in parameters:
            current = label
            notes[current] = text.strip()
        elif current is not None and line.startswith(" ") and line.strip():
            notes[current] = f"{notes[current]} {line.strip()}".strip()
        else:
            current = None
    return " ".join(description.split()), notes


def _arguments_model(name: str, parameters: dict[str, tuple[Any, Any]], notes: dict[str, str]) -> type[BaseModel]:
    # Fields are numbered and carry the real name as alias: a parameter may be called `json` or `copy`,
    # which would shadow a method of the model.
    fields: dict[str, Any] = {}
    for number, (parameter, (hint, default)) in enumerate(parameters.items()):
        extras: dict[str, Any] = {} if _has_description(hint) else {"description": notes.get(parameter)}
        fields[f"argument_{number}"] = (hint, Field(default, alias=parameter, **extras))
    try:
        return create_model(f"{name}_arguments", __config__=ConfigDict(extra="forbid"), **fields)
    except PydanticUserError as error:
        raise ConfigurationError(f"tool '{name}': a parameter has a type JSON cannot carry: {error.message}") from None


def _has_description(hint: Any) -> bool:
    return any(getattr(extra, "description", None) for extra in getattr(hint, "__metadata__", ()))


def _json_schema(name: str, arguments: type[BaseModel]) -> dict[str, Any]:
    try:
        schema = arguments.model_json_schema(by_alias=True)
    except PydanticUserError as error:
        raise ConfigurationError(f"tool '{name}': a parameter has a type JSON cannot carry: {error.message}") from None
    # Titles repeat the names; they would only cost the model tokens.
    schema.pop("title", None)
    for declaration in schema.setdefault("properties", {}).values():
        declaration.pop("title", None)
    return schema
