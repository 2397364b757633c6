"""What the world calls this server: the origin of every URL in our TwiML, and of every signature.

Taken from the configuration, never from a request: a stranger chooses `Host` and
`X-Forwarded-*`, and would so choose what a signature is checked against.
"""

from typing import Final, Self

VOICE: Final = "/twilio/voice"
RESUME: Final = "/twilio/resume"
STATUS: Final = "/twilio/status"
MEDIA: Final = "/twilio/media"
LEG: Final = "/twilio/leg"
LEG_KEY: Final = "/twilio/leg/key"
LEG_STATUS: Final = "/twilio/leg/status"
LEG_MACHINE: Final = "/twilio/leg/machine"
CONFERENCE: Final = "/twilio/conference"


class Origin:
    """A scheme, host and perhaps port."""

    def __init__(self, url: str) -> None:
        """`url` is like `https://voice.example.com`, with no path."""
        self._url = url.rstrip("/")
        scheme, _, rest = self._url.partition("://")
        self._socket_url = f"{'wss' if scheme == 'https' else 'ws'}://{rest}"

    @classmethod
    def of_address(cls, host: str, port: int) -> Self:
        """The origin of a listening socket, for a server that nobody reaches from outside."""
        return cls(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    def __str__(self) -> str:
        """The origin itself."""
        return self._url

    def url(self, path: str) -> str:
        """The address of a webhook."""
        return self._url + path

    def socket_url(self, path: str) -> str:
        """The address of a media socket."""
        return self._socket_url + path
