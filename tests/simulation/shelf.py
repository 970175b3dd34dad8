"""The shelf of seeded bugs: small apps, each broken and fixed, that the simulator has to tell apart.

`python -m tests.simulation.shelf` (`make shelf`) runs all of them with default options, prints a table, and fails where
a bug was not found, a fixed twin was flagged, or a failure was not shrunk enough. `--keep` writes the seeds that it
finds to `shelf/seeds.json`, for `test_shelf.py`; `--only` shows which bugs need which fault.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs

from determinism.entropy import SeededEntropy
from determinism.faults import FAULTS
from determinism.jobs import core_count, each_in_processes, enter_folder
from determinism.strategies import make_strategy
from determinism.system import SystemClock
from wippy_trio.simulation.campaign import Campaign, app_of, spec_of
from wippy_trio.simulation.shrinking import shrink_life
from wippy_trio.simulation.world import Life, SimulatedApp, live

__all__ = ["APPS", "ONLY", "SHELF", "load", "one_life"]

SHELF = Path(__file__).with_name("shelf")
SEEDS_FILE = SHELF / "seeds.json"
#: Lives a broken app gets, and at least how many its twin gets.
MOST_SEEDS = 600
TWIN_SEEDS = 60
SHRINK_S = 30.0
MOST_FAULTS, MOST_PREEMPTIONS = 3, 5

#: App -> group.
APPS = {
    **dict.fromkeys(
        (
            *("lost_update", "check_then_act", "lock_order", "starved_writer", "name_taken", "restarted_actor"),
            *("use_after_close", "two_initialisers", "late_reply", "deadline_tie", "stop_overtakes"),
            *("late_subscription", "early_report"),
        ),
        "order",
    ),
    **dict.fromkeys(
        (
            *("double_charge", "stale_status", "job_forgotten", "late_confirmation", "busy_is_done"),
            *("lock_of_the_dead", "lease_without_fence", "guard_dies_too", "checkpoint_on_stop"),
            *("supervisor_gives_up", "journal_not_synced", "torn_record", "half_file", "tickets_from_one"),
            *("slow_start", "session_by_calendar", "ids_by_clock", "fast_meter", "sleep_is_no_signal"),
            *("error_page_kept", "pay_again", "impatient_order", "two_primaries", "lease_over_http", "trickling_feed"),
            *("twice_at_once", "two_timers", "makes_room"),
        ),
        "fault",
    ),
    **dict.fromkeys(
        (
            *("saga_leaves_hold", "cancel_in_commit", "no_outbox", "starts_over", "sequence_gap", "balance_by_hand"),
            *("ack_first", "scheduled_twice", "poison_message", "name_asked_first", "stale_cached"),
            *("cache_of_the_dead", "half_transfer", "both_off_call"),
        ),
        "storage",
    ),
}

#: Fault -> the app whose bug it brings up.
ONLY = {
    "actor_crash": "ack_first",
    "actor_hang": "lease_without_fence",
    "host_kill": "guard_dies_too",
    "host_restart": "checkpoint_on_stop",
    "supervisor_storm": "supervisor_gives_up",
    "message_drop": "late_confirmation",
    "message_delay": "job_forgotten",
    "message_duplicate": "twice_at_once",
    "message_reorder": "stale_status",
    "partition": "two_primaries",
    "partition_one_way": "impatient_order",
    "clogged_link": "trickling_feed",
    "connection_reset": "pay_again",
    "http_slow": "lease_over_http",
    "http_5xx": "error_page_kept",
    "clock_skew": "fast_meter",
    "clock_forward": "session_by_calendar",
    "clock_back": "ids_by_clock",
    "timer_jitter": "two_timers",
    "sql_busy": "busy_is_done",
    "disk_io_error": "tickets_from_one",
    "disk_full": "makes_room",
    "disk_slow": "slow_start",
    "lost_unsynced_write": "journal_not_synced",
}


def load(name: str, which: str) -> tuple[SimulatedApp, Campaign]:
    """An app of the shelf, and a campaign with default options over it."""
    campaign = Campaign(path=str(SHELF / name / which))
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())
    return app_of(campaign.path, "", (), ()), campaign


def one_life(app: SimulatedApp, campaign: Campaign, seed: int, kinds: frozenset[str] | None = None) -> Life:
    """The life of a seed, as `sim` would live it."""
    if kinds is not None:
        campaign = attrs.evolve(campaign, kinds=kinds)
    enter_folder(campaign.path)  # relative paths in entries mean the app's folder
    return live(app, spec_of(app, campaign, str(app.scenarios[0].id), seed))


@attrs.frozen(slots=True)
class Row:
    """What became of one app."""

    name: str
    found: int | None
    seconds: float
    strategy: str = ""
    kind: str = ""
    message: str = ""
    faults: int | None = None
    preemptions: int | None = None
    shrink_s: float = 0.0
    twin_lives: int = 0
    twin_s: float = 0.0
    flagged: str = ""

    @property
    def is_shrunk(self) -> bool:
        return self.faults is not None and self.faults <= MOST_FAULTS and (self.preemptions or 0) <= MOST_PREEMPTIONS

    def cells(self) -> Sequence[object]:
        found = "-" if self.found is None else self.found + 1
        shrunk = "-" if self.faults is None else f"{self.faults} / {self.preemptions}"
        twin = self.flagged or f"held {self.twin_lives} ({self.twin_s:.1f} s)"
        took, least_took = f"{self.seconds:.1f}", f"{self.shrink_s:.1f}"
        return (self.name, APPS[self.name], found, took, self.strategy, self.kind, shrunk, least_took, twin)


_HEAD = ("bug", "group", "seeds", "s", "strategy", "failure", "faults / preemptions", "shrunk in s", "twin")


def row_of(name: str) -> Row:
    """Find, shrink, and live the twin as long."""
    clock = SystemClock()
    app, campaign = load(name, "broken")
    began_s = clock.monotonic_s()
    life = next((life for life in (one_life(app, campaign, seed) for seed in range(MOST_SEEDS)) if life.failure), None)
    row = Row(name, None if life is None else life.spec.seed, clock.monotonic_s() - began_s)
    if life is not None and life.failure is not None:
        began_s = clock.monotonic_s()
        least = shrink_life(app, life, clock, SHRINK_S)
        row = attrs.evolve(
            row,
            strategy=_drawn(life),
            kind=life.failure.kind,
            message=life.failure.message,
            faults=None if least is None else len(least.strikes),
            preemptions=None if least is None else len(least.made),
            shrink_s=clock.monotonic_s() - began_s,
        )
    return _with_twin(row, clock)


def _drawn(life: Life) -> str:
    """The strategy that the swarm drew for a seed."""
    root = SeededEntropy(life.spec.seed)
    return make_strategy(life.spec.strategy, root, life.spec.length).name


def _with_twin(row: Row, clock: SystemClock) -> Row:
    app, campaign = load(row.name, "fixed")
    began_s = clock.monotonic_s()
    lives = 0
    for seed in range(MOST_SEEDS):
        life = one_life(app, campaign, seed)
        lives += 1
        if life.failure is not None:
            return attrs.evolve(row, twin_lives=lives, flagged=f"FLAGGED seed {seed}: {life.failure.message[:80]}")
        if lives >= TWIN_SEEDS and clock.monotonic_s() - began_s >= row.seconds:
            break
    return attrs.evolve(row, twin_lives=lives, twin_s=clock.monotonic_s() - began_s)


def only_of(fault: str) -> tuple[str, str, int | None, int | None, int]:
    """Whether the app that stands for a fault fails with it alone, and how often without it."""
    name, count = ONLY[fault], 150
    app, campaign = load(name, "broken")
    with_it = frozenset({fault, "host_kill"} if fault == "lost_unsynced_write" else {fault})
    found = next((seed for seed in range(count) if one_life(app, campaign, seed, with_it).failure), None)
    rest = frozenset(FAULTS) - {fault}
    without = [seed for seed in range(count) if one_life(app, campaign, seed, rest).failure]
    return fault, name, found, without[0] if without else None, len(without)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Run the shelf of seeded bugs.")
    parser.add_argument("names", nargs="*", help="apps; all without")
    parser.add_argument("--jobs", type=int, default=min(2, core_count()), help="processes at once")
    parser.add_argument("--keep", action="store_true", help="write the seeds found to shelf/seeds.json")
    parser.add_argument("--only", action="store_true", help="show which bugs need which fault")
    given = parser.parse_args(arguments)
    if given.only:
        return _print_only(given.jobs, given.names)
    rows: list[Row] = []
    began_s = SystemClock().monotonic_s()
    _say("\t".join(_HEAD))

    def take(row: Row) -> None:
        rows.append(row)
        _say("\t".join(map(str, row.cells())))

    each_in_processes(row_of, iter(given.names or APPS), given.jobs, take, lambda: False)
    return _summary(sorted(rows, key=lambda row: row.name), SystemClock().monotonic_s() - began_s, keep=given.keep)


def _summary(rows: Sequence[Row], seconds: float, *, keep: bool) -> int:
    missed = [row.name for row in rows if row.found is None]
    flagged = [row.name for row in rows if row.flagged]
    shrunk = [row for row in rows if row.is_shrunk and row.shrink_s <= SHRINK_S * 1.5]
    searched_s = sum(row.seconds for row in rows)
    found = len(rows) - len(missed)
    _say(f"\n{len(rows)} apps, {found} found in {searched_s:.0f} s of search; {seconds:.0f} s in all")
    _say(f"{len(shrunk)} shrunk to at most {MOST_FAULTS} faults and {MOST_PREEMPTIONS} preemptions")
    _say(f"not found: {', '.join(missed) or 'none'}; twins flagged: {', '.join(flagged) or 'none'}")
    if keep:
        kept = json.loads(SEEDS_FILE.read_text()) if SEEDS_FILE.exists() else {}
        kept.update({row.name: {"seed": row.found, "kind": row.kind} for row in rows if row.found is not None})
        SEEDS_FILE.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    return 1 if missed or flagged or len(shrunk) < 0.9 * len(rows) else 0


def _print_only(jobs: int, names: Sequence[str]) -> int:
    missed: list[str] = []

    def take(found: tuple[str, str, int | None, int | None, int]) -> None:
        fault, name, with_it, without, count = found
        if with_it is None:
            missed.append(fault)
        alone = "not found" if with_it is None else f"seed {with_it}"
        _say(f"{fault}\t{name}\twith it alone: {alone}\twithout it: {count} of 150, first {without}")

    each_in_processes(only_of, iter(names or ONLY), jobs, take, lambda: False)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
