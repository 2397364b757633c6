"""Reads a tool's function: what its signature, annotations and docstring say, and what is wrong with them.

Used by `talkspurt.agent.tools` alone. Every mistake is a `ConfigurationError` that says what to do.
"""

import inspect
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.errors import PydanticUserError

from talkspurt.agent.caller import Caller
from talkspurt.agent.effects import AccountOf, Effect
from talkspurt.agent.expectations import mistake_in
from talkspurt.agent.keypad_secret import KeypadSecret
from talkspurt.agent.progress import Progress
from talkspurt.agent.rates import Rate, parse_rates
from talkspurt.core.events import Interruptible
from talkspurt.core.language import Expectation
from talkspurt.errors import ConfigurationError

END_CALL: Final = "end_call"
SPEAK_SLOWER: Final = "speak_slower"
NEW_CALLER: Final = "new_caller"
"""The tools that the runtime itself adds to every agent; they take no arguments."""
BUILT_IN: Final = (END_CALL, SPEAK_SLOWER, NEW_CALLER)

MAX_LEVEL: Final = 2
TOOL_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,63}")
"""What every language-model vendor accepts as the name of a function."""
KEY: Final = "key"
"""The parameter of a lookup that receives the effect's key."""

ToolFunction = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes: from the model, and from the runtime."""

    arguments: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """Annotation and default of what the model sends, by name."""
    caller: str | None = None
    effect: str | None = None
    progress: str | None = None
    """Names of the parameters that receive the `Caller`, the `Effect` and the `Progress`."""
    secrets: dict[str, tuple[Any, KeypadSecret]] = field(default_factory=dict)
    accounts: tuple[str, ...] = ()
    """Arguments marked `AccountOf`."""

    @property
    def names(self) -> set[str]:
        """All parameters that a read-back takes, too."""
        return {*self.arguments, *self.secrets, *([self.caller] if self.caller else [])}


# ── checks ────────────────────────────────────────────────────────────────────────


def check_function(name: str, function: ToolFunction) -> None:
    """A tool is an async function with a name that every vendor accepts."""
    if not inspect.iscoroutinefunction(function):
        raise ConfigurationError(f"tool '{name}' must be an async function: write 'async def {name}(...)'")
    if not TOOL_NAME.fullmatch(name):
        raise ConfigurationError(f"tool '{name}': a name has 1 to 64 letters, digits and _, and begins with a letter")
    if name in BUILT_IN:
        raise ConfigurationError(f"tool '{name}' is built in: give yours another name")


def check_interruption(name: str, *, effect: bool, interruptible: Interruptible | None, cancellable: bool) -> None:
    """What may stop it, or the agent while it speaks of it."""
    if interruptible not in (None, *get_args(Interruptible)):
        raise ConfigurationError(
            f"tool '{name}': interruptible must be one of {', '.join(get_args(Interruptible))}, not {interruptible!r}"
        )
    if effect and cancellable:
        raise ConfigurationError(f"tool '{name}': a confirmed effect is carried through; drop cancellable")


def check_later(name: str, signature: Signature, *, effect: bool, verifies: int, cancellable: bool) -> None:
    """What finishes in a later turn neither waits for a yes or a secret, nor ends with the turn."""
    reason = None
    if effect:
        reason = "a confirmed effect is carried through in its turn: let it begin the work, and look at it with another"
    elif verifies:
        reason = "a caller is verified while they wait"
    elif signature.secrets:
        reason = "a secret is kept no longer than its turn"
    elif cancellable:
        reason = "no turn waits for it; drop cancellable"
    if reason is not None:
        raise ConfigurationError(f"tool '{name}' cannot finish later: {reason}")


def check_declarations(name: str, *, level: int, verifies: int, timeout: float, expects: Expectation | None) -> None:
    """Levels, time and expectation are of the kind they have to be."""
    for key, value in (("level", level), ("verifies", verifies)):
        if not 0 <= value <= MAX_LEVEL:
            raise ConfigurationError(f"tool '{name}': {key} must be 0, 1 or {MAX_LEVEL}, not {value}")
    if not (timeout > 0 and math.isfinite(timeout)):
        raise ConfigurationError(f"tool '{name}': timeout must be a positive number of seconds, not {timeout}")
    if expects is not None and (mistake := mistake_in(expects)):
        raise ConfigurationError(f"tool '{name}' {mistake}")


def check_amount(name: str, max_amount_cents: int | None, *, effect: bool) -> None:
    """A limit is of cents, and of an effect."""
    if max_amount_cents is None:
        return
    if not effect:
        raise ConfigurationError(f"tool '{name}' has a max_amount_cents but no effect: add effect=True or drop it")
    if isinstance(max_amount_cents, bool) or not isinstance(max_amount_cents, int) or max_amount_cents < 0:
        raise ConfigurationError(
            f"tool '{name}': max_amount_cents must be a whole number of cents, 0 or more, not {max_amount_cents}"
        )


def check_read_back(
    name: str, signature: Signature, *, effect: bool, read_back: ToolFunction | None, lookup: ToolFunction | None
) -> None:
    """An effect has a read-back with the tool's parameters, and perhaps a lookup; nothing else has either."""
    if not effect:
        given = {"read_back": read_back, "lookup": lookup, "parameter for the Effect": signature.effect}
        for what in (what for what, value in given.items() if value is not None):
            raise ConfigurationError(f"tool '{name}' has a {what} but no effect: add effect=True or drop it")
        return
    if read_back is None:
        raise ConfigurationError(
            f"tool '{name}' has an effect, so the caller must hear what will be done: "
            "give it read_back=, an async function that words it"
        )
    if not inspect.iscoroutinefunction(read_back):
        raise ConfigurationError(f"tool '{name}': its read_back must be an async function that returns the sentence")
    found = _without_self(tuple(inspect.signature(read_back).parameters))
    if set(found) != signature.names:
        raise ConfigurationError(
            f"tool '{name}': its read_back must take the same parameters, "
            f"({', '.join(sorted(signature.names))}), not ({', '.join(found)})"
        )
    if lookup is not None:
        _check_lookup(name, signature, lookup)


