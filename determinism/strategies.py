"""Strategies: who goes next when several may. Each is asked at every step of a simulated world.

A strategy sees names of ready actors and tasks, in the order they became ready, and answers a position. It draws from
its own stream of the seed, so that the same seed makes the same choices whatever else is drawn. No single one finds
every kind of bug (measured: docs/internals/performance.md), hence `swarm`, which takes another one for every seed.
Source: ours; PCT after Burckhardt et al. (2010), bounded deviations after Musuvathi and Qadeer (2007).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from determinism.seams import Entropy

__all__ = ["STRATEGIES", "Fifo", "Pct", "RandomStep", "Scheduled", "Strategy", "make_strategy", "owner_of"]

#: Names for `--strategy`.
STRATEGIES = ("swarm", "random", "pct", "dfs", "fifo")


class Strategy(Protocol):
    """Chooses among names of what is ready."""

    name: str

    def choose(self, names: Sequence[str]) -> int:
        """A position in `names`, which holds at least two, in the order they became ready."""


def owner_of(name: str) -> str:
    """The actor a name belongs to: what an actor waits for is its own (`app:a|3 store.key.get`)."""
    return name.partition(" ")[0]


class Fifo:
    """Whoever has been ready longest: one fair order, and the same one always."""

    name = "fifo"

    def choose(self, names: Sequence[str]) -> int:
        """The first."""
        del names
        return 0


class RandomStep:
    """Anyone, each as likely as the next."""

    name = "random"

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy

    def choose(self, names: Sequence[str]) -> int:
        """Drawn from the seed."""
        return self._entropy.below(len(names))


class Pct:
    """Priorities drawn once for each actor, and lowered at a few steps drawn beforehand.

    Args:
        entropy: draws priorities and steps.
        depth: how many order constraints a bug needs that this is likely to find; one less priority is lowered.
        steps: how long a run is expected to be, in choices.
    """

    name = "pct"

    def __init__(self, entropy: Entropy, depth: int = 3, steps: int = 500) -> None:
        self._entropy = entropy
        self._priorities: dict[str, float] = {}
        self._changes = {entropy.below(max(steps, 1)) for _ in range(depth - 1)}
        self._lowest = 0.0
        self._step = 0

    def choose(self, names: Sequence[str]) -> int:
        """The ready actor of the highest priority."""
        best = self._best(names)
        if self._step in self._changes:
            self._lowest -= 1
            self._priorities[owner_of(names[best])] = self._lowest
            best = self._best(names)
        self._step += 1
        return best

    def _best(self, names: Sequence[str]) -> int:
        priorities = self._priorities
        best, highest = 0, float("-inf")
        for at, name in enumerate(names):
            owner = owner_of(name)
            priority = priorities.get(owner)
            if priority is None:
                priority = priorities[owner] = 1 + self._entropy.random()
            if priority > highest:
                best, highest = at, priority
        return best


class Bursts:
    """One actor runs for a drawn number of steps before the next is drawn: long runs that a random step never makes.

    Args:
        entropy: draws who and how long.
        mean: steps of a burst, on average.
    """

    name = "bursts"

    def __init__(self, entropy: Entropy, mean: int = 8) -> None:
        self._entropy = entropy
        self._mean = mean
        self._left = 0
        self._owner = ""

    def choose(self, names: Sequence[str]) -> int:
        """The same actor while its burst lasts and it is ready."""
        if self._left > 0:
            for at, name in enumerate(names):
                if owner_of(name) == self._owner:
                    self._left -= 1
                    return at
        chosen = self._entropy.below(len(names))
        self._owner = owner_of(names[chosen])
        self._left = self._entropy.below(2 * self._mean)
        return chosen


class Starve:
    """Keeps one drawn actor waiting for as long as anyone else is ready, for a drawn number of steps at a time."""

    name = "starve"

    def __init__(self, entropy: Entropy, steps: int = 500) -> None:
        self._entropy = entropy
        self._victim = ""
        self._left = 0
        self._steps = max(steps // 4, 8)

    def choose(self, names: Sequence[str]) -> int:
        """Anyone but the victim."""
        if self._left <= 0:
            self._victim = owner_of(names[self._entropy.below(len(names))])
            self._left = self._entropy.below(self._steps)
        self._left -= 1
        others = [at for at, name in enumerate(names) if owner_of(name) != self._victim]
        return others[self._entropy.below(len(others))] if others else 0


class Scheduled:
    """A schedule in words: the same actor goes on while it is ready, except at the steps that name another.

    Args:
        preemptions: step -> name of the actor or task to go on with there, if it is ready.

    Steps are counted where there is a choice. `made` holds the switches that were really taken, which is a schedule
    of its own; shrinking removes from it.
    """

    name = "scheduled"

    def __init__(self, preemptions: Mapping[int, str]) -> None:
        self._wanted = preemptions
        self._step = 0
        self._last = ""
        self.made: dict[int, str] = {}

    def choose(self, names: Sequence[str]) -> int:
        """What the schedule says, or whoever ran last, or whoever has been ready longest."""
        default = self._same(names)
        chosen = default
        wanted = self._wanted.get(self._step)
        if wanted is not None and wanted in names:
            chosen = names.index(wanted)
        if chosen != default:
            self.made[self._step] = names[chosen]
        self._last = owner_of(names[chosen])
        self._step += 1
        return chosen

    def _same(self, names: Sequence[str]) -> int:
        for at, name in enumerate(names):
            if owner_of(name) == self._last:
                return at
        return 0


def make_strategy(name: str, entropy: Entropy, steps: int = 500) -> Strategy:
    """The strategy of that name for one seed.

    Args:
        name: one of `STRATEGIES`, or the name of one that `swarm` takes.
        entropy: of the seed.
        steps: how long a run is expected to be, in choices.

    Raises:
        ValueError: there is none of that name, or (`dfs`) it is no strategy for a single seed.
    """
    stream = entropy.fork(f"strategy/{name}")
    if name == "swarm":
        draw = stream.below(16)
        chosen = ("random",) * 6 + ("pct",) * 4 + ("bursts",) * 3 + ("starve",) * 2 + ("fifo",)
        return make_strategy(chosen[draw], entropy, steps)
    if name == "fifo":
        return Fifo()
    if name == "random":
        return RandomStep(stream)
    if name == "pct":
        return Pct(stream, 2 + stream.below(3), steps)
    if name == "bursts":
        return Bursts(stream, 2 + stream.below(14))
    if name == "starve":
        return Starve(stream, steps)
    message = f"no strategy {name!r} for a seed; there are: {', '.join(STRATEGIES)}"
    raise ValueError(message)
