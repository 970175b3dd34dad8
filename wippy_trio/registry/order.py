"""The order in which changes can be made: what is referred to before what refers to it, deletions the other way.

Source: docs internals/registry (Building Deltas); spec registry sort.order.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping

from wippy_trio.core.entry import Entry
from wippy_trio.core.ids import EntryId
from wippy_trio.registry.changes import Change, Operation
from wippy_trio.registry.references import References, Universe

__all__ = ["sort_changes"]


def sort_changes(
    changes: Iterable[Change], state: Mapping[EntryId, Entry], references: References
) -> tuple[Change, ...]:
    """`changes` in an order that can be made to `state`; ties go by id, so the given order does not matter.

    An entry is created or updated after those it refers to. An entry is deleted after those that refer to it have been
    deleted or updated, and before an entry of the same id is created. References that run in a circle are cut at the
    smallest id.
    """
    ordered = sorted(changes, key=lambda change: (change.id, change.operation.value))
    after: list[set[int]] = [set() for _ in ordered]  # index -> indexes that come later
    made: dict[EntryId, list[int]] = {}
    gone: dict[EntryId, list[int]] = {}
    for index, change in enumerate(ordered):
        (gone if change.operation is Operation.DELETE else made).setdefault(change.id, []).append(index)
    _order_made(ordered, made, references, after)
    _order_gone(ordered, gone, state, references, after)
    for id, deletions in gone.items():
        for index in made.get(id, ()):
            if ordered[index].operation is Operation.CREATE:
                for deletion in deletions:
                    after[deletion].add(index)
    return tuple(ordered[index] for index in _topological(after))


def _order_made(
    ordered: list[Change], made: Mapping[EntryId, list[int]], references: References, after: list[set[int]]
) -> None:
    """What is created or updated comes after what it refers to, where that is created or updated too."""
    universe = Universe(ordered[index].entry for indexes in made.values() for index in indexes)
    for indexes in made.values():
        for index in indexes:
            entry = ordered[index].entry
            for target in universe.targets(entry, references.declared(entry)):
                for earlier in made[target]:
                    after[earlier].add(index)


def _order_gone(
    ordered: list[Change],
    gone: Mapping[EntryId, list[int]],
    state: Mapping[EntryId, Entry],
    references: References,
    after: list[set[int]],
) -> None:
    """What is deleted comes after the update or deletion of what refers to it now."""
    if not gone:
        return
    universe = Universe(state[id] for id in gone if id in state)
    for index, change in enumerate(ordered):
        entry = state.get(change.id)
        if entry is None or change.operation is Operation.CREATE:
            continue
        for target in universe.targets(entry, references.declared(entry)):
            for deletion in gone[target]:
                after[index].add(deletion)


def _topological(after: list[set[int]]) -> list[int]:
    waiting = [0] * len(after)
    for later in after:
        for index in later:
            waiting[index] += 1
    ready = [index for index, count in enumerate(waiting) if count == 0]
    done = [False] * len(after)
    order: list[int] = []
    smallest = 0
    while len(order) < len(after):
        if ready:
            index = heapq.heappop(ready)
        else:  # a circle: cut it
            while done[smallest]:
                smallest += 1
            index = smallest
        if done[index]:
            continue
        done[index] = True
        order.append(index)
        for later_index in after[index]:
            waiting[later_index] -= 1
            if waiting[later_index] == 0 and not done[later_index]:
                heapq.heappush(ready, later_index)
    return order
