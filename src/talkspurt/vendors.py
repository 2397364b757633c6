"""Picks one implementation of a port by the name that the configuration gives.

It imports a vendor's module only when that vendor is asked for, so that a server with local
models never loads a cloud SDK. It is not a plug-in system: the names are a closed set, and
users who write their own implementation hand the object to the session themselves.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from talkspurt.config import Config
from talkspurt.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Vendor:
    """Where an implementation lives: `module:Class`, and the extra that installs what it imports."""

    target: str
    extra: str | None = None


class _Configurable(Protocol):
    def from_config(self, config: Config, /) -> Any: ...


def create_vendor(setting: str, name: str, vendors: Mapping[str, Vendor], config: Config) -> Any:
    """Make the implementation called `name`; `setting` is the configuration key to blame.

    Raises `ConfigurationError` when the name is unknown or the vendor's extra is not installed.
    """
    vendor = vendors.get(name)
    if vendor is None:
        near = difflib.get_close_matches(name, vendors, n=1, cutoff=0.0)[0]
        known = ", ".join(sorted(vendors))
        raise ConfigurationError(f"{setting}: unknown name '{name}'; did you mean '{near}'? (known: {known})")
    module_name, _, class_name = vendor.target.partition(":")
    try:
        vendor_class: _Configurable = getattr(import_module(module_name), class_name)
    except ModuleNotFoundError as error:
        # A missing module of our own is a fault of this package, not of the installation.
        if vendor.extra is None or (error.name or "").partition(".")[0] == "talkspurt":
            raise
        raise ConfigurationError(
            f"{setting} = '{name}' needs '{error.name}', which is not installed; "
            f"run: pip install 'talkspurt[{vendor.extra}]'"
        ) from error
    return vendor_class.from_config(config)
