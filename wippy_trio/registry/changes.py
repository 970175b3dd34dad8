"""Changes of the registry as values: create, update, delete; what undoes them, and what they come to together.

Source: docs internals/registry (ChangeSets, Squashing), lua/core/registry (Build Delta).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

import attrs

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import ConflictError, InvalidError, NotFoundError
from wippy_trio.core.ids import EntryId

__all__ = ["Change", "Operation", "apply_to", "build_delta", "check", "reverse", "same_entry", "same_value", "squash"]


class Operation(Enum):
    """What a change does; the value is the event kind of the reference."""

    CREATE = "entry.create"
    UPDATE = "entry.update"
    DELETE = "entry.delete"


@attrs.frozen(slots=True)
class Change:
    """One operation. `original` is what an update or delete replaces; the registry fills it in."""

    operation: Operation
    entry: Entry
    original: Entry | None = None

    @classmethod
    def create(cls, entry: Entry) -> Change:
        """Add `entry`."""
        return cls(Operation.CREATE, entry)

    @classmethod
    def update(cls, entry: Entry, original: Entry | None = None) -> Change:
        """Put `entry` in the place of the entry of its id."""
        return cls(Operation.UPDATE, entry, original)

    @classmethod
    def delete(cls, id: EntryId, original: Entry | None = None) -> Change:
        """Remove the entry `id`."""
        return cls(Operation.DELETE, original or Entry(id, ""), original)

    @property
    def id(self) -> EntryId:
        """The id of the entry that changes."""
        return self.entry.id

    def inverse(self) -> Change:
        """What undoes this change.

        Raises:
            NotFoundError: an update or delete whose original is not known.
        """
        if self.operation is Operation.CREATE:
            return Change.delete(self.id, self.entry)
        if self.original is None:
            message = f"original entry not found for {{ns: {self.id.namespace}, name: {self.id.name}}}"
            raise NotFoundError(message)
        if self.operation is Operation.UPDATE:
            return Change.update(self.original, self.entry)
        return Change.create(self.original)


def same_value(first: Any, second: Any) -> bool:
    """Deep equality in which 1 equals 1.0 but not true. Source: docs lua/core/registry (build_delta compares so)."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(same_value(value, second[key]) for key, value in first.items())
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(same_value(one, two) for one, two in zip(first, second, strict=True))
    return bool(first == second)


def same_entry(first: Entry, second: Entry) -> bool:
    """Whether two entries are equal in id, kind, meta and data."""
    return (
        first is second
        or ((first.id == second.id and first.kind == second.kind)
        and same_value(first.meta, second.meta)
        and same_value(first.data, second.data))
    )


def check(state: Mapping[EntryId, Entry], change: Change) -> None:
    """Whether `change` can be made to `state`.

    Raises:
        ConflictError: create of an existing entry.
        NotFoundError: update or delete of a missing one.
        InvalidError: a create without kind, or an update that changes the kind.
    """
    existing = state.get(change.id)
    label = f"{{ns: {change.id.namespace}, name: {change.id.name}}}"
    if change.operation is Operation.CREATE:
        if existing is not None:
            message = f"entry already exists: {label}"
            raise ConflictError(message, retryable=False)
        if not change.entry.kind:
            message = f"entry kind is required: {label}"
            raise InvalidError(message)
    elif existing is None:
        verb = "entry does not exist" if change.operation is Operation.UPDATE else "cannot delete non-existent entry"
        message = f"{verb}: {label}"
        raise NotFoundError(message)
    elif change.operation is Operation.UPDATE and existing.kind != change.entry.kind:
        message = f"cannot change entry kind from {existing.kind} to {change.entry.kind} for {label}"
        raise InvalidError(message)


def apply_to(state: dict[EntryId, Entry], changes: Iterable[Change]) -> None:
    """Make `changes` to `state`, which is trusted to fit them."""
    for change in changes:
        if change.operation is Operation.DELETE:
            state.pop(change.id, None)
        else:
            state[change.id] = change.entry


def build_delta(before: Mapping[EntryId, Entry], after: Mapping[EntryId, Entry]) -> tuple[Change, ...]:
    """The fewest changes from one state to another, by id; an entry whose kind changed is deleted and created."""
    made: list[Change] = []
    for id in sorted(before.keys() | after.keys()):
        old, new = before.get(id), after.get(id)
        if new is None:
            made.append(Change.delete(id, old))
        elif old is None:
            made.append(Change.create(new))
        elif old.kind != new.kind:
            made += [Change.delete(id, old), Change.create(new)]
        elif not same_entry(old, new):
            made.append(Change.update(new, old))
    return tuple(made)


def reverse(changes: Iterable[Change]) -> tuple[Change, ...]:
    """What undoes `changes`, last first.

    Raises:
        NotFoundError: an original is not known.
    """
    return tuple(change.inverse() for change in reversed(tuple(changes)))


def squash(changes: Iterable[Change]) -> tuple[Change, ...]:
    """One change per entry (two where its kind changes) with the same outcome, by id."""
    found: dict[EntryId, list[Change]] = {}
    for change in changes:
        before = found.get(change.id, [])
        found[change.id] = _joined(before[:-1], before[-1], change) if before else [change]
    return tuple(change for id in sorted(found) for change in found[id])


def _joined(kept: list[Change], first: Change, second: Change) -> list[Change]:
    create, update, delete = Operation.CREATE, Operation.UPDATE, Operation.DELETE
    match first.operation, second.operation:
        case Operation.CREATE, Operation.DELETE:
            return kept
        case Operation.CREATE, _:
            return [*kept, Change(create, second.entry)]
        case Operation.UPDATE, Operation.DELETE:
            return [*kept, Change(delete, second.entry, first.original or second.original)]
        case Operation.UPDATE, _:
            return [*kept, Change(update, second.entry, first.original or second.original)]
        case Operation.DELETE, Operation.DELETE:
            return [*kept, first]
        case _ if first.original is not None and first.original.kind != second.entry.kind:
            return [*kept, first, Change(create, second.entry)]
        case _:
            return [*kept, Change(update, second.entry, first.original)]
