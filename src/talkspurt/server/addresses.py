"""Where a request came from, for rate limits: never a header unless a proxy of ours wrote it."""

from collections.abc import Collection


def client_address(peer: str, forwarded_for: str | None, trusted_proxies: Collection[str]) -> str:
    """The address to count by.

    `peer` is the other end of the TCP connection. When it is a trusted proxy, the last entry of
    `X-Forwarded-For` that is not a trusted proxy is believed: entries before it were written by strangers.
    """
    if peer not in trusted_proxies or not forwarded_for:
        return peer
    for entry in reversed(forwarded_for.split(",")):
        address = entry.strip()
        if address and address not in trusted_proxies:
            return address[:64]
    return peer
