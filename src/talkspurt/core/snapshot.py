"""A conversation's state as plain JSON values, so that a call can move to another process.

Every dataclass of the core is written as `{"~": class name, field: value, ...}`. The
version rises whenever an old snapshot could no longer be read.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import cache
from typing import Any, Final, TypeVar

VERSION: Final = 7
_PLAIN: Final = (int, float, str, bool)
_json: Final = json.JSONEncoder(separators=(",", ":")).encode
"""One for all: `json.dumps` would make another for each item."""

_T = TypeVar("_T")


def encode(value: Any) -> Any:
    """Turn dataclasses, tuples, sets and dictionaries with integer keys into JSON values."""
    # First, because nearly all values are plain: a call's whole state is written several times a turn.
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, Enum):
        return {"~": type(value).__name__, "value": value.value}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        encoded = {"~": type(value).__name__}
        for name in _names(type(value)):
            encoded[name] = encode(getattr(value, name))
        return encoded
    if isinstance(value, frozenset):
        return {"~": "frozenset", "items": sorted(value)}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {"~": "dict", "items": [[key, encode(item)] for key, item in value.items()]}
    return value


class Writer:
    """Writes the states of one conversation as JSON, one after the other.

    Most of a long call is what was said long ago. The items of a state's tuples are frozen, so an item that is the same
    object as the last time has the same text, and only what is new is encoded: a call that lasts costs hardly more.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, str]] = {}
        """By the identity of an item: itself, which keeps that identity from another object, and its text."""

    def write(self, state: Mapping[str, Any], beside: Mapping[str, Any]) -> str:
        """A snapshot of `Conversation.state`, and beside it JSON values that are not the conversation's."""
        known: dict[int, tuple[Any, str]] = {}

        def text(item: Any) -> str:
            entry = self._known.get(id(item)) or (item, _json(encode(item)))
            known[id(item)] = entry
            return entry[1]

        long = {name: value for name, value in state.items() if isinstance(value, tuple)}
        short = {name: encode(value) for name, value in state.items() if name not in long}
        parts = [_json({**short, **beside})[:-1]]
        for name, items in long.items():
            parts += [",", _json(name), ":[", ",".join(map(text, items)), "]"]
        # What is no part of the state any more is forgotten.
        self._known = known
        return "".join([*parts, "}"])


@cache
def _names(cls: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


class Decoder:
    """Reads what `encode` wrote. Raises `ValueError` for anything that it cannot have written."""

    def __init__(self, classes: Iterable[type]) -> None:
        self._classes = {cls.__name__: cls for cls in classes}

    def decode(self, value: Any) -> Any:
        """Return the value; JSON lists come back as tuples."""
        if isinstance(value, list):
            return tuple(self.decode(item) for item in value)
        if not isinstance(value, dict):
            return value
        kind = value.get("~")
        try:
            if kind == "frozenset":
                return frozenset(value["items"])
            if kind == "dict":
                return {key: self.decode(item) for key, item in value["items"]}
            made = self._classes[str(kind)](**{k: self.decode(v) for k, v in value.items() if k != "~"})
            if isinstance(made, Enum):
                return made
            for field in dataclasses.fields(made):
                if field.type in _PLAIN:
                    _checked(getattr(made, field.name), field.type)
            return made
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"snapshot holds no readable {kind!r}: {error}") from None


class Parts:
    """The parts of a snapshot by name. Raises `ValueError` for one that is missing or not what it must be."""

    def __init__(self, snapshot: Any, decoder: Decoder) -> None:
        if not isinstance(snapshot, dict) or snapshot.get("version") != VERSION:
            version = snapshot.get("version") if isinstance(snapshot, dict) else None
            raise ValueError(f"snapshot version {version!r} cannot be read, only {VERSION}")
        self._snapshot = snapshot
        self._decoder = decoder

    def plain(self, name: str, kind: type[_T]) -> _T:
        """A number or a truth value."""

        def read(value: Any) -> _T:
            checked: _T = _checked(value, kind)
            return checked

        return self._named(name, read)

    def one(self, name: str, *kinds: type) -> Any:
        """What `encode` made of an instance of one of these classes."""
        return self._named(name, lambda value: _checked(self._decoder.decode(value), *kinds))

    def many(self, name: str, *kinds: type) -> tuple[Any, ...]:
        """What `encode` made of a sequence of such instances."""

        def read(value: Any) -> tuple[Any, ...]:
            items: tuple[Any, ...] = _checked(self._decoder.decode(value), tuple)
            return tuple(_checked(item, *kinds) for item in items)

        return self._named(name, read)

    def mapping(self, name: str, kind: type[_T]) -> dict[str, _T]:
        """What `encode` made of a dictionary from text to such instances."""

        def read(value: Any) -> dict[str, _T]:
            items: dict[str, _T] = _checked(self._decoder.decode(value), dict)
            return {_checked(key, str): _checked(item, kind) for key, item in items.items()}

        return self._named(name, read)

    def _named(self, name: str, read: Callable[[Any], _T]) -> _T:
        if name not in self._snapshot:
            raise ValueError(f"snapshot has no {name}")
        try:
            return read(self._snapshot[name])
        except ValueError as error:
            raise ValueError(f"snapshot cannot be read at {name}: {error}") from None


def _checked(value: Any, *kinds: type) -> Any:
    # JSON knows one kind of number, and a truth value is none.
    accepted = (*kinds, int) if float in kinds else kinds
    if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in kinds):
        raise ValueError(f"{value!r} is no {' or '.join(kind.__name__ for kind in kinds)}")
    return value
