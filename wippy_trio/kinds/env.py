"""Kinds env.storage.memory, .os, .static, .file, .router and env.variable. Source: docs system/env."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError
from wippy_trio.kind import Kind, relative
from wippy_trio.runtime import Runtime
from wippy_trio.system.env import (
    EnvStorage,
    EnvVariable,
    MemoryStorage,
    RouterStorage,
    StaticStorage,
    env_of,
    os_storage,
)
from wippy_trio.system.env_file import FileStorage

__all__ = ["KINDS"]

Open = Callable[[Entry, Runtime], AbstractAsyncContextManager[None]]


def _storage(make: Callable[[Entry, Runtime], EnvStorage]) -> Open:
    """`open` of a storage: it is registered as long as its entry lives."""

    @asynccontextmanager
    async def open_storage(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
        registry = env_of(runtime.extras)
        registry.put_storage(entry.id, make(entry, runtime))
        runtime.events.publish("env", "storage.register", str(entry.id))
        try:
            yield
        finally:
            registry.remove_storage(entry.id)
            runtime.events.publish("env", "storage.delete", str(entry.id))

    return open_storage


def _memory(entry: Entry, runtime: Runtime) -> EnvStorage:
    return MemoryStorage()


def _os(entry: Entry, runtime: Runtime) -> EnvStorage:
    return os_storage(runtime.extras.get("environ"))


def _static(entry: Entry, runtime: Runtime) -> EnvStorage:
    values = entry.data.get("values") or {}
    if not isinstance(values, Mapping):
        raise InvalidError("values must be a map of strings")
    return StaticStorage({str(key): _text(value, f"values.{key}") for key, value in values.items()})


def _file(entry: Entry, runtime: Runtime) -> EnvStorage:
    path = _text(entry.data.get("file_path"), "file_path")
    if not path:
        raise InvalidError("file path must not be empty")
    return FileStorage(
        runtime.environment,
        runtime.environment.disk.realpath(path),
        auto_create=entry.data.get("auto_create") is True,
        file_mode=_mode(entry, "file_mode", 0o644),
        dir_mode=_mode(entry, "dir_mode", 0o755),
    )


def _mode(entry: Entry, name: str, default: int) -> int:
    """Permission bits: a number, or the octal text of one."""
    value = entry.data.get(name)
    if value is None:
        return default
    if isinstance(value, str):
        try:
            value = int(value, 8)
        except ValueError:
            raise InvalidError(f"{name}: invalid file mode {value!r}") from None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0o7777:
        raise InvalidError(f"{name}: invalid file mode {value!r}")
    return value or default


def _router(entry: Entry, runtime: Runtime) -> EnvStorage:
    names = entry.data.get("storages") or ()
    if not isinstance(names, list | tuple) or not names:
        raise InvalidError("router storage must have at least one storage")
    registry = env_of(runtime.extras)
    return RouterStorage([registry.storage(relative(entry, name)) for name in names])


def _text(value: object, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidError(f"{name} must be a string")
    return value


def _decode_variable(entry: Entry) -> EnvVariable:
    data = entry.data
    storage = data.get("storage")
    if not storage:
        raise InvalidError("invalid storage ID format, must have both namespace and name")
    read_only = data.get("readonly") or False
    if not isinstance(read_only, bool):
        raise InvalidError("readonly must be a boolean")
    return EnvVariable(
        entry.id,
        relative(entry, storage),
        _text(data.get("variable"), "variable"),
        _text(data.get("default"), "default"),
        read_only,
    )


@asynccontextmanager
async def open_variable(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A named reference into a storage."""
    registry = env_of(runtime.extras)
    registry.put_variable(_decode_variable(entry))
    runtime.events.publish("env", "variable.register", str(entry.id))
    try:
        yield
    finally:
        registry.remove_variable(entry.id)
        runtime.events.publish("env", "variable.delete", str(entry.id))


def check_variable(entry: Entry) -> None:
    """Refuse a malformed variable before anything is opened."""
    _decode_variable(entry)


KINDS = (
    Kind("env.storage.memory", _storage(_memory)),
    Kind("env.storage.os", _storage(_os)),
    Kind("env.storage.static", _storage(_static)),
    Kind("env.storage.file", _storage(_file)),
    Kind("env.storage.router", _storage(_router), references=("storages",)),
    Kind("env.variable", open_variable, references=("storage",), check=check_variable),
)
