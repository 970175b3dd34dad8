"""Process groups: against a model, and where they meet the rest of the runtime."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sandbox.errors import LuaError
from sandbox.values import pack_list, unpack
from wippy_trio.actors.groups import JOINED, LEFT, GroupLimits, GroupScope, Watch
from wippy_trio.actors.topology import Topology
from wippy_trio.core.ids import EntryId

PIDS, GROUPS = ["p0", "p1", "p2"], ["a", "b"]


class Sink:
    """A participant that takes messages while it has room."""

    def __init__(self, room: int = 1_000) -> None:
        self.room = room
        self.taken: list[tuple[str, str, Any]] = []

    def deliver_now(self, topic: str, source: str, data: bytes) -> int:
        if not self.room:
            return 2
        self.room -= 1
        self.taken.append((topic, source, unpack(data)))
        return 0

    def event_now(self, event: dict[str, Any]) -> None: ...
    def terminate_now(self, error: LuaError) -> None: ...


class Log:
    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self.warned: list[str] = []

    def warn(self, message: str, /, **fields: object) -> None:
        self.warned.append(message)

    def counter_add(self, name: str, delta: float, labels: object) -> None:
        self.counted[name] += int(delta)


def scope_of(limits: GroupLimits | None = None) -> tuple[GroupScope, Topology, Log]:
    topology, log = Topology(), Log()
    runtime: Any = SimpleNamespace(processes=topology, log=log, metrics=log)
    return GroupScope(EntryId("app", "pg"), runtime, limits or GroupLimits()), topology, log


class Model(RuleBasedStateMachine):
    """Joins as a bag of (pid, group); a watcher of everything that keeps its own account."""

    def __init__(self) -> None:
        super().__init__()
        self.scope, self.topology, _ = scope_of(GroupLimits(max_members=4))
        self.topology.enter("watcher", Sink())
        for pid in PIDS:
            self.topology.enter(pid, Sink())
        self.joins: Counter[tuple[str, str]] = Counter()
        self.told: Counter[tuple[str, str]] = Counter()
        self.only_a: list[str] = []
        self.scope.watch(Watch("watcher", self.account, lambda: None))
        self.scope.watch(Watch("watcher", lambda kind, group, pids: self.only_a.append(group), lambda: None), "a")

    def account(self, kind: str, group: str, pids: list[str]) -> None:
        for pid in pids:
            self.told[pid, group] += {JOINED: 1, LEFT: -1}[kind]

    @rule(pid=st.sampled_from(PIDS), groups=st.lists(st.sampled_from(GROUPS), min_size=1, max_size=3))
    def join(self, pid: str, groups: list[str]) -> None:
        sizes = Counter(groups)
        for (_, group), count in self.joins.items():
            sizes[group] += count if group in groups else 0
        if max(sizes.values()) > 4:
            with pytest.raises(LuaError, match="maximum members per group reached"):
                self.scope.join(pid, groups)
            return
        self.scope.join(pid, groups)
        self.joins.update((pid, group) for group in groups)

    @rule(pid=st.sampled_from(PIDS), groups=st.lists(st.sampled_from(GROUPS), min_size=1, max_size=3))
    def leave(self, pid: str, groups: list[str]) -> None:
        left = [group for group in groups if self.take(pid, group)]
        if left:
            self.scope.leave(pid, groups)
        else:
            with pytest.raises(LuaError, match="not joined"):
                self.scope.leave(pid, groups)

    def take(self, pid: str, group: str) -> bool:
        if not self.joins[pid, group]:
            return False
        self.joins[pid, group] -= 1
        return True

    @rule(pid=st.sampled_from(PIDS))
    def ends(self, pid: str) -> None:
        self.topology.leave(pid, None, None)
        self.topology.enter(pid, Sink())
        for group in GROUPS:
            self.joins[pid, group] = 0

    @invariant()
    def agrees(self) -> None:
        snapshot = self.scope.snapshot()
        assert Counter((pid, group) for group, pids in snapshot.items() for pid in pids) == +self.joins == +self.told
        assert all(snapshot.values())
        assert set(self.only_a) <= {"a"}


Model.TestCase.settings = settings(max_examples=12, stateful_step_count=15, deadline=None, derandomize=True)
TestMembership = Model.TestCase


def test_a_process_that_left_for_good_is_told_as_often_as_it_had_joined() -> None:
    scope, topology, _ = scope_of()
    told: list[tuple[str, str, list[str]]] = []
    for pid in ("w", "p"):
        topology.enter(pid, Sink())
    scope.watch(Watch("w", lambda *event: told.append(event), lambda: None))
    scope.join("p", ["a", "a", "b"])
    told.clear()
    topology.leave("p", None, None)
    assert told == [(LEFT, "a", ["p", "p"]), (LEFT, "b", ["p"])]
    assert scope.groups() == []


def test_a_watch_ends_with_its_process_or_when_it_is_told_to() -> None:
    scope, topology, _ = scope_of()
    told: list[str] = []
    for pid in ("w", "v", "p"):
        topology.enter(pid, Sink())
    scope.watch(Watch("w", lambda *_: told.append("w"), lambda: None))
    end = scope.watch(Watch("v", lambda *_: told.append("v"), lambda: None), "a")
    scope.join("p", ["a"])
    topology.leave("w", None, None)
    scope.join("p", ["a"])
    end()
    end()
    scope.leave("p", ["a"])
    assert told == ["v", "w", "v"]


def test_limits_and_ends() -> None:
    scope, topology, _ = scope_of(GroupLimits(max_groups=1))
    topology.enter("p", Sink())
    with pytest.raises(LuaError, match="maximum number of groups reached") as full:
        scope.join("p", ["a", "b"])
    assert (full.value.kind, full.value.retryable) == ("RateLimited", True)
    assert scope.groups() == []  # all or nothing
    with pytest.raises(LuaError, match="pid not registered"):
        scope.join("q", ["a"])
    closed: list[int] = []
    scope.watch(Watch("p", lambda *_: None, lambda: closed.append(1)))
    scope.close()
    assert closed == [1]
    with pytest.raises(LuaError, match="pg: service stopped"):
        scope.join("p", ["a"])


async def test_a_broadcast_waits_for_room_then_drops(autojump_clock: Any) -> None:
    scope, topology, log = scope_of(GroupLimits(broadcast_s=2.0))
    free, slow, stuck = Sink(), Sink(room=0), Sink(room=0)
    for pid, sink in (("free", free), ("slow", slow), ("stuck", stuck)):
        topology.enter(pid, sink)
        scope.join(pid, ["all"])

    async def make_room() -> None:
        await trio.sleep(1)
        slow.room = 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(make_room)
        started = trio.current_time()
        assert await scope.broadcast("all", "news", "me", pack_list([1])) == 2
        assert trio.current_time() - started == pytest.approx(2.0)
    assert free.taken == slow.taken == [("news", "me", [1])]
    assert log.warned == ["broadcast dropped: mailbox full"]
    assert log.counted == {"pg_broadcast_dropped_total": 1}
    assert await scope.broadcast("nobody", "news", "me", pack_list([])) == 0