def _check_lookup(name: str, signature: Signature, lookup: ToolFunction) -> None:
    if not inspect.iscoroutinefunction(lookup):
        raise ConfigurationError(f"tool '{name}': its lookup must be an async function")
    if KEY in signature.names:
        raise ConfigurationError(
            f"tool '{name}': rename parameter '{KEY}', which its lookup needs for the effect's key"
        )
    found = _without_self(tuple(inspect.signature(lookup).parameters))
    if KEY not in found or not {*found} <= {KEY, *signature.names}:
        raise ConfigurationError(
            f"tool '{name}': its lookup must take '{KEY}' and may take ({', '.join(sorted(signature.names))}), "
            f"not ({', '.join(found)})"
        )


def check_outcome(
    name: str,
    signature: Signature,
    *,
    lookup: ToolFunction | None,
    settles_within: float,
    effect: bool,
    sets: Sequence[str] | None,
) -> None:
    """What is said of when and for how long an effect's outcome counts fits the tool."""
    if settles_within < 0 or not math.isfinite(settles_within):
        raise ConfigurationError(f"tool '{name}': settles_within must be seconds, 0 or more, not {settles_within}")
    if settles_within and lookup is None:
        raise ConfigurationError(f"tool '{name}': settles_within says when to believe a lookup: add one or drop it")
    if sets is None:
        return
    if not effect:
        raise ConfigurationError(f"tool '{name}' sets something but has no effect: add effect=True or drop it")
    if isinstance(sets, str) or not {*sets} < {*signature.arguments}:
        raise ConfigurationError(
            f"tool '{name}': sets must name some, not all, of ({', '.join(signature.arguments)}): what is "
            f"set, not to what; it is {sets!r}"
        )


def secret_of(
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


def is_unbound(function: Callable[..., Any]) -> bool:
    """Whether it is a method that still lacks its object."""
    return next(iter(inspect.signature(function).parameters), None) == "self"


def _without_self(names: tuple[str, ...]) -> tuple[str, ...]:
    return names[1:] if names[:1] == ("self",) else names


# ── from the function to what a model is told ─────────────────────────────────────


def read_signature(name: str, function: ToolFunction) -> Signature:
    """What the function takes."""
    try:
        hints = inspect.get_annotations(_unwrapped(function), eval_str=True)
    except (NameError, TypeError, SyntaxError) as error:
        raise ConfigurationError(f"tool '{name}': an annotation cannot be resolved: {error}") from None
    arguments: dict[str, tuple[Any, Any]] = {}
    secrets: dict[str, tuple[Any, KeypadSecret]] = {}
    injected: dict[type, str] = {}
    accounts = []
    for position, parameter in enumerate(inspect.signature(function).parameters.values()):
        if parameter.name == "self" and position == 0:
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigurationError(f"tool '{name}': parameter '{parameter}' must be an ordinary named parameter")
        if parameter.name not in hints:
            raise ConfigurationError(
                f"tool '{name}': annotate parameter '{parameter.name}', e.g. '{parameter.name}: str'"
            )
        hint = hints[parameter.name]
        if hint in (Caller, Effect, Progress):
            if hint in injected:
                raise ConfigurationError(f"tool '{name}' takes the {hint.__name__} twice")
            injected[hint] = parameter.name
            continue
        marks = getattr(hint, "__metadata__", ())
        if secret := next((mark for mark in marks if isinstance(mark, KeypadSecret)), None):
            secrets[parameter.name] = (hint.__origin__, secret)
            continue
        if any(isinstance(mark, AccountOf) or mark is AccountOf for mark in marks):
            accounts.append(parameter.name)
        arguments[parameter.name] = (hint, ... if parameter.default is parameter.empty else parameter.default)
    runtime = (injected.get(Caller), injected.get(Effect), injected.get(Progress))
    return Signature(arguments, *runtime, secrets, tuple(accounts))


def read_rate(name: str, rate: str) -> tuple[Rate, ...]:
    """The limits that a tool declares."""
    try:
        return parse_rates(rate)
    except ValueError as error:
        raise ConfigurationError(f"tool '{name}': {error}") from None


def _unwrapped(function: ToolFunction) -> Callable[..., Any]:
    function = inspect.unwrap(function)
    return function.__func__ if inspect.ismethod(function) else function


def documentation(name: str, function: ToolFunction, parameters: tuple[str, ...]) -> tuple[str, dict[str, str]]:
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


def arguments_model(name: str, parameters: dict[str, tuple[Any, Any]], notes: dict[str, str]) -> type[BaseModel]:
    """The model that checks what a language model sends."""
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


def json_schema(name: str, arguments: type[BaseModel]) -> dict[str, Any]:
    """What a language model is told of the arguments."""
    try:
        schema = arguments.model_json_schema(by_alias=True)
    except PydanticUserError as error:
        raise ConfigurationError(f"tool '{name}': a parameter has a type JSON cannot carry: {error.message}") from None
    # Titles repeat the names; they would only cost the model tokens.
    schema.pop("title", None)
    for declaration in schema.setdefault("properties", {}).values():
        declaration.pop("title", None)
    return schema
