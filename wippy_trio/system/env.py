"""Environment storages and the variables that name values in them.

Source: docs system/env, lua/system/env.
"""

from __future__ import annotations

import os
import re
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import attrs

from wippy_trio.core.errors import (
    AlreadyExistsError,
    InvalidError,
    LuaError,
    NotFoundError,
    PermissionDeniedError,
)
from wippy_trio.core.ids import EntryId

__all__ = [
    "EnvRegistry",
    "EnvStorage",
    "EnvVariable",
    "MemoryStorage",
    "RouterStorage",
    "StaticStorage",
    "env_of",
    "immediately",
    "os_storage",
]

_MAX_ROUTED_DEPTH: Final = 16
T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9_]*", re.ASCII)


class EnvStorage(Protocol):
    """Where values are kept, by key.

    `immediate` says that its methods never wait, so that they may be run with `immediately`.
    """

    @property
    def immediate(self) -> bool: ...

    async def get(self, key: str) -> str | None:
        """The value; None where there is none (an empty text is a value)."""

    async def set(self, key: str, value: str) -> None:
        """Keep a value.

        Raises:
            PermissionDeniedError: the storage is read-only.
        """

    async def delete(self, key: str) -> None:
        """Remove a value; one that is not there is no error."""

    async def list(self) -> dict[str, str]:
        """All keys and values."""


def immediately(work: Coroutine[Any, Any, T]) -> T:
    """Run work that never waits to its end, without a task: reads of immediate storages cost no scheduling."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    work.close()
    raise AssertionError("work that was said not to wait did wait")


class MemoryStorage:
    """Values for as long as the node runs."""

    immediate = True

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})

    async def get(self, key: str) -> str | None:
        return self._values.get(key)

    async def set(self, key: str, value: str) -> None:
        self._values[key] = value

    async def delete(self, key: str) -> None:
        self._values.pop(key, None)

    async def list(self) -> dict[str, str]:
        return dict(self._values)


class StaticStorage:
    """Values that never change: the `values` of an entry, or a view of the operating system's environment."""

    immediate = True

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    async def get(self, key: str) -> str | None:
        return self._values.get(key)

    async def set(self, key: str, value: str) -> None:
        raise PermissionDeniedError("storage is read-only", details={"key": key})

    async def delete(self, key: str) -> None:
        raise PermissionDeniedError("storage is read-only", details={"key": key})

    async def list(self) -> dict[str, str]:
        return dict(self._values)


def os_storage(environ: Mapping[str, str] | None = None) -> StaticStorage:
    """The operating system's environment, read-only; `environ` stands in for it in tests and simulations."""
    return StaticStorage(os.environ if environ is None else environ)


