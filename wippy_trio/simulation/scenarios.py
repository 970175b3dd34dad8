"""Scenarios and invariants: entries by which an app says what must hold. See docs/guides/simulation.md.

A scenario is a `function.lua` with `meta.type: simulation`; it fails when it raises, returns `nil, err` or `false`, or
takes longer than `meta.timeout` (virtual time, 10m); `meta.workload` is its argument. An invariant is a `function.lua`
with `meta.type: invariant`; it is called at the end, and during the run with `meta.every: step` or a duration.
Source: ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import ConfigError, InvalidError
from wippy_trio.core.ids import EntryId
from wippy_trio.core.units import duration_s

__all__ = ["BOOT", "Invariant", "Scenario", "complaint", "find_invariants", "find_scenarios"]

_TIMEOUT_S = 600.0
#: What an app without scenarios is run as: its services start, run for a while, and stop.
BOOT = "(boot)"


@attrs.frozen(slots=True)
class Scenario:
    """A scenario.

    Attributes:
        id: its entry.
        timeout_s: how much virtual time it may take.
        workload: name -> positive number, given to it as a table; shrinking lessens them.
    """

    id: EntryId
    timeout_s: float
    workload: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen(slots=True)
class Invariant:
    """An invariant: its entry, and when it is looked at beside the end.

    Attributes:
        id: the entry.
        every_step: after every step.
        every_s: each time so much virtual time has passed; 0 for never.
    """

    id: EntryId
    every_step: bool = False
    every_s: float = 0.0


def find_scenarios(entries: Iterable[Entry], wanted: str = "") -> list[Scenario]:
    """The scenarios among `entries`, in order of id; those whose id is or contains `wanted`.

    Raises:
        ConfigError: a timeout that is no duration, a workload that is not numbers by name, or no scenario is
            called as wanted.
    """
    every = sorted((entry for entry in entries if _is(entry, "simulation")), key=lambda entry: entry.id)
    found = [entry for entry in every if str(entry.id) == wanted] or [
        entry for entry in every if wanted in str(entry.id)
    ]
    if wanted and not found:
        names = ", ".join(str(entry.id) for entry in every) or "none"
        raise ConfigError(f"no scenario {wanted}", hint=f"a scenario has meta.type: simulation; there are: {names}")
    return [Scenario(entry.id, _duration_s(entry, "timeout", _TIMEOUT_S), _workload(entry)) for entry in found]


def find_invariants(entries: Iterable[Entry]) -> list[Invariant]:
    """The invariants among `entries`, in order of id.

    Raises:
        ConfigError: `meta.every` is neither `step` nor a duration.
    """
    found = []
    for entry in sorted((entry for entry in entries if _is(entry, "invariant")), key=lambda entry: entry.id):
        if entry.meta.get("every") == "step":
            found.append(Invariant(entry.id, every_step=True))
        else:
            found.append(Invariant(entry.id, every_s=_duration_s(entry, "every", 0.0)))
    return found


def _is(entry: Entry, type_: str) -> bool:
    return entry.kind == "function.lua" and entry.meta.get("type") == type_


def _duration_s(entry: Entry, field: str, default: float) -> float:
    value = entry.meta.get(field)
    if value is None:
        return default
    try:
        return duration_s(value)
    except InvalidError as problem:
        hint = "durations look like 500ms, 30s or 2m" + ("; or say step" if field == "every" else "")
        raise ConfigError(f"{entry.id}: meta.{field}: {problem}", hint=hint) from None


def _workload(entry: Entry) -> Mapping[str, int]:
    numbers = entry.meta.get("workload") or {}
    if not isinstance(numbers, Mapping) or not all(type(value) is int and value > 0 for value in numbers.values()):
        hint = "such as workload: {buyers: 8, rounds: 3}"
        raise ConfigError(f"{entry.id}: meta.workload: names with positive whole numbers", hint=hint)
    return {str(name): value for name, value in numbers.items()}


def complaint(value: Any) -> str:
    """What is wrong with what a scenario or invariant returned; empty where nothing is."""
    return "returned false" if value is False else ""
