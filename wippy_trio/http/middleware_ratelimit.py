"""ratelimit: a token bucket per key. Source: http/middleware#ratelimit."""

from __future__ import annotations

import re
from collections import OrderedDict

import attrs

from determinism.seams import Clock
from wippy_trio.http.exchange import Exchange, Handler, Middleware, Request, respond_text
from wippy_trio.http.headers import strip_address_port
from wippy_trio.http.middleware import MiddlewareContext, Options, option

__all__ = ["Buckets", "build_ratelimit"]

_DURATION = re.compile(r"\s*([+-]?\d+)([smh])\s*", re.ASCII)
_UNIT_S = {"s": 1, "m": 60, "h": 3600}


def _duration_s(text: str, default_s: float) -> float:
    """`30s`, `5m`, `1h`; one number and one unit, anything else is the default."""
    found = _DURATION.fullmatch(text)
    return float(int(found[1]) * _UNIT_S[found[2]]) if found else default_s


def _count(text: str, default: int) -> int:
    try:
        value = int(text)
    except ValueError:
        return default
    return value if value > 0 else default


@attrs.define(slots=True)
class _Bucket:
    tokens: float
    filled_s: float
    used_s: float


class Buckets:
    """Token buckets by key, the least recently used first.

    Args:
        clock: monotonic time.
        rate: tokens a second.
        burst: capacity of a bucket, full at first.
        entry_ttl_s: an unused bucket is forgotten after this.
        cleanup_interval_s: how often forgotten ones are looked for.
        max_entries: bound on the buckets; the oldest goes first.
    """

    def __init__(
        self, clock: Clock, rate: float, burst: int, *, entry_ttl_s: float, cleanup_interval_s: float, max_entries: int
    ) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._entry_ttl_s = entry_ttl_s
        self._cleanup_interval_s = cleanup_interval_s
        self._max_entries = max_entries
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._cleaned_s = clock.monotonic_s()

    def take_now(self, key: str) -> bool:
        """Take one token of `key`'s bucket; False where it is empty."""
        now = self._clock.monotonic_s()
        self._clean(now)
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._max_entries:
                self._buckets.popitem(last=False)
            bucket = self._buckets[key] = _Bucket(float(self._burst), now, now)
        self._buckets.move_to_end(key)
        bucket.tokens = min(float(self._burst), bucket.tokens + (now - bucket.filled_s) * self._rate)
        bucket.filled_s = bucket.used_s = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _clean(self, now: float) -> None:
        if now - self._cleaned_s < self._cleanup_interval_s:
            return
        self._cleaned_s = now
        while self._buckets:
            key, bucket = next(iter(self._buckets.items()))
            if now - bucket.used_s <= self._entry_ttl_s:
                return
            del self._buckets[key]

    def __len__(self) -> int:
        return len(self._buckets)


def _key(request: Request, strategy: str) -> str:
    kind, colon, name = strategy.partition(":")
    if kind == "header":
        return request.headers.get(name) if colon else ""
    if kind == "query":
        values = request.query_values().get(name) if colon else None
        return values[0] if values else ""
    return strip_address_port(request.remote_address)


def build_ratelimit(options: Options, context: MiddlewareContext) -> Middleware:
    """Refuse with 429 once a key's bucket is empty; bad option values fall back to the defaults."""
    requests = _count(option(options, "ratelimit.requests"), 100)
    window = option(options, "ratelimit.window", default="1m")
    strategy = option(options, "ratelimit.key", default="ip")
    buckets = Buckets(
        context.clock,
        requests / max(_duration_s(window, 60.0), 1.0),
        _count(option(options, "ratelimit.burst"), 20),
        entry_ttl_s=_duration_s(option(options, "ratelimit.entry_ttl"), 600.0),
        cleanup_interval_s=_duration_s(option(options, "ratelimit.cleanup_interval"), 300.0),
        max_entries=_count(option(options, "ratelimit.max_entries"), 100_000),
    )

    def wrap(handler: Handler) -> Handler:
        async def limited(exchange: Exchange) -> None:
            key = _key(exchange.request, strategy)
            if not key:
                await respond_text(exchange, 400, "Rate limit key extraction failed")
            elif not buckets.take_now(key):
                exchange.response.headers.set("X-RateLimit-Limit", str(requests))
                exchange.response.headers.set("X-RateLimit-Window", window)
                await respond_text(exchange, 429, "Rate limit exceeded")
            else:
                await handler(exchange)

        return limited

    return wrap
