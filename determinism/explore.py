"""Systematic exploration: every order of steps, by the number of deviations from first in first out.

Bound 0 is the one fair order; bound 1 every life that deviates from it at one choice, and so on. Sleep sets keep it
from living most orders that nobody could tell from one lived before: where a candidate was tried at a choice, the lives
that try another one there leave it alone until a step comes that has something to do with it. The search ends by itself
where nothing is left, and says so; it never claims more than it did.

What a step touches is told by the world as objects (a mailbox, a kind of storage). Objects are coarse, so that steps
are taken for dependent rather than not. Source: ours; after Godefroid (1996) and delay bounding (Emmi et al. 2011).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Coverage", "Deviations", "Footprints", "Order", "explore"]

Objects = frozenset[str]


@dataclass(frozen=True, slots=True)
class Order:
    """What to live: these positions first, then the first that does not sleep.

    Attributes:
        positions: one for each choice, up to the last deviation.
        sleep: after the last deviation: name -> what its next step touches.
    """

    positions: tuple[int, ...] = ()
    sleep: tuple[tuple[str, Objects], ...] = ()


class Footprints:
    """The steps of a life, and what each touched."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, Objects]] = []

    def step(self, name: str, owner: str, touched: Sequence[str]) -> None:
        """Add a step of what is called `name` and belongs to `owner`, which touched these objects."""
        self.steps.append((name, frozenset((f"actor {owner}", *touched))))


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice that was made: before step number `step`, among `names`, some of which were asleep."""

    step: int
    names: tuple[str, ...]
    chosen: int
    sleep: Mapping[str, Objects]


class Deviations:
    """The strategy of one life of an exploration.

    Attributes:
        choices: those that were made after the positions given.
        redundant: at some choice everyone was asleep: the rest of the life is one that was lived before.
        on: off while the app opens and closes: whoever has been ready longest goes, and no choice is counted.
    """

    name = "dfs"

    def __init__(self, order: Order, footprints: Footprints) -> None:
        self._order = order
        self._footprints = footprints
        self._sleep: dict[str, Objects] = {}
        self._seen = 0
        self._count = 0
        self.choices: list[Choice] = []
        self.redundant = False
        self.on = False

    def choose(self, names: Sequence[str]) -> int:
        """See `strategies.Strategy`."""
        if not self.on:
            return 0
        at = self._count
        self._count += 1
        positions = self._order.positions
        if at < len(positions):
            if at == len(positions) - 1:
                self._sleep = dict(self._order.sleep)
                self._seen = len(self._footprints.steps)
            return min(positions[at], len(names) - 1)
        self._wake()
        chosen = next((index for index, name in enumerate(names) if name not in self._sleep), -1)
        if chosen < 0:
            self.redundant = True
            chosen = 0
        if not self.redundant:
            self.choices.append(Choice(len(self._footprints.steps), tuple(names), chosen, dict(self._sleep)))
        return chosen

    def _wake(self) -> None:
        """Whoever has something to do with a step that was taken sleeps no longer."""
        steps = self._footprints.steps
        while self._seen < len(steps):
            name, objects = steps[self._seen]
            self._seen += 1
            for sleeper, wanted in list(self._sleep.items()):
                if sleeper == name or not objects.isdisjoint(wanted):
                    del self._sleep[sleeper]

    def next_step(self, name: str, step: int) -> Objects | None:
        """What the next step of `name` touches, seen from before step number `step`; None where that is unknown.

        It is known where the life took it later, and nothing it touches was touched in between.
        """
        between: set[str] = set()
        for taken, objects in self._footprints.steps[step:]:
            if taken == name:
                return objects if between.isdisjoint(objects) else None
            between |= objects
        return None

    def is_alone(self, name: str, step: int) -> bool:
        """Whether what `name` does from there on has nothing to do with anyone: it can go whenever it likes."""
        own: set[str] = set()
        others: set[str] = set()
        for taken, objects in self._footprints.steps[step:]:
            (own if taken == name else others).update(objects)
        return bool(own) and own.isdisjoint(others)


@dataclass(slots=True)
class Coverage:
    """What an exploration covered.

    Attributes:
        lives: how many were lived.
        redundant: how many of them turned out to be lives that were lived before.
        bound: the number of deviations up to which everything was explored; -1 for not even none.
        exhausted: nothing is left: every order was lived, up to those that nobody can tell apart.
    """

    lives: int = 0
    redundant: int = 0
    bound: int = -1
    exhausted: bool = False

    def text(self) -> str:
        """In a sentence."""
        if self.exhausted:
            return f"exhaustive: all orders that can be told apart, in {self.lives} lives"
        if self.bound < 0:
            return f"{self.lives} lives, no bound exhausted"
        return f"all orders with at most {self.bound} deviations, and more: {self.lives} lives"


def explore(
    run: Callable[[Order], Deviations], coverage: Coverage, most_lives: int, out_of_time: Callable[[], bool]
) -> Iterator[Order]:
    """Live all orders, those with fewer deviations first; yields each after it was lived.

    Args:
        run: lives one life, and returns its strategy.
        coverage: kept up to date.
        most_lives: stop after so many.
        out_of_time: asked before each life.
    """
    level: deque[Order] = deque([Order()])
    bound = 0
    while level:
        following: deque[Order] = deque()
        while level:
            if coverage.lives >= most_lives or out_of_time():
                return
            order = level.popleft()
            life = run(order)
            coverage.lives += 1
            coverage.redundant += life.redundant
            following.extend(_children(order, life))
            if not level:
                coverage.bound = bound
                coverage.exhausted = not following
            yield order
        bound += 1
        level = following


def _children(order: Order, life: Deviations) -> Iterator[Order]:
    """The lives that deviate once more, after the last deviation of this one."""
    before = order.positions
    for choice in life.choices:
        chosen = choice.names[choice.chosen]
        asleep = dict(choice.sleep)
        own = life.next_step(chosen, choice.step)
        if own is not None:
            asleep[chosen] = own
        for other, name in enumerate(choice.names):
            if other == choice.chosen or name in choice.sleep or life.is_alone(name, choice.step):
                continue
            yield Order((*before, other), tuple(sorted(asleep.items(), key=lambda item: item[0])))
            objects = life.next_step(name, choice.step)
            if objects is not None:
                asleep[name] = objects
        before = (*before, choice.chosen)
