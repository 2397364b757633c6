"""What a server says of its tools: strangers' data, until it has been through here.

A schema is rebuilt from a list of harmless keywords and checked, so that what is left can be shown to a model and used
to check arguments at once: references are resolved, patterns are dropped (a regular expression of somebody else's
could hold up all calls of the process; the server checks them itself), texts are cleaned and cut, and all of it has
a greatest size.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from mcp_types import Tool

from talkspurt.agent.plain_text import clean

DESCRIPTION_CHARACTERS: Final = 400
NOTE_CHARACTERS: Final = 200
SCHEMA_BYTES: Final = 8 * 1024
"""A schema is sent to the model with each request."""
DEPTH: Final = 8
NODES: Final = 400
MOST_ARGUMENTS: Final = 32
MOST_VALUES: Final = 100
ARGUMENT_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}")

_NUMBERS: Final = frozenset(
    {
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
        "minLength", "maxLength", "minItems", "maxItems",
    }
)  # fmt: skip
_ALTERNATIVES: Final = frozenset({"anyOf", "oneOf", "allOf"})


class UnusableSchemaError(ValueError):
    """A tool's schema cannot be offered to a model; says why, in words of ours only."""


def description_of(tool: Tool | None, name: str) -> str:
    """A server's description of a tool as one short clean line; the name in words without one."""
    text = tool.description if tool is not None else None
    return _line(text or "", DESCRIPTION_CHARACTERS) or name.replace("_", " ")


def usable_schema(schema: Mapping[str, Any], *, hidden: Collection[str] = ()) -> dict[str, Any]:
    """The schema of a tool's arguments, without the `hidden` ones, in a form that can be shown and checked against.

    Raises `UnusableSchemaError`.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    usable = _Rebuilder(schema).rebuild(schema)
    if usable.get("type", "object") != "object":
        raise UnusableSchemaError("its arguments are no object")
    properties = usable.get("properties", {})
    if len(properties) > MOST_ARGUMENTS:
        raise UnusableSchemaError(f"it takes more than {MOST_ARGUMENTS} arguments")
    usable["type"] = "object"
    usable["properties"] = {name: kind for name, kind in properties.items() if name not in hidden}
    usable["required"] = [name for name in usable.get("required", []) if name not in hidden]
    usable["additionalProperties"] = False
    if len(json.dumps(usable)) > SCHEMA_BYTES:
        raise UnusableSchemaError(f"its schema is longer than {SCHEMA_BYTES} bytes")
    try:
        Draft202012Validator.check_schema(usable)
    except SchemaError:
        raise UnusableSchemaError("its schema is none") from None
    return usable


class _Rebuilder:
    """Rebuilds one schema; a reference is replaced by what it refers to."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._nodes = 0

    def rebuild(self, schema: Any, depth: int = 0) -> dict[str, Any]:
        self._nodes += 1
        if depth > DEPTH or self._nodes > NODES:
            raise UnusableSchemaError("its schema is too deep or too large")
        if schema is True:
            return {}
        if not isinstance(schema, Mapping):
            raise UnusableSchemaError("its schema is none")
        rebuilt: dict[str, Any] = {}
        if "$ref" in schema:
            rebuilt |= self.rebuild(self._resolved(schema["$ref"]), depth + 1)
        for keyword, value in schema.items():
            usable = self._keyword(keyword, value, depth)
            if usable is not None:
                rebuilt[keyword] = usable
        return rebuilt

    def _keyword(self, keyword: str, value: Any, depth: int) -> Any:
        """The usable form of a keyword's value; None to leave it out."""
        if keyword in _NUMBERS or keyword == "type":
            return value
        if keyword == "description":
            return _line(str(value), NOTE_CHARACTERS) or None
        if keyword in ("enum", "required", "const", "default"):
            return _cleaned(value)
        if keyword in _ALTERNATIVES and isinstance(value, list):
            return [self.rebuild(each, depth + 1) for each in value]
        if keyword == "items" or (keyword == "additionalProperties" and not isinstance(value, bool)):
            return self.rebuild(value, depth + 1)
        if keyword == "additionalProperties":
            return value
        if keyword == "properties" and isinstance(value, Mapping):
            return {_argument(name): self.rebuild(each, depth + 1) for name, each in value.items()}
        return None

    def _resolved(self, reference: Any) -> Any:
        found: Any = self._root
        for part in str(reference).removeprefix("#/").split("/"):
            if not str(reference).startswith("#/") or not isinstance(found, Mapping) or part not in found:
                raise UnusableSchemaError("its schema refers to what it does not hold")
            found = found[part]
        return found


def _argument(name: Any) -> str:
    if not isinstance(name, str) or not ARGUMENT_NAME.fullmatch(name):
        raise UnusableSchemaError("an argument has a name that no model accepts")
    return name


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        # Not cut: it is compared with what the model sends, and sent back to the server.
        if clean(value) != value or len(value) > NOTE_CHARACTERS:
            raise UnusableSchemaError("it allows a value that cannot be shown to a model")
        return value
    if isinstance(value, list):
        if len(value) > MOST_VALUES:
            raise UnusableSchemaError(f"it lists more than {MOST_VALUES} values")
        return [_cleaned(each) for each in value]
    if isinstance(value, Mapping):
        return {str(_cleaned(key)): _cleaned(each) for key, each in value.items()}
    return value


def _line(text: str, longest: int) -> str:
    line = " ".join(clean(text[: 4 * longest]).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
