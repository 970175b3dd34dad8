"""Lives as files: what `sim` writes for a failure, and `replay`, `shrink` and `timeline` read.

JSON, version 1: the app's folder, scenario, seed and strategy, the faults that struck, the switches of the schedule
(step -> name; null where the strategy chose), and what came of it, with a fingerprint of each event where they were
kept. Source: ours (docs/guides/simulation.md).
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from determinism.explore import Order
from determinism.faults import BUGGIFY, FAULTS
from determinism.seams import Disk, Strike
from determinism.simulate import Bounds
from determinism.trace import fingerprints
from wippy_trio.core.errors import ConfigError
from wippy_trio.simulation.world import Life, LifeSpec

__all__ = ["life_data", "read_life", "record_path", "save_life", "write_life"]

_VERSION = 1
#: Where `sim` leaves records, below the app's folder.
FOLDER = ".wippy/sim"


def life_data(life: Life, project: str) -> dict[str, Any]:
    """A life as JSON values."""
    spec, failure = life.spec, life.failure
    return {
        "version": _VERSION,
        "project": project,
        "scenario": spec.scenario,
        "seed": spec.seed,
        "strategy": spec.strategy,
        "length": spec.length,
        "workload": None if spec.workload is None else dict(spec.workload),
        "kinds": sorted(spec.kinds),
        "asked": [[kind, where, count] for (kind, where), count in sorted(spec.asked.items())],
        "strikes": [dataclasses.asdict(strike) for strike in life.strikes],
        "schedule": None if spec.schedule is None else {str(step): name for step, name in sorted(life.made.items())},
        "order": None if spec.order is None else _order_data(spec.order),
        "steps": life.steps,
        "choices": life.choices,
        "virtual_s": life.virtual_s,
        "trace_hash": life.trace_hash,
        "events": base64.b64encode(fingerprints(life.log)).decode(),
        "failure": None
        if failure is None
        else {"kind": failure.kind, "message": failure.message, "stack": failure.stack},
    }


def _order_data(order: Order) -> dict[str, Any]:
    return {"positions": list(order.positions), "sleep": [[name, sorted(objects)] for name, objects in order.sleep]}


def _order(data: Mapping[str, Any]) -> Order:
    sleep = tuple((str(name), frozenset(map(str, objects))) for name, objects in data["sleep"])
    return Order(tuple(map(int, data["positions"])), sleep)


def _workload(data: Any) -> Mapping[str, int] | None:
    return None if data is None else {str(name): int(count) for name, count in data.items()}


def record_path(life: Life, project: str) -> str:
    """Where the record of a life is kept."""
    name = life.spec.scenario.replace(":", ".").replace("/", ".")
    return f"{project}/{FOLDER}/{name}-{life.spec.seed}.json"


def write_life(disk: Disk, life: Life, project: str, found: Life | None = None) -> str:
    """Write the record of a life; returns its path, which is named after `found` where another was found first."""
    path = record_path(found or life, project)
    disk.mkdir(path.rpartition("/")[0], parents=True)
    save_life(disk, path, life_data(life, project))
    return path


def save_life(disk: Disk, path: str, data: Mapping[str, Any]) -> None:
    """Write a record as `life_data` made it."""
    with disk.open(path, "wb") as file:
        file.write(json.dumps(data, indent=1, ensure_ascii=False).encode())


def read_life(disk: Disk, path: str) -> tuple[str, LifeSpec, Mapping[str, Any]]:
    """A record: the app's folder, the life to live again, and all that the file says.

    Raises:
        ConfigError: it is no such file.
    """
    try:
        with disk.open(path, "rb") as file:
            data = json.loads(file.read())
        if data["version"] != _VERSION:
            raise ConfigError(f"{path}: a trace of version {data['version']}; this runtime reads {_VERSION}")
        strikes = tuple(Strike(**item) for item in data["strikes"])
        unknown = [strike.kind for strike in strikes if strike.kind not in {*FAULTS, BUGGIFY.name}]
        if unknown:
            raise ConfigError(f"{path}: unknown faults: {', '.join(unknown)}")
        schedule, positions = data["schedule"], data.get("order")
        spec = LifeSpec(
            scenario=str(data["scenario"]),
            seed=int(data["seed"]),
            strategy=str(data["strategy"]),
            kinds=frozenset(data["kinds"]),
            strikes=strikes if schedule is not None else None,
            schedule=None if schedule is None else {int(step): str(name) for step, name in schedule.items()},
            order=None if schedule is not None or positions is None else _order(positions),
            length=int(data["length"]),
            workload=_workload(data.get("workload")),
            asked={(str(kind), str(where)): int(count) for kind, where, count in data.get("asked", ())},
            keep=True,
            bounds=Bounds(real_s=600.0),
        )
        return str(data["project"]), spec, data
    except (OSError, ValueError, KeyError, TypeError) as problem:
        hint = "a trace is a JSON file that `wippy-trio sim` wrote for a failure"
        raise ConfigError(f"cannot read the trace {path}: {problem}", hint=hint) from problem
