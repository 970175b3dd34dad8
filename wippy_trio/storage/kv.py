"""Key-value stores: the Protocol, its values, and the store in memory.

Source: docs lua/storage/store, system/store. `tests/suites/test_kv_contract.py` holds what every store must do.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import attrs
import trio

from determinism.seams import Clock
from wippy_trio.core.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)

__all__ = [
    "LIST_DEFAULT_COUNT",
    "LIST_MAX_COUNT",
    "KeyValueStore",
    "KvEntry",
    "KvInfo",
    "KvPage",
    "ListOptions",
    "MemoryStore",
    "PutOptions",
    "Value",
    "canonical_key",
]

Value: TypeAlias = Any  # JSON-like, never changed in place; None is not a value
T = TypeVar("T")

LIST_DEFAULT_COUNT = 100
LIST_MAX_COUNT = 1000


@attrs.frozen(slots=True)
class KvEntry:
    """A value with its key and version; version 0 where the store keeps none."""

    key: str
    value: Value
    version: int = 0


@attrs.frozen(slots=True)
class KvPage:
    """Entries in key order. `cursor` (the last key, empty on an empty page) continues the list."""

    items: tuple[KvEntry, ...] = ()
    cursor: str = ""
    has_more: bool = False


@attrs.frozen(slots=True)
class KvInfo:
    """What a store is and can do; the names are those of the reference's `store:info()`."""

    backend: str
    consistency: str
    durable: bool
    list: bool
    versioned: bool
    conditional_put: bool
    ttl: bool


@attrs.frozen(slots=True)
class PutOptions:
    """Conditions of a write. `ttl_s` in seconds, 0 = for ever; `if_version` is a positive version.

    Raises:
        InvalidError: a negative time, a version below 1, or both conditions at once.
    """

    ttl_s: float = 0.0
    only_if_absent: bool = False
    if_version: int | None = None

    def __attrs_post_init__(self) -> None:
        both = self.only_if_absent and self.if_version is not None
        if both or self.ttl_s < 0 or (self.if_version is not None and self.if_version < 1):
            raise InvalidError("invalid store options")


def _page_size(count: int) -> int:
    return min(count, LIST_MAX_COUNT) if count > 0 else LIST_DEFAULT_COUNT


@attrs.frozen(slots=True)
class ListOptions:
    """Which page: keys that begin with `prefix` and sort behind `after`, at most `limit` of them.

    A limit of 0 or less means 100; above 1000 it is 1000.
    """

    prefix: str = ""
    after: str = ""
    limit: int = attrs.field(default=LIST_DEFAULT_COUNT, converter=_page_size)


@runtime_checkable
class KeyValueStore(Protocol):
    """A store. Keys are canonical (see `canonical_key`); the entry kind that opened it closes it.

    Every method raises `UnavailableError` once the store is closed.
    """

    async def get(self, key: str) -> Value:
        """The value.

        Raises:
            NotFoundError: no such key, or expired.
        """

    async def entry(self, key: str) -> KvEntry:
        """Value and version. Raises as `get`."""

    async def set(self, key: str, value: Value, ttl_s: float = 0.0) -> None:
        """Write, for `ttl_s` seconds (0 or less: for ever).

        Raises:
            UnavailableError: the store is full (retryable).
        """

    async def put(self, key: str, value: Value, options: PutOptions) -> KvEntry:
        """Write under conditions; the entry as written.

        Raises:
            AlreadyExistsError: `only_if_absent` and the key exists.
            NotFoundError: `if_version` and the key does not exist.
            ConflictError: `if_version` and another version is there (retryable).
            InvalidError: the store knows no conditions.
            UnavailableError: the store is full (retryable).
        """

    async def list_page(self, options: ListOptions) -> KvPage:
        """A page of living entries in key order."""

    async def has(self, key: str) -> bool:
        """Whether the key exists."""

    async def delete(self, key: str) -> bool:
        """Remove; False where there was nothing."""

    def info_now(self) -> KvInfo:
        """What the store is and can do."""


def canonical_key(text: str) -> str:
    """`text` as stores keep it: the reference reads keys as ids, so a key without a colon gets one in front.

    Raises:
        InvalidError: empty.
    """
    if not text:
        raise InvalidError("key is required")
    return text if ":" in text else f":{text}"


def matches_prefix(key: str, prefix: str) -> bool:
    """Whether canonical `key` begins with `prefix`, the colon that `canonical_key` may have added left aside."""
    return key.startswith(prefix) or (key.startswith(":") and key.startswith(prefix, 1))


@attrs.frozen(slots=True)
class _Kept:
    value: Value
    version: int
    expires_s: float  # on the monotonic clock; infinity = never


