"""Secrets in settings that are no `SecretStr`, so that they would be printed: options of others whose names look like
one, and passwords in addresses.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

SECRET_NAME: Final = re.compile(
    r"auth|(?<!max_|min_|new_|num_)token(?!i[sz])|secret|key(?!_?(?:term|word|phrase))|password|passphrase|cookie"
    r"|credential(?!s_file)",
    re.IGNORECASE,
)
"""Found in `session_token` and `Authorization`; not in `tokenizer`, `max_tokens`, `keyterms` or `credentials_file`."""

_LOGIN: Final = re.compile(r"(://)([^/\s:@]*:)?([^/\s]*)@")
"""What stands before the host in an address: `://user:password@`. Up to the last @, as whoever connects reads it."""


def secret_settings(options: Any) -> Iterator[str]:
    """The paths of what looks like a secret in nested `options`: `voice.api_key`. Values are not told."""
    if isinstance(options, list | tuple):
        for option in options:
            yield from secret_settings(option)
    elif isinstance(options, dict):
        for name, option in options.items():
            if SECRET_NAME.search(name):
                yield name
            else:
                yield from (f"{name}.{inner}" for inner in secret_settings(option))


def without_logins(addresses: dict[str, str]) -> dict[str, str]:
    """`addresses` as they are. Raises `ValueError` for a user or password in one.

    They would be printed, and serve for nothing: the HTTP client refuses them beside a key, and each vendor's has its
    variable.
    """
    for vendor, address in addresses.items():
        if _LOGIN.search(address):
            raise ValueError(
                f"the address of '{vendor}' must not hold a user or password: set the environment variable of the "
                "vendor's key (docs/providers.md)"
            )
    return addresses


def without_passwords(settings: Any) -> Any:
    """Nested `settings` with the passwords in addresses masked; a user alone may be a key, and is masked as well."""
    if isinstance(settings, str):
        return _LOGIN.sub(r"\1\2***@", settings)
    if isinstance(settings, list | tuple):
        return [without_passwords(each) for each in settings]
    if isinstance(settings, dict):
        return {name: without_passwords(each) for name, each in settings.items()}
    return settings


def _readings(password: str) -> tuple[str, str, str]:
    first, _, rest = password.partition("@")
    return password, first, rest.rpartition(":")[2]


def passwords_in(settings: Any) -> Iterator[str]:
    """The passwords in the addresses of nested `settings`, as they stand there.

    Where a later @ may be of a query or of a second host, what stands before the first one is told, too, and the last
    host's.
    """
    if isinstance(settings, str):
        passwords = [password for _, user, password in _LOGIN.findall(settings) if user and password]
        yield from {part for password in passwords for part in _readings(password) if part}
    elif isinstance(settings, list | tuple):
        for each in settings:
            yield from passwords_in(each)
    elif isinstance(settings, dict):
        for each in settings.values():
            yield from passwords_in(each)
