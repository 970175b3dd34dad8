"""Which addresses an outgoing request may not reach without a permission. Source: lua/http/client (SSRF protection)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

__all__ = ["Resolve", "is_private", "private_addresses"]

#: Addresses of a host name; raises OSError where there are none.
Resolve = Callable[[str], Awaitable[list[str]]]

_LOCAL = ("127.0.0.1", "::1")


def is_private(text: str) -> bool:
    """Whether an address is loopback, private, link-local or unspecified; False for what is no address."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_private or address.is_link_local or address.is_unspecified


async def private_addresses(url: str, resolve: Resolve | None) -> list[str]:
    """The private addresses that the host of `url` stands for.

    Args:
        url: an absolute URL; one without a readable host gives none (the request itself will fail).
        resolve: looks names up; without it only literal addresses and `localhost` are judged.
    """
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return []
    if is_private(host):
        return [host]
    if host == "localhost" or host.endswith(".localhost"):
        return list(_LOCAL)
    if resolve is None or not host:
        return []
    try:
        found = await resolve(host)
    except OSError:
        return []  # it will not connect either
    return [address for address in found if is_private(address)]