class MemoryStore:
    """A store in memory: versions, conditions and time to live; contents end with it.

    Args:
        clock: its monotonic time decides what has expired.
        max_size_count: most entries; a new key beyond that is refused.
    """

    def __init__(self, clock: Clock, max_size_count: int = 10_000) -> None:
        self._clock = clock
        self._max_size_count = max_size_count
        self._kept: dict[str, _Kept] = {}
        self._version = 0
        self._closed = False
        # The earliest expiry: before it, looking for expired entries is in vain.
        self._next_expiry_s = math.inf

    async def get(self, key: str) -> Value:
        """See `KeyValueStore.get`."""
        return await self._at_once(lambda: self._living(key).value)

    async def entry(self, key: str) -> KvEntry:
        """See `KeyValueStore.entry`."""

        def read() -> KvEntry:
            kept = self._living(key)
            return KvEntry(canonical_key(key), kept.value, kept.version)

        return await self._at_once(read)

    async def set(self, key: str, value: Value, ttl_s: float = 0.0) -> None:
        """See `KeyValueStore.set`."""
        await self._at_once(lambda: self._write(canonical_key(key), value, ttl_s))

    async def put(self, key: str, value: Value, options: PutOptions) -> KvEntry:
        """See `KeyValueStore.put`."""

        def write() -> KvEntry:
            self.expire_now()
            known = self._kept.get(canonical_key(key))
            if options.only_if_absent and known is not None:
                raise AlreadyExistsError("key already exists")
            if options.if_version is not None:
                if known is None:
                    raise NotFoundError("key not found")
                if known.version != options.if_version:
                    raise ConflictError("version mismatch", retryable=True)
            return self._write(canonical_key(key), value, options.ttl_s)

        return await self._at_once(write)

    async def list_page(self, options: ListOptions) -> KvPage:
        """See `KeyValueStore.list_page`."""

        def read() -> KvPage:
            self.expire_now()
            keys = sorted(key for key in self._kept if matches_prefix(key, options.prefix))
            start = bisect_right(keys, options.after) if options.after else 0
            chosen = keys[start : start + options.limit]
            items = tuple(KvEntry(key, self._kept[key].value, self._kept[key].version) for key in chosen)
            return KvPage(items, chosen[-1] if chosen else "", start + len(chosen) < len(keys))

        return await self._at_once(read)

    async def has(self, key: str) -> bool:
        """See `KeyValueStore.has`."""
        return await self._at_once(lambda: self._find(key) is not None)

    async def delete(self, key: str) -> bool:
        """See `KeyValueStore.delete`."""

        def remove() -> bool:
            if self._find(key) is None:
                return False
            del self._kept[canonical_key(key)]
            return True

        return await self._at_once(remove)

    def info_now(self) -> KvInfo:
        """See `KeyValueStore.info_now`."""
        return KvInfo("memory", "local", durable=False, list=True, versioned=True, conditional_put=True, ttl=True)

    def expire_now(self) -> int:
        """Drop what has expired; the number dropped."""
        now_s = self._clock.monotonic_s()
        if now_s < self._next_expiry_s:
            return 0
        expired = [key for key, kept in self._kept.items() if kept.expires_s <= now_s]
        for key in expired:
            del self._kept[key]
        self._next_expiry_s = min((kept.expires_s for kept in self._kept.values()), default=math.inf)
        return len(expired)

    async def expire_every(self, interval_s: float) -> None:
        """Drop what has expired every `interval_s` seconds, until cancelled."""
        while True:
            await trio.sleep(interval_s)
            self.expire_now()

    def close_now(self) -> None:
        """Refuse everything from now on and forget the contents."""
        self._closed = True
        self._kept.clear()

    async def _at_once(self, work: Callable[[], T]) -> T:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise UnavailableError("store is closed", retryable=False)
        return work()

    def _find(self, key: str) -> _Kept | None:
        key = canonical_key(key)
        kept = self._kept.get(key)
        if kept is not None and kept.expires_s <= self._clock.monotonic_s():
            del self._kept[key]
            return None
        return kept

    def _living(self, key: str) -> _Kept:
        kept = self._find(key)
        if kept is None:
            raise NotFoundError("key not found")
        return kept

    def _write(self, key: str, value: Value, ttl_s: float) -> KvEntry:
        self.expire_now()
        if key not in self._kept and len(self._kept) >= self._max_size_count:
            raise UnavailableError("store is full")
        self._version += 1
        expires_s = self._clock.monotonic_s() + ttl_s if ttl_s > 0 else math.inf
        self._kept[key] = _Kept(value, self._version, expires_s)
        self._next_expiry_s = min(self._next_expiry_s, expires_s)
        return KvEntry(key, value, self._version)
