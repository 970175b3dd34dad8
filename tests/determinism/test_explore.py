"""Systematic exploration over a toy of known size."""

from __future__ import annotations

import math
from itertools import permutations

import pytest

from determinism.explore import Coverage, Deviations, Footprints, Order, explore


class Toy:
    """Threads of steps; each step names the object it touches. A life is an order of all steps."""

    def __init__(self, threads: dict[str, list[str]]) -> None:
        self.threads = threads
        self.orders: list[tuple[str, ...]] = []

    def run(self, wanted: Order) -> Deviations:
        footprints = Footprints()
        strategy = Deviations(wanted, footprints)
        strategy.on = True
        left = {name: list(steps) for name, steps in self.threads.items()}
        ready = list(left)
        order = []
        while ready:
            at = strategy.choose(ready) if len(ready) > 1 else 0
            name = ready.pop(at)
            touched = left[name].pop(0)
            footprints.step(name, name, [touched])
            order.append(f"{name}{touched}")
            if left[name]:
                ready.append(name)
        self.orders.append(tuple(order))
        return strategy

    def explore(self, most: int = 100_000) -> Coverage:
        coverage = Coverage()
        for _ in explore(self.run, coverage, most, lambda: False):
            pass
        return coverage

    def classes(self) -> set[tuple[tuple[str, ...], ...]]:
        """The orders that can be told apart: how each object was met by whom."""
        objects = sorted({step for steps in self.threads.values() for step in steps})
        return {
            tuple(tuple(item[0] for item in order if item[1:] == wanted) for wanted in objects) for order in self.orders
        }


def all_classes(threads: dict[str, list[str]]) -> int:
    steps = [(name, at) for name, items in threads.items() for at in range(len(items))]
    found = set()
    objects = sorted({step for items in threads.values() for step in items})
    for order in permutations(steps):
        if all(order.index((name, at)) < order.index((name, at + 1)) for name, at in steps if (name, at + 1) in order):
            met = [(name, threads[name][at]) for name, at in order]
            found.add(tuple(tuple(name for name, item in met if item == wanted) for wanted in objects))
    return len(found)


@pytest.mark.parametrize(
    "threads",
    [
        {"a": ["x", "x"], "b": ["x", "x"]},
        {"a": ["x", "y"], "b": ["y", "x"]},
        {"a": ["x", "p"], "b": ["q", "x"], "c": ["y"]},
        {"a": ["x"], "b": ["x"], "c": ["x"], "d": ["x"]},
        {"a": ["x", "y", "x"], "b": ["y", "x"], "c": ["y"]},
    ],
)
def test_every_order_that_can_be_told_apart_is_lived(threads: dict[str, list[str]]) -> None:
    toy = Toy(threads)
    coverage = toy.explore()
    assert coverage.exhausted
    assert len(toy.classes()) == all_classes(threads)
    assert coverage.lives <= 2 * all_classes(threads) + 7
    assert coverage.text().startswith("exhaustive")


def test_what_commutes_is_lived_once() -> None:
    toy = Toy({name: [f"{name}1", f"{name}2", f"{name}3"] for name in "abcde"})
    assert toy.explore().lives == 1


def test_far_fewer_lives_than_orders() -> None:
    threads = {"a": ["p", "x", "q"], "b": ["r", "x", "s"], "c": ["t", "u", "v"]}
    toy = Toy(threads)
    assert toy.explore().lives <= 50
    assert math.factorial(9) // math.factorial(3) ** 3 == 1680


def test_it_says_no_more_than_it_did() -> None:
    threads = {"a": ["x"] * 4, "b": ["x"] * 4}
    assert Toy(threads).explore(most=0).bound == -1
    few = Toy(threads).explore(most=5)
    assert (few.exhausted, few.bound, few.lives) == (False, 0, 5)
    assert few.text() == "all orders with at most 0 deviations, and more: 5 lives"
