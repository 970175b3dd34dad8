"""The restart logic against a model that keeps everything in one list and decides by the book."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sandbox.errors import LuaError
from wippy_trio.actors.strategy import Ending, Plan, Restart, Roster, Strategy, ending_of


class Model(RuleBasedStateMachine):
    """Children as [id, kind, live]; a restart is remembered by its time."""

    def __init__(self) -> None:
        super().__init__()
        self.children: list[list[Any]] = []
        self.times: list[float] = []
        self.now = 0.0
        self.next = 0
        self._roster: Roster | None = None

    @property
    def roster(self) -> Roster:
        assert self._roster is not None
        return self._roster

    @precondition(lambda self: self._roster is None)
    @rule(strategy=st.sampled_from(Strategy), most=st.integers(0, 4), window=st.sampled_from([1.0, 5.0]))
    def begin(self, strategy: Strategy, most: int, window: float) -> None:
        self.strategy, self.most, self.window = strategy, most, window
        self._roster = Roster(strategy, most, window)

    @precondition(lambda self: self._roster is not None)
    @rule(kind=st.sampled_from(Restart), runs=st.booleans())
    def add(self, kind: Restart, runs: bool) -> None:
        name = f"c{self.next}"
        self.next += 1
        self.roster.add(name, kind)
        if runs:
            self.roster.started(name)
        self.children.append([name, kind, runs])

    @precondition(lambda self: self.children)
    @rule(at=st.integers(0, 50))
    def stop(self, at: int) -> None:
        child = self.children[at % len(self.children)]
        forgotten = self.roster.stopped(child[0])
        assert forgotten == (child[1] is Restart.TEMPORARY)
        child[2] = False
        if forgotten:
            self.children.remove(child)

    @rule(seconds=st.sampled_from([0.25, 1.0, 6.0]))
    def passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: any(child[2] for child in self.children))
    @rule(at=st.integers(0, 50), ending=st.sampled_from(Ending))
    def ends(self, at: int, ending: Ending) -> None:
        live = [child for child in self.children if child[2]]
        child = live[at % len(live)]
        plan = self.roster.ended(child[0], ending, self.now)
        assert plan == self.by_the_book(child, ending)
        for name in plan.start:
            self.roster.started(name)

    def by_the_book(self, child: list[Any], ending: Ending) -> Plan:
        name, kind, _ = child
        child[2] = False
        if kind is Restart.TEMPORARY:
            self.children.remove(child)
            return Plan(forget=(name,))
        if kind is Restart.TRANSIENT and ending is not Ending.FAILED:
            return Plan()
        self.times = [time for time in [*self.times, self.now] if time >= self.now - self.window]
        if len(self.times) > self.most:
            return Plan(gives_up=True)
        if self.strategy is Strategy.ONE_FOR_ONE:
            child[2] = True
            return Plan(start=(name,))
        first = self.children.index(child) if self.strategy is Strategy.REST_FOR_ONE else 0
        concerned = self.children[first:]
        stop = [item[0] for item in concerned if item[2]][::-1]
        forget = [item[0] for item in concerned if item[1] is Restart.TEMPORARY]
        self.children = [item for item in self.children if item[0] not in forget]
        start = [item for item in concerned if item[0] not in forget]
        for item in start:
            item[2] = True
        return Plan(tuple(stop), tuple(forget), tuple(item[0] for item in start))

    @invariant()
    def same_children(self) -> None:
        if self._roster is not None:
            assert self.roster.order() == tuple(child[0] for child in self.children)
            assert all(self.roster.is_live(child[0]) == child[2] for child in self.children)


Model.TestCase.settings = settings(max_examples=20, stateful_step_count=20, deadline=None, derandomize=True)
TestRestarts = Model.TestCase


def test_a_child_nobody_knows_needs_nothing() -> None:
    assert Roster(Strategy.ONE_FOR_ALL, 1, 1.0).ended("x", Ending.FAILED, 0.0) == Plan()


def test_which_errors_are_final() -> None:
    assert ending_of(None) is Ending.NORMAL
    assert ending_of(LuaError("x")) is Ending.FAILED
    assert ending_of(LuaError("x", retryable=True)) is Ending.FAILED
    assert ending_of(LuaError("x", retryable=False)) is Ending.FINAL
    assert ending_of(LuaError("x", kind="Canceled")) is Ending.FINAL
