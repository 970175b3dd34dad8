"""real_ip: the client's address from a trusted proxy's headers. Source: http/middleware#real_ip."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from wippy_trio.http.exchange import Exchange, Handler, Middleware
from wippy_trio.http.headers import Headers, strip_address_port
from wippy_trio.http.middleware import MiddlewareContext, Options, option

__all__ = ["build_real_ip"]

_PRIVATE = "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,169.254.0.0/16,100.64.0.0/10,::1/128,fc00::/7,fe80::/10"


def _networks(text: str) -> list[IPv4Network | IPv6Network]:
    found: list[IPv4Network | IPv6Network] = []
    for part in text.split(","):
        if "/" not in part:
            continue
        try:
            found.append(ip_network(part.strip(), strict=False))
        except ValueError:
            continue
    return found


def _claimed(headers: Headers) -> str:
    claimed = headers.get("True-Client-IP") or headers.get("X-Real-IP")
    if not claimed:
        claimed = headers.get("X-Forwarded-For").partition(",")[0].strip()
    try:
        ip_address(claimed)
    except ValueError:
        return ""
    return claimed


def build_real_ip(options: Options, context: MiddlewareContext) -> Middleware:
    """Replace the remote address by what a trusted peer claims.

    A list in which no subnet can be read trusts everybody, as in the reference; that is logged as a warning.
    """
    trust_all = options.get("real_ip.trust_all") == "true"
    text = option(options, "real_ip.trusted.subnets", "trusted_subnets", _PRIVATE)
    networks = _networks(text)
    if not networks and not trust_all:
        context.log("warn", "real_ip: no trusted subnet can be read, every peer is trusted", {"subnets": text})

    def trusted(remote: str) -> bool:
        if trust_all or not networks:
            return True
        try:
            address = ip_address(strip_address_port(remote))
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in networks)

    def wrap(handler: Handler) -> Handler:
        async def with_real_ip(exchange: Exchange) -> None:
            request = exchange.request
            if trusted(request.remote_address):
                request.remote_address = _claimed(request.headers) or request.remote_address
            await handler(exchange)

        return with_real_ip

    return wrap
