"""Picks one implementation of a port by the name that the configuration gives.

It imports a vendor's module only when that vendor is asked for, so that a server with local
models never loads a cloud SDK. It is not a plug-in system: the names are a closed set, and
users who write their own implementation hand the object to the session themselves.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, Literal, Protocol

from talkspurt.config import Config
from talkspurt.errors import ConfigurationError

OPENAI_REGIONS: Final = {
    region: f"https://{region}.api.openai.com/v1" for region in ("ae", "au", "eu", "in", "jp", "us")
}
"""As the SDK lists them (`openai._data_residency`)."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """Where an implementation lives: `module:Class`, and the extra that installs what it imports."""

    target: str
    extra: str | None = None
    rest: Literal["", "model", "plugin"] = ""
    """What may follow its name after a colon; a plugin must."""
    regions: Mapping[str, str] = field(default_factory=dict)
    """Its endpoints elsewhere, by the region's name."""
    address: str = ""
    """Its key in `base_url`, where that is not its name."""
    section: Literal["speech", "model"] = "speech"
    """Whose `base_url` names its address."""


class _Configurable(Protocol):
    def from_config(self, config: Config, /) -> Any: ...


def create_vendor(setting: str, name: str, vendors: Mapping[str, Vendor], config: Config) -> Any:
    """Make the implementation called `name`, which may go on after a colon; `setting` is the key to blame.

    Raises `ConfigurationError` when the name is unknown (with the nearest, and what that needs) or its extra is not
    installed.
    """
    head, colon, _ = name.partition(":")
    vendor = vendors.get(head)
    if vendor is None:
        near = difflib.get_close_matches(head, vendors, n=1, cutoff=0.0)[0]
        known, extra = ", ".join(sorted(vendors)), vendors[near].extra
        needs = f" It needs: pip install 'talkspurt[{extra}]'" if extra is not None else ""
        raise ConfigurationError(f"{setting}: unknown name '{name}'; did you mean '{near}'?{needs} (known: {known})")
    if colon and not vendor.rest:
        raise ConfigurationError(f"{setting} = '{name}': nothing can be chosen of '{head}'; write it alone")
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
    return vendor_class.from_config(_located(setting, name, vendor, config))


def chosen_model(name: str) -> str:
    """The model in `<vendor>:<model>`; "" when none is chosen."""
    return name.partition(":")[2]


def address_key(name: str, vendor: Vendor) -> str:
    """The entry of `base_url` that speaks of `name`, which is one of `vendor`'s."""
    return vendor.address or ":".join(name.split(":")[: 2 if vendor.rest == "plugin" else 1])


def _located(setting: str, name: str, vendor: Vendor, config: Config) -> Config:
    """The configuration with the vendor's endpoint in `speech.region`, if one is asked for and none is named."""
    region, section = config.speech.region, getattr(config, vendor.section)
    named = section.base_url or {}
    key = address_key(name, vendor)
    # What needs no extra runs here.
    if not region or vendor.extra is None or key in named:
        return config
    address = vendor.regions.get(region)
    if address is None:
        known = f" (known: {', '.join(sorted(vendor.regions))})" if vendor.regions else ""
        raise ConfigurationError(
            f"{setting} = '{name}': no endpoint of it in speech.region = '{region}' is known{known}; "
            f'name one: {vendor.section}.base_url = {{ "{key}" = "…" }}'
        )
    return config.model_copy(update={vendor.section: section.model_copy(update={"base_url": {**named, key: address}})})
