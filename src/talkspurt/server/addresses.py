"""Where a request came from, for rate limits: never a header unless a proxy of ours wrote it."""

import ipaddress
from collections.abc import Collection, Sequence


def client_address(peer: str, forwarded_for: Sequence[str], trusted_proxies: Collection[str]) -> str:
    """The address to count by.

    `peer` is the other end of the TCP connection, `forwarded_for` every `X-Forwarded-For` header in order: some
    proxies add to the one that came, some put their own behind it. When `peer` is a trusted proxy, the last
    entry that is not a trusted proxy is believed: entries before it were written by strangers.
    """
    if peer not in trusted_proxies:
        return peer
    for entry in reversed(",".join(forwarded_for).split(",")):
        address = entry.strip()
        if address and address not in trusted_proxies:
            return address[:64]
    return peer


def network_of(address: str) -> str:
    """What one stranger has at least: an IPv4 address, or the /64 of an IPv6 one, which every customer gets.

    What is no address, because a proxy wrote it so, stands for itself.
    """
    if ":" not in address:
        return address
    try:
        six = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if six.ipv4_mapped is not None:
        return str(six.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(six), 64), strict=False))
