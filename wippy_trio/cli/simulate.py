"""`sim`: lives of an app from seeds. Source: ours (docs/guides/simulation.md)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import click

from determinism.faults import parse_faults
from determinism.jobs import core_count, enter_folder
from determinism.strategies import STRATEGIES
from determinism.system import SystemDisk
from wippy_trio.core.errors import ConfigError, InvalidError, LuaError
from wippy_trio.core.units import duration_s
from wippy_trio.simulation.campaign import (
    DEFAULT_SEEDS,
    Campaign,
    Finding,
    Progress,
    Report,
    run_campaign,
)
from wippy_trio.simulation.records import write_life
from wippy_trio.simulation.report import finding_text, replay_command

__all__ = ["SimRequest", "report_data", "simulate_app"]

_TELL_EVERY_S = 0.5
#: Lives of one exploration, unless its time limit comes first.
_MOST_ORDERS = 1_000_000


@attrs.frozen(slots=True)
class SimRequest:
    """What `sim` was asked to do, as the command line says it."""

    path: str
    scenario: str
    seeds: int | None
    seed: int | None
    jobs: int | None
    strategy: str
    faults: str
    time_limit: str
    check: bool
    json_file: str
    shrink: bool
    overrides: tuple[str, ...]
    settings: tuple[str, ...]


def campaign_of(request: SimRequest) -> Campaign:
    """The campaign of a request.

    Raises:
        ConfigError: an option is wrong; says what it may be.
    """
    if request.strategy not in STRATEGIES:
        raise ConfigError(f"--strategy: unknown strategy '{request.strategy}'", hint=f"one of {', '.join(STRATEGIES)}")
    try:
        kinds = parse_faults(request.faults)
    except ValueError as problem:
        raise ConfigError(f"--faults: {problem}") from None
    try:
        limit_s = duration_s(request.time_limit)
    except InvalidError as problem:
        raise ConfigError(f"--time-limit: {problem}", hint="durations look like 500ms, 30s or 2m") from None
    if request.seed is not None and request.seeds is not None:
        raise ConfigError("--seeds and --seed exclude one another", hint="--seeds 50 is seeds 0 to 49; --seed 7 is one")
    default = _MOST_ORDERS if request.strategy == "dfs" else DEFAULT_SEEDS
    count = default if request.seeds is None else request.seeds
    if count < 1:
        raise ConfigError("--seeds: at least 1")
    seeds: Sequence[int] = range(count) if request.seed is None else (request.seed,)
    jobs = request.jobs if request.jobs is not None else core_count()
    if jobs < 1:
        raise ConfigError("--jobs: at least 1")
    return Campaign(
        path=SystemDisk().realpath(request.path),
        scenario=request.scenario,
        seeds=seeds,
        strategy=request.strategy,
        kinds=kinds,
        jobs=jobs if len(seeds) > 1 else 1,
        time_limit_s=limit_s,
        check=request.check,
        stop_at_first=request.seeds is None and request.seed is None,
        shrink=request.shrink,
        overrides=request.overrides,
        settings=request.settings,
    )


def simulate_app(request: SimRequest) -> int:
    """Run it and print what came of it: 0 all held, 1 a failure was found, 2 it could not run."""
    disk = SystemDisk()
    json_file = disk.realpath(request.json_file)  # before the folder changes
    try:
        campaign = campaign_of(request)
        if not disk.exists(campaign.path):
            raise ConfigError(f"folder {request.path} not found")
        if disk.exists(campaign.path) and disk.stat(campaign.path).is_dir:
            enter_folder(campaign.path)  # relative paths in entries mean the app's folder
        teller = _Teller()
        report = run_campaign(campaign, teller.tell)
        teller.end()
    except (LuaError, OSError) as problem:
        click.echo(problem.render() if isinstance(problem, ConfigError) else f"Error: {problem}", err=True)
        return 2
    records: dict[tuple[str, int], str] = {}
    for finding in report.findings:
        path = write_life(disk, finding.shrunk or finding.life, campaign.path, finding.life)
        records[finding.scenario, finding.seed] = path.removeprefix(f"{campaign.path}/")
        record = records[finding.scenario, finding.seed]
        again = replay_command(finding, campaign, record, faults=request.faults, path=request.path)
        click.echo(finding_text(finding, record, again))
    _print_summary(report, campaign)
    if request.json_file:
        data = json.dumps(report_data(report, records), indent=2, ensure_ascii=False)
        if request.json_file == "-":
            click.echo(data)
        else:
            with disk.open(json_file, "wb") as file:
                file.write(data.encode())
    return 1 if report.findings else 0


class _Teller:
    """A line that keeps itself up to date, on a terminal; else one line now and then."""

    def __init__(self) -> None:
        self._last_s = 0.0
        self._live = sys.stderr.isatty()

    def tell(self, progress: Progress) -> None:
        if progress.elapsed_s - self._last_s < (_TELL_EVERY_S if self._live else 20 * _TELL_EVERY_S):
            return
        self._last_s = progress.elapsed_s
        text = _line(progress.lives, progress.total, progress.elapsed_s, progress.report)
        click.echo(f"\r\x1b[K{text}" if self._live else text, err=True, nl=not self._live)

    def end(self) -> None:
        if self._live and self._last_s:
            click.echo("\r\x1b[K", err=True, nl=False)


def _line(lives: int, total: int, elapsed_s: float, report: Report) -> str:
    speed = lives / elapsed_s if elapsed_s > 0 else 0.0
    return (
        f"{lives}/{total} lives, {speed:.1f} seeds/s, {_time(report.virtual_s)} of virtual time, "
        f"{report.distinct} distinct schedules, {len(report.pairs)} (actor, operation) pairs, "
        f"{sum(report.failed.values())} failed"
    )


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _print_summary(report: Report, campaign: Campaign) -> None:
    lives = len(report.hashes)
    click.echo(_line(lives, len(report.scenarios) * len(campaign.seeds), report.elapsed_s, report))
    for scenario, seed, why in report.inconclusive[:10]:
        limit = f"--time-limit {campaign.time_limit_s:g}s" if why == "time" else "the limit of steps"
        click.echo(f"inconclusive  {scenario} seed {seed}: cut off by {limit}")
    missing = sorted(set(report.scenarios) - {name.rpartition("/")[0] for name in report.hashes})
    for scenario in missing:
        click.echo(f"inconclusive  {scenario}: no life before the time limit")
    for scenario, coverage in report.coverage.items():
        click.echo(f"{scenario}: {coverage.text()}")
    if report.cut_off:
        click.echo(f"the time limit of {campaign.time_limit_s:g} s cut the campaign off after {lives} lives")


def report_data(report: Report, records: Mapping[tuple[str, int], str]) -> dict[str, Any]:
    """The report as JSON values (`--json`)."""
    return {
        "seeds": report.seeds,
        "failures": [_failure_data(item, records.get((item.scenario, item.seed), "")) for item in report.findings],
        "failed_lives": dict(sorted(report.failed.items())),
        "scenarios": list(report.scenarios),
        "lives": len(report.hashes),
        "inconclusive": [
            {"scenario": scenario, "seed": seed, "why": why} for scenario, seed, why in report.inconclusive
        ],
        "cut_off": report.cut_off,
        "coverage": {
            scenario: {
                "lives": coverage.lives,
                "redundant": coverage.redundant,
                "bound": coverage.bound,
                "exhausted": coverage.exhausted,
            }
            for scenario, coverage in report.coverage.items()
        },
        "distinct_schedules": report.distinct,
        "pairs": len(report.pairs),
        "steps": report.steps,
        "virtual_s": round(report.virtual_s, 6),
        "elapsed_s": round(report.elapsed_s, 3),
        "trace_hashes": dict(sorted(report.hashes.items())),
    }


def _failure_data(finding: Finding, record: str) -> dict[str, Any]:
    life, shrunk = finding.life, finding.shrunk
    return {
        "scenario": finding.scenario,
        "seed": finding.seed,
        "kind": finding.failure.kind,
        "message": finding.failure.message,
        "stack": finding.failure.stack,
        "steps": life.steps,
        "faults": len(life.strikes),
        "strikes": [f"{strike.kind} at {strike.where} #{strike.number}" for strike in life.strikes],
        "strategy": life.spec.strategy,
        "trace_hash": life.trace_hash,
        "record": record,
        "shrunk": None
        if shrunk is None
        else {
            "faults": len(shrunk.strikes),
            "preemptions": len(shrunk.made),
            "steps": shrunk.steps,
            "replay": f"python -m wippy_trio replay {record}",
        },
    }
