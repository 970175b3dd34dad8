"""Search among programs: keep those that show something new, change them, and shrink what fails.

New is an operation with an outcome that was not met before, or two operations of two actors on one thing (a process, a
name, a key) in an order not met before. Both come from the model, which sees them in the order of their effects.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import attrs

from determinism.entropy import SeededEntropy
from determinism.seams import Strike
from determinism.shrink import shrink
from fuzz.actors.living import FAULTS, Outcome, Sabotage, run_program
from fuzz.actors.program import Program, Role, make_program, mutate_program

__all__ = ["Case", "Found", "Search", "as_test", "read_corpus", "shrink_case", "smallest_cover", "write_corpus"]

#: Lives of a program, under as many seeds.
LIVES_COUNT = 3
#: Kept programs; of a full corpus those are changed that were kept last.
CORPUS_COUNT = 2_000
_SHRINK_SEEDS = 5


@attrs.frozen(slots=True)
class Case:
    """A program, a seed, and whether faults strike."""

    program: Program
    seed: int
    faults: bool = False

    def run(self, sabotage: Sabotage | None = None) -> Outcome:
        """Live it."""
        return run_program(self.program, self.seed, faults=FAULTS if self.faults else (), sabotage=sabotage)

    def line(self) -> str:
        """For a corpus."""
        return f"{self.seed} {int(self.faults)} {self.program.text()}"

    @classmethod
    def parse(cls, line: str) -> Case:
        """What `line` made."""
        seed, faults, text = line.split(" ", 2)
        return cls(Program.parse(text), int(seed), faults == "1")


@attrs.frozen(slots=True)
class Found:
    """A case that broke a rule."""

    case: Case
    rule: str
    message: str

    @property
    def same_as(self) -> str:
        """What makes two findings the same one: the message without its numbers and names."""
        return _general(self.message)


def _general(message: str) -> str:
    return re.sub(r"\{[^}]*\}|\d+|app:\w+", "#", message)


class Search:
    """One search.

    Args:
        seed: of all that is drawn.
        corpus: cases to begin with; they are lived first.
        sabotage: breaks the runtime, to see that the search finds it.
    """

    def __init__(self, seed: int, corpus: Iterable[Case] = (), sabotage: Sabotage | None = None) -> None:
        self._entropy = SeededEntropy(seed).fork("actors")
        self._sabotage = sabotage
        self._waiting = list(corpus)
        self.kept: list[tuple[Case, frozenset[tuple[str, ...]]]] = []
        self.features: set[tuple[str, ...]] = set()
        self.pairs: set[tuple[str, str]] = set()
        self.hashes: set[str] = set()
        self.programs = self.lives = self.steps = self.inconclusive = 0
        self.found: dict[str, Found] = {}

    def go(self, goes_on: Callable[[], bool]) -> None:
        """Search while `goes_on()`; it is asked before each life."""
        while goes_on():
            if self._waiting:
                self._live(self._waiting.pop(0))
                self.programs += 1
                continue
            self.programs += 1
            entropy = self._entropy.fork(str(self.programs))
            program = self._draw(entropy)
            for number in range(LIVES_COUNT):
                if not goes_on():
                    return
                if not self._live(Case(program, entropy.below(1 << 30), entropy.below(4) == 0)) and number:
                    break  # two lives without anything new are enough

    def _draw(self, entropy: SeededEntropy) -> Program:
        if not self.kept or entropy.below(3) == 0:
            return make_program(entropy)
        recent = len(self.kept) - 1 - min(entropy.below(len(self.kept)), entropy.below(len(self.kept)))
        other = self.kept[entropy.below(len(self.kept))][0].program
        return mutate_program(self.kept[recent][0].program, entropy, other)

    def _live(self, case: Case) -> bool:
        """Whether it showed anything new."""
        outcome = case.run(self._sabotage)
        self.lives += 1
        self.steps += outcome.life.steps
        self.hashes.add(outcome.life.trace_hash)
        self.pairs |= outcome.life.pairs
        self.inconclusive += bool(outcome.life.inconclusive)
        if outcome.rule:
            found = Found(case, outcome.rule, outcome.message)
            self.found.setdefault(found.same_as, found)
        new = outcome.features - self.features
        if new:
            self.features |= new
            self.kept.append((case, outcome.features))
            del self.kept[:-CORPUS_COUNT]
        return bool(new)

    def summary(self) -> str:
        """What it covered, in a line."""
        orders = sum(1 for feature in self.features if len(feature) == 4 and feature[2] in {"here", "elsewhere"})
        return (
            f"{self.programs} programs, {self.lives} lives ({self.steps} steps), {len(self.hashes)} distinct orders, "
            f"{len(self.features) - orders} operations with their outcomes, {orders} adjacent pairs, "
            f"{len(self.pairs)} (entry, operation) pairs, {len(self.kept)} kept, {self.inconclusive} inconclusive, "
            f"{len(self.found)} findings"
        )


def smallest_cover(kept: Sequence[tuple[Case, frozenset[tuple[str, ...]]]], count: int) -> list[Case]:
    """At most `count` cases that together show the most."""
    left, chosen, seen = list(kept), list[Case](), set[tuple[str, ...]]()
    while left and len(chosen) < count:
        best = max(left, key=lambda one: len(one[1] - seen))
        if not best[1] - seen:
            break
        chosen.append(best[0])
        seen |= best[1]
        left.remove(best)
    return chosen


def read_corpus(path: Path) -> list[Case]:
    """The cases of a file; none where there is no file."""
    if not path.exists():
        return []
    return [Case.parse(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def write_corpus(path: Path, cases: Sequence[Case]) -> None:
    """Keep cases in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(case.line() + "\n" for case in cases), encoding="utf-8")


