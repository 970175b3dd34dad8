"""The registry: entries, versions of them, and the one road by which they change.

Source: docs concepts/registry, internals/registry, lua/core/registry.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs
import trio

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError, LuaError, NotFoundError, TimeoutExpiredError, UnsupportedError
from wippy_trio.core.ids import EntryId
from wippy_trio.registry.changes import Change, Operation, apply_to, build_delta, reverse, squash
from wippy_trio.registry.find import compile_criteria
from wippy_trio.registry.history import History, MemoryHistory, Version, version_not_found
from wippy_trio.registry.order import sort_changes
from wippy_trio.registry.references import References
from wippy_trio.registry.transition import INTERNAL_KINDS, Conduct, EventSink, Realizer, Transition

__all__ = ["ApplyError", "Registry", "Snapshot"]

_DEPENDENCY: Final = "ns.dependency"


class ApplyError(LuaError):
    """Changes could not be applied. `details` hold the cause, and what could not be undone."""

    kind = "Internal"  # the kind of the reference; it is the caller's fault, not a bug of ours
    retryable = False


class Snapshot:
    """The entries of one version. It never changes."""

    __slots__ = ("_cache", "_cache_count", "_entries", "_ordered", "version")

    def __init__(self, version: Version, entries: Mapping[EntryId, Entry], cache_count: int = 1_000) -> None:
        self.version = version
        self._entries = entries
        self._ordered: tuple[Entry, ...] | None = None
        self._cache: OrderedDict[str, tuple[tuple[Entry, ...], tuple[str, ...]]] = OrderedDict()
        self._cache_count = cache_count

    @property
    def entries(self) -> Mapping[EntryId, Entry]:
        """Entries by id."""
        return self._entries

    def get(self, id: EntryId) -> Entry:
        """One entry.

        Raises:
            NotFoundError: there is none of that id.
        """
        found = self._entries.get(id)
        if found is None:
            raise NotFoundError("entry not found", details={"path": str(id)})
        return found

    def all(self) -> tuple[Entry, ...]:
        """All entries, by id."""
        if self._ordered is None:
            self._ordered = tuple(self._entries[id] for id in sorted(self._entries))
        return self._ordered

    def namespace(self, namespace: str) -> tuple[Entry, ...]:
        """The entries of exactly that namespace, by id."""
        return tuple(entry for entry in self.all() if entry.id.namespace == namespace)

    def find(self, criteria: Mapping[str, Any]) -> tuple[Entry, ...]:
        """The entries that fit all `criteria` (see `wippy_trio.registry.find`), by id."""
        return self.find_with_warnings(criteria)[0]

    def find_with_warnings(self, criteria: Mapping[str, Any]) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
        """Like `find`, with a text about each criterion that was passed over."""
        key = repr(sorted(criteria.items(), key=lambda item: item[0]))
        found = self._cache.get(key)
        if found is None:
            test, warnings = compile_criteria(criteria)
            found = (tuple(entry for entry in self.all() if test(entry)), warnings)
            self._cache[key] = found
            if len(self._cache) > self._cache_count:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(key)
        return found


@attrs.frozen(slots=True)
class _Step:
    """Part of the way between two versions."""

    version_id: int
    forward: bool


def _silent(system: str, kind: str, path: str, data: Any) -> None:
    del system, kind, path, data


class Registry:
    """Entries in memory, versioned. Reading is immediate; changes wait for their turn.

    Args:
        realizer: makes entries real.
        references: gives the order of changes.
        history: keeps versions; in memory unless given.
        on_event: gets (system, kind, path, data) of every step.
        internal_kinds: kinds that are kept without being made real.
        operation_timeout_s: bound of each call of the realizer (`registry.event_wait_timeout`), in seconds.
    """

    def __init__(
        self,
        realizer: Realizer,
        *,
        references: References | None = None,
        history: History | None = None,
        on_event: EventSink = _silent,
        internal_kinds: frozenset[str] = INTERNAL_KINDS,
        operation_timeout_s: float = 30.0,
    ) -> None:
        self._references = references or References()
        self._conduct = Conduct(realizer, self._references, on_event, internal_kinds, operation_timeout_s)
        self._history: History = history or MemoryHistory()
        self._snapshot = Snapshot(Version(0), {})
        self._pending: Mapping[EntryId, Entry] | None = None
        self._turn = trio.Lock()
        self._transitions = 0

    # ---------------------------------------------------------------------------------------------------- reading

    @property
    def current_version(self) -> Version:
        """The version in force."""
        return self._snapshot.version

    @property
    def pending(self) -> Mapping[EntryId, Entry]:
        """The entries made real so far: while changes are at work those of the coming version, else the current ones.

        For realizers, which may need an entry that came just before in the same changes.
        """
        return self._snapshot.entries if self._pending is None else self._pending

    def snapshot(self) -> Snapshot:
        """The entries as they are now."""
        return self._snapshot

    def get(self, id: EntryId) -> Entry:
        """One entry.

        Raises:
            NotFoundError: there is none of that id.
        """
        return self._snapshot.get(id)

    def __contains__(self, id: object) -> bool:
        return id in self._snapshot.entries

    def all(self) -> tuple[Entry, ...]:
        """All entries, by id."""
        return self._snapshot.all()

    def find(self, criteria: Mapping[str, Any]) -> tuple[Entry, ...]:
        """The entries that fit all `criteria` (see `wippy_trio.registry.find`), by id."""
        return self._snapshot.find(criteria)

    def versions(self) -> tuple[Version, ...]:
        """Known versions, oldest first."""
        found = self._history.versions
        return tuple(found[id] for id in sorted(found))

    def version(self, version_id: int) -> Version:
        """A known version.

        Raises:
            NotFoundError: the history does not hold it.
        """
        found = self._history.versions.get(version_id)
        if found is None:
            raise version_not_found(version_id)
        return found

    def previous_version(self, version: Version) -> Version | None:
        """The version that `version` came from, where the history holds it."""
        return None if version.parent_id is None else self._history.versions.get(version.parent_id)

    def next_version(self, version: Version) -> Version | None:
        """The newest version that came from `version`."""
        children = [item for item in self._history.versions.values() if item.parent_id == version.id]
        return max(children, key=lambda item: item.id, default=None)

    async def snapshot_at(self, version_id: int) -> Snapshot:
        """The entries of a known version.

        Raises:
            NotFoundError: the history does not hold it.
        """
        current = self._snapshot
        if version_id == current.version.id:
            return current
        target = self.version(version_id)
        entries = dict(current.entries)
        apply_to(entries, await self._changes_to(current.version, target))
        return Snapshot(target, entries)

    def delta(self, before: Iterable[Entry], after: Iterable[Entry]) -> tuple[Change, ...]:
        """The changes that lead from one set of entries to another, in an order in which they can be made."""
        old = {entry.id: entry for entry in before}
        return sort_changes(build_delta(old, {entry.id: entry for entry in after}), old, self._references)

    # --------------------------------------------------------------------------------------------------- changing

    async def load_state(self, entries: Iterable[Entry]) -> Version:
        """Make the loaded entries, with the changes of the history up to its head, real. No version is made.

        Raises:
            ApplyError: an entry was refused; nothing is left of the others.
        """
        async with self._turn:
            await self._history.open()
            state = {entry.id: entry for entry in entries}
            head = self.version(self._history.head)
            for version_id in reversed(self._ancestors(head)[:-1]):
                apply_to(state, await self._history.changes(version_id))
            await self._transition(build_delta(self._snapshot.entries, state), "failed to load state")
            self._snapshot = Snapshot(head, self._snapshot.entries)
            return head

    async def apply(self, changes: Iterable[Change]) -> Version:
        """Make `changes` real, all or none, and give them a version. One call at a time is at work.

        Cancelled while it works, it undoes what it did; cancelled while it waits for its turn, nothing happens.

        Raises:
            InvalidError: no changes.
            ApplyError: a change was refused; the others were undone.
            UnsupportedError: a change of an `ns.dependency`, which would have to fetch or drop a module.
        """
        wanted = tuple(changes)
        if not wanted:
            raise InvalidError("no changes to apply")
        async with self._turn:
            before = self._snapshot
            self._refuse_dependencies(wanted, before)
            await self._transition(wanted, "failed to apply changes")
            version = Version(max(self._history.versions, default=0) + 1, before.version.id)
            await self._record(version, before)
            self._snapshot = Snapshot(version, self._snapshot.entries)
            return version

    async def apply_version(self, version_id: int) -> None:
        """Go to a known version, back or ahead, over their common ancestor. No version is made.

        Raises:
            NotFoundError: the history does not hold it.
            ApplyError: a change was refused; the others were undone.
        """
        async with self._turn:
            current = self._snapshot.version
            if version_id == current.id:
                return
            target = self.version(version_id)
            changes = await self._changes_to(current, target)
            await self._transition(changes, "failed to apply version changes")
            with trio.move_on_after(self._conduct.operation_timeout_s, shield=True):
                await self._history.set_head(target.id)
            self._snapshot = Snapshot(target, self._snapshot.entries)

    async def _transition(self, changes: Iterable[Change], failure: str) -> None:
        """Make `changes` and take over the outcome."""
        before = self._snapshot
        ordered = sort_changes(changes, before.entries, self._references)
        self._transitions += 1
        transition = Transition(self._conduct, before.entries, self._transitions)
        self._pending = transition.state
        try:
            await transition.run(ordered)
        except LuaError as error:
            details: dict[str, object] = {"cause": str(error)}
            if transition.failures:
                details["rollback_error"] = "; ".join(transition.failures)
            message = f"{failure}: {error}"
            raise ApplyError(message, details=details) from error
        finally:
            # Where undoing failed, what is real is what counts.
            self._snapshot = Snapshot(before.version, transition.state)
            self._pending = None

    async def _record(self, version: Version, before: Snapshot) -> None:
        """Keep what changed since `before`; what cannot be kept is undone."""
        delta = build_delta(before.entries, self._snapshot.entries)
        try:
            # Made real, so it has to be recorded, whatever becomes of the caller.
            with trio.move_on_after(self._conduct.operation_timeout_s, shield=True) as scope:
                await self._history.save(version, delta)
            if scope.cancelled_caught:
                raise TimeoutExpiredError("the history did not answer in time")
        except Exception as error:
            await self._transition(reverse(delta), "failed to undo changes")
            message = f"failed to save new version: {error}"
            raise ApplyError(message, details={"cause": str(error)}) from error

    def _refuse_dependencies(self, changes: Iterable[Change], before: Snapshot) -> None:
        for change in changes:
            existing = before.entries.get(change.id)
            deleted = change.operation is Operation.DELETE and existing is not None
            kind = existing.kind if deleted and existing is not None else change.entry.kind
            if kind == _DEPENDENCY:
                message = (
                    f"changing dependency {change.id} at run time is not supported yet (see docs/reference/status.md):"
                    " declare it in the sources and restart"
                )
                raise UnsupportedError(message)

    # ------------------------------------------------------------------------------------------------------ paths

    def _ancestors(self, version: Version) -> list[int]:
        """The numbers of `version` and all it came from, newest first."""
        found = [version.id]
        while version.parent_id is not None and version.parent_id in self._history.versions:
            version = self._history.versions[version.parent_id]
            found.append(version.id)
        return found

    async def _changes_to(self, current: Version, target: Version) -> tuple[Change, ...]:
        """What leads from one known version to another, one change per entry."""
        back = self._ancestors(current)
        ahead = self._ancestors(target)
        common = set(back) & set(ahead)
        if not common:
            message = f"failed to compute version path from {current} to {target}"
            raise ApplyError(message)
        meeting = max(common)
        steps = [_Step(id, forward=False) for id in back[: back.index(meeting)]]
        steps += [_Step(id, forward=True) for id in reversed(ahead[: ahead.index(meeting)])]
        changes: list[Change] = []
        for step in steps:
            found = await self._history.changes(step.version_id)
            changes += found if step.forward else reverse(found)
        return squash(changes)
