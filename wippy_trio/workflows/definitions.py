"""The workflow entries of a node: their type names and the workers that host them. Source: docs temporal/workflows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import AlreadyExistsError, InvalidError
from wippy_trio.core.ids import EntryId

__all__ = ["Definition", "Definitions", "definitions_of"]

_KEY = "workflow_definitions"


@attrs.frozen(slots=True)
class Definition:
    """A workflow entry: its type name, and its worker (None: the node's own host)."""

    entry: Entry
    name: str
    worker: EntryId | None

    @classmethod
    def of(cls, entry: Entry) -> Definition:
        """Read `meta.temporal.workflow`.

        Raises:
            InvalidError: malformed.
        """
        block = _block(entry, "workflow")
        name, worker = block.get("name") or str(entry.id), block.get("worker")
        if not isinstance(name, str):
            raise InvalidError(f"{entry.id}: meta.temporal.workflow.name must be a string")
        return cls(entry, name, None if not worker else EntryId.parse(str(worker), entry.id.namespace))


def _block(entry: Entry, what: str) -> Mapping[str, Any]:
    temporal = entry.meta.get("temporal")
    block = temporal.get(what) if isinstance(temporal, Mapping) else None
    if block is not None and not isinstance(block, Mapping):
        raise InvalidError(f"{entry.id}: meta.temporal.{what} must be a map")
    return block or {}


class Definitions:
    """What workflows there are, by entry and by type name."""

    def __init__(self) -> None:
        self._by_id: dict[EntryId, Definition] = {}

    @contextmanager
    def holding(self, entry: Entry) -> Iterator[Definition]:
        """A workflow entry for as long as it is open; a newer version may take its place meanwhile.

        Raises:
            AlreadyExistsError: another entry has its type name on the same worker.
        """
        definition = Definition.of(entry)
        for other in self._by_id.values():
            same = other.name == definition.name and other.worker == definition.worker
            if same and other.entry.id != entry.id:
                raise AlreadyExistsError(f"{entry.id}: workflow type {definition.name!r} is {other.entry.id} already")
        self._by_id[entry.id] = definition
        try:
            yield definition
        finally:
            if self._by_id.get(entry.id) is definition:
                del self._by_id[entry.id]

    def find(self, id: EntryId) -> Definition | None:
        """The workflow of an entry."""
        return self._by_id.get(id)

    def named(self, name: str) -> Definition | None:
        """The workflow of a type name, or of an entry's id."""
        for definition in self._by_id.values():
            if definition.name == name:
                return definition
        return next((found for id, found in self._by_id.items() if str(id) == name), None)

    def all(self) -> list[Definition]:
        """All of them, in order of entry id."""
        return [self._by_id[id] for id in sorted(self._by_id)]

    def workers(self) -> frozenset[EntryId]:
        """The workers that are named."""
        return frozenset(found.worker for found in self._by_id.values() if found.worker is not None)


def definitions_of(extras: dict[str, Any]) -> Definitions:
    """The node's definitions (`runtime.extras`)."""
    found: Definitions = extras.setdefault(_KEY, Definitions())
    return found
