"""The fixture `simulate` of pytest: an app's scenarios from seeds, in a test. See docs/guides/simulation.md.

pytest loads this by itself where wippy_trio is installed, so it imports nothing of the runtime until it is asked.
A campaign runs in a process of its own: it changes what simulations replace, and the folder that paths mean.
Source: ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

__all__ = ["Simulated", "SimulationFailed", "run_here", "simulate"]

_CODE = "from wippy_trio.simulation.pytest_plugin import run_here; run_here()"


class SimulationFailed(AssertionError):
    """Something did not hold; the text says what, for which seed, and how to see it again."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """What was simulated, where all of it held.

    Attributes:
        lives: lives lived to their end.
        distinct: different ones among them.
        virtual_s: virtual time they took together, seconds.
        inconclusive: lives that a limit cut off.
        cut_off: whether the time limit left seeds unlived.
    """

    lives: int
    distinct: int
    virtual_s: float
    inconclusive: int
    cut_off: bool


@pytest.fixture
def simulate() -> Callable[..., Simulated]:
    """`simulate(path, seeds=50)` runs the scenarios of the app in a folder, and raises where something does not hold.

    Its arguments are those of `python -m wippy_trio sim`:

    - `path`: the app's folder (relative to where pytest runs).
    - `scenario`: id of one, or a part of ids; all without it.
    - `seeds`: how many each, from 0, or a list of seeds.
    - `strategy`, `faults`: as `--strategy` and `--faults`.
    - `time_limit_s`: of the machine's time, seconds; what it cuts off is told, and is no failure unless nothing was
      lived at all.
    - `jobs`: processes at once.
    - `shrink`: look for the least that still fails (up to 30 s for each failure).
    - `overrides`, `settings`: as `-o` and `--set`.

    Raises `SimulationFailed` where something does not hold, `ValueError` where the app or an argument is wrong. Works
    in tests of pytest-trio and in plain ones; it waits, as any function does.
    """
    return _simulate


def _simulate(  # noqa: PLR0913 - the options of `sim`
    path: Any,
    *,
    scenario: str = "",
    seeds: int | Sequence[int] = 50,
    strategy: str = "swarm",
    faults: str = "all",
    time_limit_s: float = 60.0,
    jobs: int = 1,
    shrink: bool = True,
    overrides: Sequence[str] = (),
    settings: Sequence[str] = (),
) -> Simulated:
    from determinism.faults import parse_faults
    from determinism.jobs import run_python
    from determinism.strategies import STRATEGIES

    parse_faults(faults)
    if strategy not in STRATEGIES:
        raise ValueError(f"unknown strategy '{strategy}'; one of {', '.join(STRATEGIES)}")
    asked = {
        "path": str(path),
        "scenario": scenario,
        "seeds": list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds],
        "strategy": strategy,
        "faults": faults,
        "time_limit_s": float(time_limit_s),
        "jobs": jobs,
        "shrink": shrink,
        "overrides": list(overrides),
        "settings": list(settings),
    }
    if not asked["seeds"]:
        raise ValueError("simulate: at least one seed")
    told = json.loads(run_python(_CODE, json.dumps(asked), "random").rpartition("\n")[2])
    if told["error"]:
        raise ValueError(told["error"])
    if told["failures"]:
        raise SimulationFailed("\n\n".join(["the simulation found what does not hold", *told["failures"]]))
    if not told["lives"]:
        raise SimulationFailed(f"no life came to its end within {time_limit_s:g} s")
    return Simulated(**{name: told[name] for name in Simulated.__slots__})


def run_here() -> None:
    """In the process of its own: what is asked comes on standard input, what came of it goes to standard output."""
    import sys

    asked = json.loads(sys.stdin.read())
    try:
        told = _run(asked)
    except Exception as problem:  # noqa: BLE001 - told to the test, which raises
        render = getattr(problem, "render", None)
        told = {"error": f"{type(problem).__name__}: {problem}" if render is None else render()}
    sys.stdout.write("\n" + json.dumps(told))


def _run(asked: dict[str, Any]) -> dict[str, Any]:
    from determinism.faults import parse_faults
    from determinism.system import SystemDisk
    from wippy_trio.simulation.campaign import Campaign, run_campaign
    from wippy_trio.simulation.records import write_life
    from wippy_trio.simulation.report import finding_text, replay_command

    disk = SystemDisk()
    path, faults = disk.realpath(asked["path"]), asked["faults"]
    campaign = Campaign(
        path=path,
        scenario=asked["scenario"],
        seeds=tuple(asked["seeds"]),
        strategy=asked["strategy"],
        kinds=parse_faults(faults),
        jobs=asked["jobs"],
        time_limit_s=asked["time_limit_s"],
        shrink=asked["shrink"],
        overrides=tuple(asked["overrides"]),
        settings=tuple(asked["settings"]),
    )
    report = run_campaign(campaign)
    failures = []
    for finding in report.findings:
        record = write_life(disk, finding.shrunk or finding.life, path, finding.life)
        again = replay_command(finding, campaign, record, faults=faults, path=path)
        failures.append(finding_text(finding, record, again))
    return {
        "error": "",
        "failures": failures,
        "lives": len(report.hashes) - len(report.inconclusive),
        "distinct": report.distinct,
        "virtual_s": report.virtual_s,
        "inconclusive": len(report.inconclusive),
        "cut_off": report.cut_off,
    }
