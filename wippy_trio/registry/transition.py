"""Making changes real, one after the other, and undoing them when one is refused.

Source: docs internals/registry (Transactions), internals/kinds; spec registry transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

import attrs
import trio

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError, LuaError, NotFoundError, TimeoutExpiredError
from wippy_trio.core.ids import EntryId
from wippy_trio.core.units import format_duration
from wippy_trio.registry.changes import Change, Operation, apply_to, build_delta, check
from wippy_trio.registry.order import sort_changes
from wippy_trio.registry.references import References

__all__ = ["INTERNAL_KINDS", "Conduct", "EventSink", "Realizer", "Transition"]

#: Kinds that are kept without being made real.
INTERNAL_KINDS: Final = frozenset({"registry.entry", "ns.requirement", "ns.dependency", "ns.definition"})

#: Gets (system, kind, path, data) of what happened; must not wait.
EventSink = Callable[[str, str, str, Any], None]

_SYSTEM: Final = "registry"


class Realizer(Protocol):
    """Turns entries into living things. A raised error refuses the change; one of kind NotFound defers it."""

    async def begin(self) -> None:
        """Changes are about to come."""

    async def create(self, entry: Entry) -> None:
        """Open `entry`."""

    async def update(self, old: Entry, new: Entry) -> None:
        """Put `new` in the place of `old`."""

    async def delete(self, entry: Entry) -> None:
        """Close `entry`."""

    async def commit(self) -> None:
        """All changes were made; refusing now undoes them."""

    async def rollback(self) -> None:
        """The changes were undone."""


@attrs.frozen(slots=True)
class Conduct:
    """How transitions are made.

    Attributes:
        realizer: makes entries real.
        references: gives the order.
        publish: gets the events.
        internal_kinds: kinds that never reach the realizer.
        operation_timeout_s: bound of each call of the realizer, in seconds.
    """

    realizer: Realizer
    references: References
    publish: EventSink
    internal_kinds: frozenset[str] = INTERNAL_KINDS
    operation_timeout_s: float = 30.0


class Transition:
    """One run of changes. `state` is what holds after it, whether it worked or not."""

    def __init__(self, conduct: Conduct, state: Mapping[EntryId, Entry], number: int) -> None:
        self.state: dict[EntryId, Entry] = dict(state)
        #: What could not be undone.
        self.failures: list[str] = []
        self._before = state
        self._conduct = conduct
        self._path = f"registry.tx/{number}"

    async def run(self, changes: Iterable[Change]) -> None:
        """Make `changes` in the given order.

        A change refused with NotFound is tried again after the others, as long as each round makes some progress: what
        no reference tells of still finds its order. Any other refusal undoes what was made, last first.

        Raises:
            LuaError: the refusal. Cancellation undoes the changes too, within the time limit of one call.
        """
        conduct = self._conduct
        try:
            await self._call(conduct.realizer.begin, "registry.begin")
            self._publish_transaction("registry.begin")
            waiting = list(changes)
            while waiting:
                waiting = await self._round(waiting)
            await self._call(conduct.realizer.commit, "registry.commit")
            self._publish_transaction("registry.commit")
        except Exception as error:
            await self._undo(error)
            raise
        except BaseException as error:  # cancelled: the caller leaves, the registry must not stay between two states
            with trio.move_on_after(conduct.operation_timeout_s, shield=True):
                await self._undo(error)
            raise

    async def _round(self, waiting: list[Change]) -> list[Change]:
        """Try each change once; what is left was refused with NotFound."""
        deferred: list[Change] = []
        reason: LuaError | None = None
        for change in waiting:
            try:
                await self._make(change)
            except LuaError as error:
                if not _deferrable(error):
                    raise
                deferred.append(change)
                reason = error
        if len(deferred) == len(waiting):
            ids = ",".join(str(change.id) for change in deferred)
            message = f"unresolved dependencies after retry: {ids}: {reason}"
            raise NotFoundError(message, details={"entries": [str(change.id) for change in deferred]}) from reason
        return deferred

    async def _make(self, change: Change) -> None:
        try:
            check(self.state, change)
        except LuaError as error:
            message = f"invalid operation: {error}"
            raise InvalidError(message) from error
        old = self.state.get(change.id)
        entry = old if change.operation is Operation.DELETE and old is not None else change.entry
        if entry.kind in self._conduct.internal_kinds:
            apply_to(self.state, [change])
            return
        path, kind = str(change.id), change.operation.value
        try:
            await self._realize(change.operation, old, entry)
        except Exception as error:
            self._conduct.publish(_SYSTEM, kind, path, entry)
            self._conduct.publish(_SYSTEM, "entry.reject", path, str(error))
            if isinstance(error, TimeoutExpiredError):
                raise
            message = f"operation failed for entry {change.id}: {error}"
            raise InvalidError(message, details={"entry_id": path}) from error
        apply_to(self.state, [change])
        self._conduct.publish(_SYSTEM, kind, path, entry)
        self._conduct.publish(_SYSTEM, "entry.accept", path, None)

    async def _realize(self, operation: Operation, old: Entry | None, entry: Entry) -> None:
        realizer = self._conduct.realizer
        label = f"entry {entry.id} (kind: {entry.kind})"
        if operation is Operation.CREATE:
            await self._call(lambda: realizer.create(entry), label)
        elif operation is Operation.DELETE:
            await self._call(lambda: realizer.delete(entry), label)
        else:
            assert old is not None  # checked before
            await self._call(lambda: realizer.update(old, entry), label)

    async def _call(self, function: Callable[[], Any], label: str) -> None:
        timeout_s = self._conduct.operation_timeout_s
        with trio.move_on_after(timeout_s) as scope:
            await function()
        if scope.cancelled_caught:
            message = f"event handler timeout after {format_duration(round(timeout_s * 1e9))} for {label}"
            raise TimeoutExpiredError(message)

    async def _undo(self, reason: BaseException) -> None:
        """Go back to the state before, as far as the realizer lets us."""
        back = sort_changes(build_delta(self.state, self._before), self.state, self._conduct.references)
        for change in back:
            try:
                await self._make(change)
            except LuaError as error:
                self.failures.append(f"{change.id}: {error}")
        try:
            await self._call(self._conduct.realizer.rollback, "registry.discard")
        except Exception as error:  # noqa: BLE001 - the refusal that led here must not be lost
            self.failures.append(str(error))
        self._publish_transaction("registry.discard", str(reason))

    def _publish_transaction(self, kind: str, data: Any = None) -> None:
        self._conduct.publish(_SYSTEM, kind, f"{self._path}/{kind}", data)


def _deferrable(error: BaseException | None) -> bool:
    """Whether a NotFound stands anywhere in the chain of causes."""
    while error is not None:
        if isinstance(error, LuaError) and error.kind == NotFoundError.kind:
            return True
        error = error.__cause__
    return False
