"""How the fakes with WebSockets refuse one."""

from http import HTTPStatus
from typing import Final

from picows import WSUpgradeResponse, WSUpgradeResponseWithListener

from talkspurt.testing.fakes.vendor import RETRY_AFTER

WEB_PAGE: Final = b"<!doctype html><html></html>"
"""What a proxy on the way may answer, with status 200."""


def refuse(status: int, body: bytes) -> WSUpgradeResponseWithListener:
    """An answer to a handshake that opens no socket; one of status 429 says how long to wait."""
    headers = [("Content-Type", "text/html" if body is WEB_PAGE else "application/json")]
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        headers.append(("Retry-After", f"{RETRY_AFTER:g}"))
    response = WSUpgradeResponse.create_error_response(HTTPStatus(status), body, headers)
    return WSUpgradeResponseWithListener(response, None)
