"""A conversation's state as plain JSON values, so that a call can move to another process.

Every dataclass of the core is written as `{"~": class name, field: value, ...}`. The
version rises whenever an old snapshot could no longer be read.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any, Final

VERSION: Final = 1


def encode(value: Any) -> Any:
    """Turn dataclasses, tuples, sets and dictionaries with integer keys into JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"~": type(value).__name__, **fields}
    if isinstance(value, frozenset):
        return {"~": "frozenset", "items": sorted(value)}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {"~": "dict", "items": [[key, encode(item)] for key, item in value.items()]}
    return value


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
            return self._classes[str(kind)](**{k: self.decode(v) for k, v in value.items() if k != "~"})
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"snapshot holds no readable {kind!r}: {error}") from None
