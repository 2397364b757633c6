"""Who sent this? Twilio's signature on webhooks and on the media socket's handshake.

Fails closed: with no token configured nothing is accepted. The development switch, which is
explicit and announced loudly, accepts everything.

Source: Twilio's page "Security", and `twilio.request_validator` for the arithmetic.
"""

from collections.abc import Mapping
from typing import Any, Self

from twilio.request_validator import RequestValidator

from talkspurt.config import Config

HEADER = "X-Twilio-Signature"


class Signatures:
    """Checks signatures made with any of the given auth tokens; during a rotation there are two."""

    def __init__(self, tokens: tuple[str, ...], *, accept_unsigned: bool = False) -> None:
        self._validators = tuple(RequestValidator(token) for token in tokens if token)
        self._accept_unsigned = accept_unsigned

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """With the account's tokens; unsigned requests pass only in development."""
        tokens = (config.twilio.auth_token, config.twilio.auth_token_secondary)
        return cls(
            tuple(token.get_secret_value() for token in tokens if token is not None),
            accept_unsigned=config.server.development,
        )

    def accept(self, url: str, fields: Mapping[str, Any], signature: str | None) -> bool:
        """Whether Twilio sent this.

        `url` is the one it dialled; `fields` a multi-dict of all POST fields, unchanged.
        """
        if self._accept_unsigned:
            return True
        if not signature:
            return False
        return any(validator.validate(url, fields, signature) for validator in self._validators)
