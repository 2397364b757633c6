"""What the world calls this server: the origin of every URL in our TwiML, and of every signature.

Taken from the configuration, never from a request: a stranger chooses `Host` and
`X-Forwarded-*`, and would so choose what a signature is checked against.
"""

import re
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
ROOM: Final = "/twilio/room"

_MEDIA_OF_WORKER: Final = re.compile(rf"{MEDIA}(?:/(\d{{1,3}}))?")


def media_path(worker: int | None) -> str:
    """Where a media socket is opened: at that worker, or at the only one. In the path, because Twilio drops queries."""
    return MEDIA if worker is None else f"{MEDIA}/{worker}"


def is_media(path: str) -> bool:
    """Whether media sockets are opened at `path`, whichever worker it names."""
    return _MEDIA_OF_WORKER.fullmatch(path) is not None


def worker_of(path: str) -> int | None:
    """The worker that the path of a media socket names, if it is one and names one."""
    match = _MEDIA_OF_WORKER.fullmatch(path)
    return int(match[1]) if match and match[1] else None


def resume_path(worker: int | None) -> str:
    """Where a carrier whose socket at that worker has ended asks how to go on."""
    return RESUME if worker is None else f"{RESUME}?worker={worker}"


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
