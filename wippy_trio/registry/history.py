"""Versions and where their changes are kept.

Source: docs internals/registry (Version Chain, Version History); spec registry history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import attrs

from wippy_trio.core.errors import NotFoundError
from wippy_trio.registry.changes import Change, squash

__all__ = ["ROOT", "History", "MemoryHistory", "NoHistory", "Version", "version_not_found"]


@attrs.frozen(slots=True)
class Version:
    """A state's number and that of the state it came from (None for the root, 0). `str` gives `v3`."""

    id: int
    parent_id: int | None = None

    def __str__(self) -> str:
        return f"v{self.id}"


ROOT = Version(0)


def version_not_found(version_id: int) -> NotFoundError:
    """The error for a version that the history does not hold."""
    return NotFoundError("version not found in history", details={"version_id": version_id})


class History(Protocol):
    """Keeps versions with their changes. `versions` and `head` are in memory; the rest may wait for storage."""

    @property
    def versions(self) -> Mapping[int, Version]:
        """Known versions by number; the root is among them."""

    @property
    def head(self) -> int:
        """The number of the version in force."""

    async def open(self) -> None:
        """Read what is stored. Called once, before anything else."""

    async def changes(self, version_id: int) -> tuple[Change, ...]:
        """The changes that led to a version from its parent; NotFoundError where it is not known."""

    async def save(self, version: Version, changes: Iterable[Change]) -> None:
        """Keep a version and make it the head."""

    async def set_head(self, version_id: int) -> None:
        """Make a known version the head; NotFoundError where it is not known."""


class MemoryHistory:
    """Versions in memory, lost at exit.

    Beyond `max_versions` the oldest is forgotten: its changes are merged into those of the versions that came from
    it, so that the root stays in reach.
    """

    def __init__(self, max_versions: int = 1_000) -> None:
        assert max_versions >= 1
        self._max_versions = max_versions
        self._versions: dict[int, Version] = {0: ROOT}
        self._changes: dict[int, tuple[Change, ...]] = {0: ()}
        self._head = 0

    @property
    def versions(self) -> Mapping[int, Version]:
        return self._versions

    @property
    def head(self) -> int:
        return self._head

    async def open(self) -> None:
        """Nothing is stored."""

    async def changes(self, version_id: int) -> tuple[Change, ...]:
        found = self._changes.get(version_id)
        if found is None:
            raise version_not_found(version_id)
        return found

    async def save(self, version: Version, changes: Iterable[Change]) -> None:
        self._versions[version.id] = version
        self._changes[version.id] = tuple(changes)
        self._head = version.id
        while len(self._versions) > self._max_versions + 1:  # the root does not count
            self._forget(min(id for id in self._versions if id != 0))

    def _forget(self, version_id: int) -> None:
        gone = self._versions.pop(version_id)
        before = self._changes.pop(version_id)
        for version in [item for item in self._versions.values() if item.parent_id == version_id]:
            self._versions[version.id] = Version(version.id, gone.parent_id)
            self._changes[version.id] = squash((*before, *self._changes[version.id]))

    async def set_head(self, version_id: int) -> None:
        if version_id not in self._versions:
            raise version_not_found(version_id)
        self._head = version_id


class NoHistory:
    """Only the number of the version in force: there is no way back."""

    def __init__(self) -> None:
        self._current = ROOT

    @property
    def versions(self) -> Mapping[int, Version]:
        return {self._current.id: self._current}

    @property
    def head(self) -> int:
        return self._current.id

    async def open(self) -> None:
        """Nothing is stored."""

    async def changes(self, version_id: int) -> tuple[Change, ...]:
        if version_id == 0 == self._current.id:
            return ()
        raise version_not_found(version_id)

    async def save(self, version: Version, changes: Iterable[Change]) -> None:
        self._current = Version(version.id)

    async def set_head(self, version_id: int) -> None:
        if version_id != self._current.id:
            raise version_not_found(version_id)
