"""Which options of others look, by their names, like secrets: none is a `SecretStr`, so all would be printed."""

import re
from collections.abc import Iterator
from typing import Any, Final

SECRET_NAME: Final = re.compile(
    r"auth|(?<!max_|min_|new_|num_)token(?!i[sz])|secret|key(?!_?(?:term|word|phrase))|password|passphrase|cookie"
    r"|credential(?!s_file)",
    re.IGNORECASE,
)
"""Found in `session_token` and `Authorization`; not in `tokenizer`, `max_tokens`, `keyterms` or `credentials_file`."""


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
