"""Process groups of one node: who is a member of what, who is told of it, and messages to all members.

A group is there while it has members. A process may join a group several times and leaves it as often; its end undoes
all of it. Source: docs system/process-groups, lua/core/pg (modelled on Erlang's pg).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import attrs
import trio

from wippy_trio.core.errors import LuaError, NotFoundError, RateLimitedError, UnavailableError

if TYPE_CHECKING:
    from wippy_trio.actors.topology import Topology
    from wippy_trio.core.ids import EntryId
    from wippy_trio.runtime import Runtime

__all__ = ["JOINED", "LEFT", "GroupLimits", "GroupScope", "Watch"]

JOINED, LEFT = "member.joined", "member.left"
#: Told of a change: kind, group, PIDs (one that left for good as often as it had joined).
Tell = Callable[[str, str, list[str]], None]


@attrs.frozen(slots=True)
class GroupLimits:
    """Bounds of a scope; 0 means none.

    Attributes:
        max_groups: distinct groups.
        max_members: members of a group, one that joined twice counted twice.
        broadcast_s: how long a broadcast waits for room in a full mailbox.
    """

    max_groups: int = 0
    max_members: int = 0
    broadcast_s: float = 5.0


@attrs.frozen(slots=True, eq=False)
class Watch:
    """Somebody who is told of changes; `closed` is called when the scope ends."""

    pid: str
    tell: Tell
    closed: Callable[[], None]


class GroupScope:
    """The groups of one `pg.scope` entry.

    Args:
        id: the entry.
        runtime: the organs.
        limits: its bounds.
    """

    def __init__(self, id: EntryId, runtime: Runtime, limits: GroupLimits) -> None:
        self.id = id
        self.limits = limits
        self._runtime = runtime
        self._processes: Topology = runtime.processes
        self._groups: dict[str, dict[str, int]] = {}  # group -> PID -> how often it has joined
        self._joined: dict[str, dict[str, None]] = {}  # PID -> groups
        self._watches: dict[str, dict[Watch, None]] = {}  # group, or "" for all -> who watches
        self._known: set[str] = set()  # PIDs whose end will be told
        self._open = True

    def _check_open(self) -> None:
        if not self._open:
            raise UnavailableError("pg: service stopped", retryable=False)

    # membership ------------------------------------------------------------------------------------------------
    def join(self, pid: str, groups: Iterable[str]) -> None:
        """Join all of the groups, or none.

        Raises:
            RateLimitedError: a bound of the scope (retryable).
            NotFoundError: the process has ended.
            UnavailableError: the scope is not open any more.
        """
        self._check_open()
        wanted = list(groups)
        self._check_room(wanted)
        self._follow(pid)
        for group in wanted:
            members = self._groups.setdefault(group, {})
            members[pid] = members.get(pid, 0) + 1
            self._joined.setdefault(pid, {})[group] = None
            self._emit(JOINED, group, [pid])

    def _check_room(self, wanted: list[str]) -> None:
        limits = self.limits
        if limits.max_members:
            for group in set(wanted):
                if sum(self._groups.get(group, {}).values()) + wanted.count(group) > limits.max_members:
                    raise RateLimitedError("pg: maximum members per group reached")
        fresh = {group for group in wanted if group not in self._groups}
        if limits.max_groups and len(self._groups) + len(fresh) > limits.max_groups:
            raise RateLimitedError("pg: maximum number of groups reached")

    def _follow(self, pid: str) -> None:
        if pid not in self._known:
            self._processes.watch(pid, self._gone)
            self._known.add(pid)

    def leave(self, pid: str, groups: Iterable[str]) -> None:
        """Undo one join of each group it is a member of.

        Raises:
            NotFoundError: it is a member of none of them.
            UnavailableError: the scope is not open any more.
        """
        self._check_open()
        left = False
        for group in groups:
            count = self._groups.get(group, {}).get(pid, 0)
            if count:
                left = True
                self._take(pid, group, 1)
        if not left:
            raise NotFoundError("pg: process not joined in group")

    def _take(self, pid: str, group: str, count: int) -> None:
        members = self._groups[group]
        members[pid] -= count
        if members[pid] == 0:
            del members[pid]
            joined = self._joined[pid]
            del joined[group]
            if not joined:
                del self._joined[pid]
        if not members:
            del self._groups[group]
        self._emit(LEFT, group, [pid] * count)

    def _gone(self, pid: str, _value: object, _error: LuaError | None) -> None:
        self._known.discard(pid)
        for watches in list(self._watches.values()):
            for watch in [item for item in watches if item.pid == pid]:
                del watches[watch]
        for group in list(self._joined.get(pid, ())):
            self._take(pid, group, self._groups[group][pid])

    # questions -------------------------------------------------------------------------------------------------
    def members(self, group: str) -> list[str]:
        """PIDs in the order of their first join, one that joined twice listed twice."""
        self._check_open()
        return [pid for pid, count in self._groups.get(group, {}).items() for _ in range(count)]

    def groups(self) -> list[str]:
        """Names of the groups, oldest first."""
        self._check_open()
        return list(self._groups)

    def snapshot(self) -> dict[str, list[str]]:
        """Every group with its members."""
        return {group: self.members(group) for group in self.groups()}

    # watching --------------------------------------------------------------------------------------------------
    def watch(self, watch: Watch, group: str = "") -> Callable[[], None]:
        """Tell `watch` of every change from now on, of one group or (`""`) of all; returns what ends that.

        It ends by itself with the watching process.

        Raises:
            UnavailableError: the scope is not open any more.
        """
        self._check_open()
        self._follow(watch.pid)
        watches = self._watches.setdefault(group, {})
        watches[watch] = None

        def end() -> None:
            watches.pop(watch, None)
            if not watches and self._watches.get(group) is watches:
                del self._watches[group]

        return end

    def _emit(self, kind: str, group: str, pids: list[str]) -> None:
        for key in (group, ""):
            for watch in list(self._watches.get(key, ())):
                watch.tell(kind, group, pids)

    # messages --------------------------------------------------------------------------------------------------
    async def broadcast(self, group: str, topic: str, source: str, data: bytes) -> int:
        """Send to everybody who is a member now; returns how many took it.

        A member whose mailbox is full is waited for, `broadcast_s` at most; then the message is dropped for it, which
        is logged and counted.

        Args:
            group: its name; an unknown one has no members.
            topic: of the message.
            source: PID of the sender.
            data: payloads, encoded as one list.

        Raises:
            UnavailableError: the scope is not open any more.
        """
        full: list[str] = []
        taken = 0
        for pid in self.members(group):
            state = self._deliver(pid, topic, source, data)
            taken += state == 0
            if state == 2:
                full.append(pid)
        if full:
            waited = [0]
            async with trio.open_nursery() as nursery:
                for pid in full:
                    nursery.start_soon(self._deliver_late, pid, topic, source, data, waited)
            taken += waited[0]
        return taken

    def _deliver(self, pid: str, topic: str, source: str, data: bytes) -> int:
        participant = self._processes.find(pid)
        return 1 if participant is None else participant.deliver_now(topic, source, data)

    async def _deliver_late(self, pid: str, topic: str, source: str, data: bytes, taken: list[int]) -> None:
        with trio.move_on_after(self.limits.broadcast_s):
            while True:
                wait_room = getattr(self._processes.find(pid), "wait_room", None)
                if wait_room is not None:
                    await wait_room()
                state = self._deliver(pid, topic, source, data)
                taken[0] += state == 0
                if state != 2:
                    return
                await trio.sleep(0.01)  # others were quicker
        self._runtime.log.warn("broadcast dropped: mailbox full", scope=str(self.id), topic=topic, pid=pid)
        self._runtime.metrics.counter_add("pg_broadcast_dropped_total", 1.0, {"scope": str(self.id)})

    def close(self) -> None:
        """End: nobody is a member any more, subscriptions end."""
        self._open = False
        watches = [watch for group in self._watches.values() for watch in group]
        self._groups.clear()
        self._joined.clear()
        self._watches.clear()
        for watch in watches:
            watch.closed()
