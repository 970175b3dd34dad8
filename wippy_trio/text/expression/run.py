"""The state of one evaluation, and its bounds."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wippy_trio.text.expression.operators import fail
from wippy_trio.text.gotime import Time

__all__ = ["MAX_ITEMS", "MAX_STEPS", "Run", "Scope", "loop_scope"]

#: Steps one evaluation may take: about a second.
MAX_STEPS = 2_000_000
#: Items of lists and maps one evaluation may make.
MAX_ITEMS = 1_000_000
Value = Any


class Scope:
    """One running loop: the item, its index, and the accumulator of `reduce`."""

    __slots__ = ("accumulated", "index", "item")

    def __init__(self) -> None:
        self.item: Value = None
        self.index = 0
        self.accumulated: Value = None


class Run:
    """The state of one evaluation. `now` gives the current time, where the caller allows it."""

    __slots__ = ("environment", "items", "now", "scope", "steps", "variables")

    def __init__(self, environment: Mapping[str, Value] | None, now: Callable[[], Time] | None) -> None:
        self.environment = environment
        self.now = now
        self.variables: dict[str, Value] = {}
        self.scope: Scope | None = None
        self.steps = MAX_STEPS
        self.items = MAX_ITEMS

    def spend_now(self, steps: int) -> None:
        """Count steps against the bound."""
        self.steps -= steps
        if self.steps < 0:
            fail(f"step budget exceeded ({MAX_STEPS} steps)")

    def grow_now(self, items: int) -> None:
        """Count made items against the bound."""
        self.items -= items
        if self.items < 0:
            fail("memory budget exceeded")


@contextlib.contextmanager
def loop_scope(run: Run) -> Iterator[Scope]:
    """The scope of a loop, with the outer one put back whatever happens."""
    outer, scope = run.scope, Scope()
    run.scope = scope
    try:
        yield scope
    finally:
        run.scope = outer