class RouterStorage:
    """Several storages in order: reads take the first that has the key, writes go to the first one.

    The reference remembers every value it has once read, so that it misses later changes below; this one asks again.
    """

    def __init__(self, storages: Sequence[EnvStorage]) -> None:
        if not storages:
            raise InvalidError("router storage must have at least one storage")
        self._storages = tuple(storages)
        self.immediate: bool = all(storage.immediate for storage in storages)
        deepest = max((storage.depth for storage in storages if isinstance(storage, RouterStorage)), default=0)
        self.depth: int = deepest + 1
        if self.depth > _MAX_ROUTED_DEPTH:
            raise InvalidError(f"router storages are nested more than {_MAX_ROUTED_DEPTH} deep")

    async def get(self, key: str) -> str | None:
        for storage in self._storages:
            value = await storage.get(key)
            if value is not None:
                return value
        return None

    async def set(self, key: str, value: str) -> None:
        await self._storages[0].set(key, value)

    async def delete(self, key: str) -> None:
        await self._storages[0].delete(key)

    async def list(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for storage in self._storages:
            try:
                values = await storage.list()
            except LuaError:
                continue  # one storage that cannot be read does not hide the others
            found = {**values, **found}
        return found


@attrs.frozen(slots=True)
class EnvVariable:
    """A named reference to a value.

    Attributes:
        id: the entry.
        storage: where the value is kept.
        name: public name, unique on the node; empty for a variable reached by its id only.
        default: taken where the storage has no value; empty means no default.
        read_only: refuses writing.
    """

    id: EntryId
    storage: EntryId
    name: str = ""
    default: str = ""
    read_only: bool = False

    def __attrs_post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            reason = "must only contain alphanumeric characters (a-z, A-Z, 0-9) and underscores"
            raise InvalidError(
                f"invalid environment variable name: {reason}", details={"variable": self.name, "reason": reason}
            )
        if not self.storage.namespace or not self.storage.name:
            raise InvalidError("invalid storage ID format, must have both namespace and name")

    @property
    def key(self) -> str:
        """What the value is called in its storage: the public name, else the id's text."""
        return self.name or str(self.id)


class EnvRegistry:
    """The storages and variables of this node."""

    def __init__(self) -> None:
        self._storages: dict[EntryId, EnvStorage] = {}
        self._variables: dict[EntryId, EnvVariable] = {}
        self._names: dict[str, EntryId] = {}

    def put_storage(self, id: EntryId, storage: EnvStorage) -> None:
        """Add or replace a storage."""
        self._storages[id] = storage

    def remove_storage(self, id: EntryId) -> None:
        """Forget a storage; its variables fail until it is back."""
        self._storages.pop(id, None)

    def storage(self, id: EntryId) -> EnvStorage:
        """The storage of this id.

        Raises:
            NotFoundError: there is none.
        """
        found = self._storages.get(id)
        if found is None:
            raise NotFoundError("environment storage backend not found", details={"storage_id": str(id)})
        return found

    def put_variable(self, variable: EnvVariable) -> None:
        """Add a variable, or replace the one of the same id.

        Raises:
            NotFoundError: its storage does not exist.
            AlreadyExistsError: another variable has this public name.
        """
        if variable.storage not in self._storages:
            raise NotFoundError("referenced storage not found", details={"storage_id": str(variable.storage)})
        holder = self._names.get(variable.key)
        if holder is not None and holder != variable.id:
            message = f"variable name already exists: {variable.key}"
            raise AlreadyExistsError(message, details={"variable": variable.key})
        self.remove_variable(variable.id)
        self._variables[variable.id] = variable
        self._names[variable.key] = variable.id

    def remove_variable(self, id: EntryId) -> None:
        """Forget a variable; its value stays where it is kept."""
        variable = self._variables.pop(id, None)
        if variable is not None:
            self._names.pop(variable.key, None)

    def variable(self, name: str, namespace: str = "") -> EnvVariable:
        """The variable of a public name, an id, or a bare name in `namespace` (the caller's own).

        Raises:
            NotFoundError: there is none.
        """
        id = self._names.get(name)
        if id is None and name:
            id = EntryId.parse(name, namespace) if not name.endswith(":") else None
        found = self._variables.get(id) if id is not None else None
        if found is None:
            raise NotFoundError("environment variable not found", details={"variable": name})
        return found

    def immediate(self, name: str, namespace: str = "") -> bool:
        """Whether reading and writing this variable never waits; also where it does not exist."""
        try:
            variable = self.variable(name, namespace)
        except NotFoundError:
            return True
        storage = self._storages.get(variable.storage)
        return storage is None or storage.immediate

    @property
    def all_immediate(self) -> bool:
        """Whether `get_all` never waits."""
        return all(storage.immediate for storage in self._storages.values())

    async def lookup(self, name: str, namespace: str = "") -> str | None:
        """The stored value of a variable, without its default; None where it is unset or empty.

        Raises:
            NotFoundError: no such variable, or its storage is gone.
        """
        variable = self.variable(name, namespace)
        return await self.storage(variable.storage).get(variable.key) or None

    async def get(self, name: str, namespace: str = "") -> str:
        """The value of a variable, or its default.

        Raises:
            NotFoundError: no such variable, or it has neither value nor default.
        """
        variable = self.variable(name, namespace)
        value = await self.storage(variable.storage).get(variable.key) or variable.default
        if not value:
            raise NotFoundError("environment variable not found", details={"variable": name})
        return value

    async def set(self, name: str, value: str, namespace: str = "") -> None:
        """Keep a new value.

        Raises:
            NotFoundError: no such variable, or its storage is gone.
            PermissionDeniedError: the variable or its storage is read-only.
        """
        variable = self.variable(name, namespace)
        if variable.read_only:
            raise PermissionDeniedError("environment variable is read-only", details={"variable": name})
        await self.storage(variable.storage).set(variable.key, value)

    async def get_all(self) -> dict[str, str]:
        """Everything the storages hold, whether a variable names it or not, sorted by key.

        Where two storages hold one key, a storage that can be written wins over the others, then the first added.
        """
        found: dict[str, str] = {}
        writable_first = sorted(self._storages.values(), key=lambda storage: isinstance(storage, StaticStorage))
        for storage in writable_first:
            try:
                values = await storage.list()
            except LuaError:
                continue  # as in the reference: what cannot be read is left out
            found = {**values, **found}
        return dict(sorted(found.items()))


def env_of(extras: dict[str, Any]) -> EnvRegistry:
    """The node's environment registry, kept among the runtime's `extras`; made at first use."""
    registry = extras.setdefault("env", EnvRegistry())
    assert isinstance(registry, EnvRegistry)
    return registry
