"""Refuses settings by vendor that mean nobody: `speech.base_url`, `speech.livekit` and `model.base_url`.

Whoever reads them looks for its own entry, so one under a wrong name would be ignored, and callers' voices and words
would go to the vendor's usual endpoint. An entry may be of a vendor whom no call asks: `talkspurt providers check` asks
others than the configured ones. What the keys are follows from the vendors' tables, which the configuration does not
know; `fallbacks.*` speak of those who are asked, and are checked there.
"""

import difflib
from collections.abc import Collection, Iterable

from talkspurt.config import Config
from talkspurt.errors import ConfigurationError
from talkspurt.models import CUSTOM
from talkspurt.models.vendors import VENDORS
from talkspurt.recognizers import RECOGNIZERS
from talkspurt.speech.livekit_plugins import KNOWN, PREFIX, installed
from talkspurt.synthesizers import SYNTHESIZERS
from talkspurt.vendors import Vendor, address_key


def require_known_vendors(config: Config) -> None:
    """Raise `ConfigurationError` for an entry that nobody can mean; it names the nearest."""
    speech, model = config.speech, config.model
    plugins = set()
    if speech.livekit or any(key.startswith(f"{PREFIX}:") for key in speech.base_url):
        names = config.asked("recognizer") | config.asked("synthesizer")
        chosen = {name.split(":")[1] for name in names if name.startswith(f"{PREFIX}:")}
        plugins = chosen | KNOWN | installed()
    vendors = {key for table in (RECOGNIZERS, SYNTHESIZERS) for key in _address_keys(table.items())}
    known = f" (known: {', '.join(sorted(vendors))}, {PREFIX}:<plugin>)"
    _require_no_models(speech.base_url, vendors)
    _require("speech.base_url", speech.base_url, vendors | {f"{PREFIX}:{plugin}" for plugin in plugins}, known)
    _require("speech.livekit", speech.livekit, plugins)
    names = config.asked("model")
    # A model of the user's own is given the whole configuration, and may read any entry.
    if isinstance(model.base_url, dict) and not any(name.startswith(CUSTOM) for name in names):
        asked = {name.partition(":")[0].strip() for name in names}
        _require("model.base_url", model.base_url, {*VENDORS, *asked}, f" (known: {', '.join(sorted(VENDORS))})")
        _require_the_asked_of_an_account(model.base_url, asked)


def _address_keys(table: Iterable[tuple[str, Vendor]]) -> Iterable[str]:
    """The entries of `speech.base_url` that a table's vendors read; what runs here reads none."""
    return (address_key(name, vendor) for name, vendor in table if vendor.extra is not None and vendor.rest != "plugin")


def _require_no_models(keys: Collection[str], vendors: Collection[str]) -> None:
    """Raise `ConfigurationError` for `openai-realtime`: whoever took the nearest, `openai`, would move others."""
    for key in keys:
        if key in VENDORS and not any(vendor.startswith(key) for vendor in vendors):
            raise ConfigurationError(
                f"speech.base_url names '{key}', which nobody reads; the address of a model stands in model.base_url"
            )


def _require(setting: str, keys: Collection[str], known: Collection[str], others: str = "") -> None:
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise ConfigurationError(f"{setting} names '{key}', which nobody reads; did you mean '{near}'?{others}")


def _require_the_asked_of_an_account(keys: Collection[str], asked: set[str]) -> None:
    """Raise `ConfigurationError` for `openai` where only `openai-responses` is asked, which has the same key."""
    for key in keys:
        if key in asked:
            continue
        for other in sorted(asked - set(keys)):
            if key in VENDORS and other in VENDORS and VENDORS[key].keys == VENDORS[other].keys:
                raise ConfigurationError(
                    f"model.base_url names '{key}', which nobody asks, and has no entry for '{other}', which would be "
                    f"asked at its usual address; did you mean '{other}'?"
                )