# shrinking ----------------------------------------------------------------------------------------------------------
def shrink_case(
    found: Found, goes_on: Callable[[], bool], sabotage: Sabotage | None = None
) -> tuple[Found, tuple[Strike, ...], Mapping[int, str]]:
    """The least program that breaks the same rule, then the least schedule of it.

    Returns:
        The case; the faults and switches of its least life (empty where that did not fail again).
    """
    best = found
    again = True
    while again and goes_on():
        again = False
        for program in _smaller(best.case.program):
            if not goes_on():
                break
            failing = _fails(attrs.evolve(best.case, program=program), best, sabotage)
            if failing is not None:
                best, again = failing, True
                break
    case = best.case
    whole = run_program(
        case.program, case.seed, faults=FAULTS if case.faults else (), keep=True, sabotage=sabotage
    )

    def attempt(strikes: tuple[Strike, ...], schedule: Mapping[int, str]) -> Mapping[int, str] | None:
        faults = FAULTS if case.faults else ()
        tried = run_program(
            case.program, case.seed, faults=faults, schedule=schedule, strikes=strikes, sabotage=sabotage
        )
        return tried.life.made if _general(tried.message) == best.same_as else None

    least = shrink(attempt, whole.life.strikes, dict(enumerate(whole.life.names)), lambda: not goes_on())
    return (best, (), {}) if least is None else (best, least.strikes, dict(least.schedule))


def _fails(case: Case, wanted: Found, sabotage: Sabotage | None) -> Found | None:
    """The case, or one of other seeds, that breaks the rule."""
    for faults in sorted({False, case.faults}):
        for seed in dict.fromkeys((case.seed, *range(_SHRINK_SEEDS))):
            tried = Case(case.program, seed, faults)
            outcome = tried.run(sabotage)
            if _general(outcome.message) == wanted.same_as:
                return Found(tried, outcome.rule, outcome.message)
    return None


def _smaller(program: Program) -> Iterable[Program]:
    """Programs with one thing less, big things first."""
    for at in range(len(program.roots)):
        if len(program.roots) > 1:
            yield attrs.evolve(program, roots=program.roots[:at] + program.roots[at + 1 :])
    for at, role in enumerate(program.roles):
        half = len(role.script) // 2
        cuts = [range(half), range(half, len(role.script))] if half > 1 else []
        for cut in (*cuts, *([place] for place in range(len(role.script)))):
            script = tuple(op for place, op in enumerate(role.script) if place not in cut)
            yield _with_role(program, at, attrs.evolve(role, script=script))
        if role.ending != "serve":
            yield _with_role(program, at, attrs.evolve(role, ending="serve"))
    if program.mailbox < 1_000:
        yield attrs.evolve(program, mailbox=65_536)
    if any(host != program.roots[0][1] for _, host in program.roots):
        yield attrs.evolve(program, roots=tuple((role, program.roots[0][1]) for role, _ in program.roots))


def _with_role(program: Program, at: int, role: Role) -> Program:
    return attrs.evolve(program, roles=(*program.roles[:at], role, *program.roles[at + 1 :]))


def as_test(found: Found, strikes: tuple[Strike, ...], schedule: Mapping[int, str]) -> str:
    """A test that is ready to be put into tests/fuzz/test_actor_seeds.py."""
    name = "_".join(found.rule.lower().split())
    lines = "\n".join(f"        {line!r}" for line in textwrap.wrap(found.case.line(), 100, drop_whitespace=False))
    least = f"    # The least life: {len(strikes)} faults, {len(schedule)} switches {dict(schedule)!r}\n"
    return (
        f"def test_{name}_{found.case.seed}() -> None:\n"
        f"    # {found.message}\n{least}"
        f"    case = Case.parse(\n{lines}\n    )\n"
        f'    assert case.run().message == ""\n'
    )
