"""The `store` module: key-value stores. Source: docs lua/storage/store.

Denials are returned as `PermissionDenied`, as the docs say; the reference raises some of them instead.
"""

from __future__ import annotations

from typing import Any

from sandbox.values import as_bytes, as_text, unpack
from wippy_trio.core.errors import InvalidError, LuaError, NotFoundError
from wippy_trio.core.ids import EntryId
from wippy_trio.module import Call, Module, ModuleClass, Permission
from wippy_trio.storage.kv import KeyValueStore, KvEntry, ListOptions, PutOptions

__all__ = ["MODULE"]

MODULE = Module(
    "store",
    classes={ModuleClass.STORAGE, ModuleClass.IO, ModuleClass.NONDETERMINISTIC},
    prelude="store.lua",
)


def _about_key(action: str, verb: str) -> Permission:
    """A permission on one key of a store: the resource is the store, the key an attribute."""
    return Permission(
        f"store.key.{action}",
        attributes=lambda _id, key, *_: {"key": as_text(key)},
        message=f"not allowed to {verb} key of store: {{resource}}",
    )


@MODULE.immediate("store.get", permission=Permission("store.get", message="not allowed to access store: {resource}"))
def get(call: Call, id: object) -> bool:
    """Look a store up."""
    _store(call, id)
    return True


@MODULE.immediate("store.info", permission=Permission("store.info", message="not allowed to inspect store: {resource}"))
def info(call: Call, id: object) -> dict[str, object]:
    """What the store is and can do."""
    known = _store(call, id).info_now()
    return {
        "id": as_text(id),
        "backend": known.backend,
        "consistency": known.consistency,
        "durable": known.durable,
        "list": known.list,
        "versioned": known.versioned,
        "conditional_put": known.conditional_put,
        "ttl": known.ttl,
    }


@MODULE.waiting("store.key.get", permission=_about_key("get", "read"))
async def key_get(call: Call, id: object, key: object) -> object:
    """The value of a key."""
    with _Named("store get"):
        return await _store(call, id).get(_key(key))


@MODULE.waiting("store.key.entry", permission=_about_key("get", "read"))
async def key_entry(call: Call, id: object, key: object) -> dict[str, object]:
    """Value and version of a key."""
    with _Named("store entry"):
        return _shown(await _store(call, id).entry(_key(key)))


@MODULE.waiting("store.key.set", permission=_about_key("set", "write"))
async def key_set(call: Call, id: object, key: object, value: object, ttl_s: float = 0.0) -> bool:
    """Write a value, encoded as a message."""
    with _Named("store set"):
        await _store(call, id).set(_key(key), _value(value), ttl_s)
    return True


@MODULE.waiting("store.key.put", permission=_about_key("set", "write"))
async def key_put(call: Call, id: object, key: object, value: object, options: dict[str, Any]) -> dict[str, object]:
    """Write under conditions."""
    with _Named("store put"):
        wanted = PutOptions(
            float(options.get("ttl") or 0), options.get("only_if_absent") is True, options.get("if_version")
        )
        return _shown(await _store(call, id).put(_key(key), _value(value), wanted))


@MODULE.waiting(
    "store.key.list",
    permission=Permission(
        "store.key.list",
        attributes=lambda _id, prefix, *_: {"prefix": as_text(prefix)},
        message="not allowed to list store: {resource}",
    ),
)
async def key_list(call: Call, id: object, prefix: object, after: object, limit: int) -> dict[str, object]:
    """A page of entries."""
    with _Named("store list"):
        page = await _store(call, id).list_page(ListOptions(_key(prefix), _key(after), limit))
    return {
        "items": [_shown(entry) for entry in page.items],
        "cursor": _lua_key(page.cursor),
        "has_more": page.has_more,
    }


@MODULE.waiting("store.key.has", permission=_about_key("has", "check"))
async def key_has(call: Call, id: object, key: object) -> bool:
    """Whether a key exists."""
    with _Named("store has"):
        return await _store(call, id).has(_key(key))


@MODULE.waiting("store.key.delete", permission=_about_key("delete", "delete"))
async def key_delete(call: Call, id: object, key: object) -> bool:
    """Remove a key."""
    with _Named("store delete"):
        return await _store(call, id).delete(_key(key))


class _Named:
    """Names the operation in an error, as the reference does."""

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, LuaError):
            error.context = (self._operation, *error.context)


def _store(call: Call, id: object) -> KeyValueStore:
    entry = EntryId.parse(as_text(id))
    found = call.runtime.resources.find(entry, object)
    if found is None:
        raise NotFoundError(f"failed to acquire resource: resource not found: {entry}")
    if not isinstance(found, KeyValueStore):
        raise InvalidError("resource is not a store")
    return found


def _key(key: object) -> str:
    """A key as text; bytes that are no UTF-8 keep their identity."""
    return key.decode("utf-8", "surrogateescape") if isinstance(key, bytes) else str(key)


def _lua_key(key: str) -> object:
    return as_bytes(key) if not key.isascii() else key


def _value(encoded: object) -> object:
    return unpack(as_bytes(encoded))[0]


def _shown(entry: KvEntry) -> dict[str, object]:
    return {"key": _lua_key(entry.key), "value": entry.value, "version": str(entry.version)}
