"""Two lives of one seed, in processes of their own, compared event by event. See docs/guides/simulation.md.

The processes get other hash seeds for Python. Where the lives differ, both are lived once more, up to the first event
that differs, for the stacks there. Iteration over Lua tables whose keys are ordered by memory address is reported even
where the two lives happen to agree. Source: ours.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import attrs

from determinism.jobs import enter_folder, run_python
from determinism.simulate import Bounds
from wippy_trio.app.catalogue import find_module
from wippy_trio.simulation.campaign import Campaign, app_of, spec_of
from wippy_trio.simulation.scenarios import BOOT
from wippy_trio.simulation.world import live

__all__ = ["Ask", "Difference", "compare_lives", "tell_life"]

_BEFORE_COUNT = 5


@attrs.frozen(slots=True)
class Ask:
    """Which life a process is to live: `stack_at` is an event whose stack is wanted, or -1."""

    path: str
    scenario: str
    seed: int
    strategy: str
    kinds: tuple[str, ...]
    stack_at: int = -1


@attrs.frozen(slots=True)
class Difference:
    """Where two lives of one seed part.

    Attributes:
        scenario, seed: which.
        number: of the first event that differs; -1 for a hazard in lives that agree.
        one, other: the event in each, in words; empty where a life had ended.
        operation: the operation whose result or arguments differ, `file:line` of what computes it, or empty.
        lua: the Lua line, or empty.
        stacks: the Python stacks, of the one and of the other.
        before: the events right before, which were the same.
    """

    scenario: str
    seed: int
    number: int
    one: str
    other: str
    operation: str
    lua: str
    stacks: tuple[str, str] = ("", "")
    before: tuple[str, ...] = ()

    def text(self) -> str:
        """For people."""
        lines = [f"{self.scenario} seed {self.seed}: two lives differ at event {self.number}"]
        if self.number < 0:
            lines = [f"{self.scenario} seed {self.seed}: what could differ in another process"]
        lines += [f"    {line}" for line in self.before]
        lines += [f"  one:   {self.one or 'had ended'}", f"  other: {self.other or 'had ended'}"]
        if self.lua:
            lines.append(f"  Lua line: {self.lua}")
        if self.operation:
            lines.append(f"  operation: {self.operation}")
        for name, stack in zip(("one", "other"), self.stacks, strict=True):
            if stack:
                lines.append(f"  Python stack of the {name}:")
                lines += [f"    {line}" for line in stack.splitlines()]
        return "\n".join(lines)


def tell_life(ask: Mapping[str, Any]) -> dict[str, Any]:
    """Live it here; events as lists, for the one who compares."""
    campaign = Campaign(
        path=ask["path"],
        scenario=ask["scenario"].removeprefix(BOOT),
        strategy=ask["strategy"],
        kinds=frozenset(ask["kinds"]),
    )
    app = app_of(campaign.path, campaign.scenario, (), ())
    spec = spec_of(app, campaign, ask["scenario"], ask["seed"])
    bounds = Bounds(real_s=600.0)
    life = live(app, attrs.evolve(spec, keep=True, detail=True, stack_at=ask["stack_at"], bounds=bounds))
    events = [[one.at_ns, one.actor, one.what, one.about, one.check, one.data.hex()] for one in life.log]
    places = {name: _place(name) for name in {str(one.about).partition(" ")[0] for one in life.log} if "." in name}
    return {"events": events, "hash": life.trace_hash, "stack": "".join(life.stack), "places": places}


def in_process(ask: Ask, hash_seed: str) -> dict[str, Any]:
    """The life in a fresh process."""
    told: dict[str, Any] = json.loads(run_python(_CHILD, json.dumps(attrs.asdict(ask)), hash_seed))
    return told


_CHILD = "from wippy_trio.simulation.checking import main; main()"


def main() -> None:
    """The fresh process: reads an `Ask` from standard input, writes what it saw to standard output."""
    ask = json.loads(sys.stdin.read())
    enter_folder(ask["path"])
    sys.stdout.write(json.dumps(tell_life(ask)))


def compare_lives(
    ask: Ask, live_one: Callable[[Ask, str], dict[str, Any]] = in_process, hash_seeds: tuple[str, str] = ("1", "2")
) -> list[Difference]:
    """Live it twice and say where the lives part; hazards otherwise. Empty where all is well.

    Args:
        ask: which life.
        live_one: lives it in a fresh process, with a hash seed.
        hash_seeds: of the two processes.
    """
    one, other = (live_one(ask, seed) for seed in hash_seeds)
    number = _first_difference(one["events"], other["events"])
    if number is None:
        if one["hash"] != other["hash"]:  # beyond what a log holds
            number = len(one["events"])
        else:
            return _hazards(ask, one["events"])
    again = attrs.evolve(ask, stack_at=number)
    stacks = tuple(_own_frames(live_one(again, seed)["stack"]) for seed in hash_seeds)
    events = one["events"], other["events"]
    shown = [_shown(number, side[number]) if number < len(side) else "" for side in events]
    longer = max(events, key=len)
    event = longer[number] if number < len(longer) else None
    name, lua = _origin(longer, number, event)
    place = one["places"].get(name) or other["places"].get(name)
    operation = f"{name} ({place})" if place else name
    before = tuple(_shown(at, longer[at]) for at in range(max(0, number - _BEFORE_COUNT), min(number, len(longer))))
    return [
        Difference(ask.scenario, ask.seed, number, shown[0], shown[1], operation, lua, (stacks[0], stacks[1]), before)
    ]


def _first_difference(one: Sequence[list[Any]], other: Sequence[list[Any]]) -> int | None:
    for number, (left, right) in enumerate(zip(one, other, strict=False)):
        if left[:5] != right[:5]:
            return number
    return min(len(one), len(other)) if len(one) != len(other) else None


def _hazards(ask: Ask, events: Sequence[list[Any]]) -> list[Difference]:
    found: dict[str, Difference] = {}
    for number, event in enumerate(events):
        if event[2] == "hazard":
            what, _, line = str(event[3]).partition(" at ")
            text = _shown(number, event)
            found.setdefault(event[3], Difference(ask.scenario, ask.seed, -1, text, text, what, line))
    return list(found.values())


def _shown(number: int, event: Sequence[Any]) -> str:
    data = bytes.fromhex(event[5])
    return f"{number}  {event[0] / 1e9:.6f}  {event[1]}  {event[2]}  {event[3]}  {data[:80]!r}"


def _own_frames(stack: str) -> str:
    """The stack without trio's frames and those of the world itself."""
    kept: list[str] = []
    for frame in stack.split("  File ")[1:]:
        path = frame.partition(",")[0].strip('"')
        if "/trio/" not in path and "/determinism/" not in path and "/outcome/" not in path:
            kept.append(frame.strip())
    return "\n".join(kept)


def _origin(events: Sequence[list[Any]], number: int, event: Sequence[Any] | None) -> tuple[str, str]:
    """The operation an event comes from, and the Lua line."""
    if event is None:
        return "", ""
    what, about = event[2], str(event[3])
    if what == "answer":  # of a command that was issued before
        for earlier in reversed(events[:number]):
            words = str(earlier[3]).split(" ")
            if earlier[2] == "issue" and earlier[1] == event[1] and words[1] == about.partition(" ")[0]:
                about = f"{words[0]} at {words[3]}" if len(words) > 3 else words[0]
                break
        else:
            return "", ""
    name, _, line = about.partition(" at ")
    return name.partition(" ")[0] if "." in name else "", line


def _place(name: str) -> str:
    """`file:line` of what computes an operation; empty where that is no operation."""
    module = find_module(name.partition(".")[0])
    operation = module.operations.get(name) if module is not None else None
    if operation is None:
        return ""
    code = inspect.unwrap(operation.handler).__code__
    return f"{'/'.join(PurePosixPath(code.co_filename).parts[-3:])}:{code.co_firstlineno}"
