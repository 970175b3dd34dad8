"""Fuzz for a while: programs of actors in simulated worlds, and inputs for everything that parses.

    python fuzz/run.py --seconds 60 --seed 7 --only yaml --only actors

Two fifths of the time go to the actors (fuzz/actors), the rest is shared evenly among the targets. Where atheris is
installed (the extra `fuzz`), inputs are guided by coverage (guided.py); elsewhere, and with `--plain`, good ones are
damaged by a seeded generator, which finds shallow faults quickly. A finding is printed with what makes it again, kept
in build/fuzz/, and makes the exit code 1. It says what it did, no more.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import logging
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from determinism.entropy import SeededEntropy  # noqa: E402 - the path is set above
from fuzz.actors.search import Search, as_test, read_corpus, shrink_case, smallest_cover, write_corpus  # noqa: E402
from fuzz.targets import TARGETS, Target  # noqa: E402

ACTORS = "actors"
ACTORS_SHARE = 0.4
#: Programs that other ones begin with; the tests live them again.
KEPT_FILE = ROOT / "fuzz" / "corpus" / "actors.txt"
KEPT_COUNT = 60
SHRINK_S = 30.0
GUIDED_GRACE_S = 60.0

INPUT_LIMIT_S = 2.0
INPUT_LIMIT_BYTES = 4096
FINDINGS_LIMIT_COUNT = 5
MUTATIONS_LIMIT_COUNT = 8


class TooSlowError(Exception):
    """One input took longer than `INPUT_LIMIT_S`."""


@contextmanager
def time_limit() -> Iterator[None]:
    """Raise `TooSlowError` inside the block once it has run for `INPUT_LIMIT_S`."""

    def expire(_signal: int, _frame: object) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, INPUT_LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def mutated(target: Target, entropy: SeededEntropy) -> bytes:
    """A good input, damaged a few times."""
    data = bytearray(_pick(target.seeds, entropy))
    for _ in range(1 + entropy.below(MUTATIONS_LIMIT_COUNT)):
        at = entropy.below(len(data) + 1)
        upto = min(len(data), at + 1 + entropy.below(16))
        match entropy.below(8):
            case 0:
                data[at:upto] = b""
            case 1 | 2:
                data[at:at] = _pick(target.tokens, entropy)
            case 3:
                data[at:upto] = b" " + _pick(target.tokens, entropy) + b" "
            case 4:
                data[at:at] = data[at:upto] * (1 + entropy.below(64))
            case 5:
                data[at : at + 1] = entropy.random_bytes(1)
            case 6:
                other = _pick(target.seeds, entropy)
                data[at:] = other[entropy.below(len(other) + 1) :]
            case _:
                data[at:at] = _pick(target.tokens, entropy) * (1 + entropy.below(256))
    return bytes(data[:INPUT_LIMIT_BYTES])


def _pick(choices: tuple[bytes, ...] | object, entropy: SeededEntropy) -> bytes:
    assert isinstance(choices, tuple)
    chosen = choices[entropy.below(len(choices))]
    assert isinstance(chosen, bytes)
    return chosen


def fuzz(target: Target, seed: int, first: int, seconds: float) -> int:
    """Feed `target` for `seconds`, print what happened, and return the number of findings."""
    root = SeededEntropy(seed).fork(target.name)
    end = time.monotonic() + seconds
    number, accepted, refused, findings = first, 0, 0, 0
    while time.monotonic() < end and findings < FINDINGS_LIMIT_COUNT:
        data = mutated(target, root.fork(str(number)))
        try:
            with time_limit():
                target.run(data)
            accepted += 1
        except target.refusals:
            refused += 1
        except (Exception, RecursionError) as problem:
            findings += 1
            _keep(target, seed, number, data, problem)
        number += 1
    print(f"{target.name}: {number - first} inputs, {accepted} accepted, {refused} refused, {findings} findings")
    return findings


def _keep(target: Target, seed: int, number: int, data: bytes, problem: BaseException) -> None:
    folder = ROOT / "build" / "fuzz"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{target.name.replace(' ', '_')}-{hashlib.sha256(data).hexdigest()[:12]}"
    (folder / name).write_bytes(data)
    print(f"FINDING in {target.name}: --seed {seed} --first {number} --only '{target.name}' (build/fuzz/{name})")
    print(f"  input: {data[:300]!r}{' ...' if len(data) > 300 else ''}")
    print("  " + "".join(traceback.format_exception(problem)[-3:]).replace("\n", "\n  "))


def fuzz_guided(target: Target, seed: int, seconds: float) -> int:
    """The same under atheris, in a process of its own."""
    command = [sys.executable, str(ROOT / "fuzz" / "guided.py"), target.name]
    command += ["--seconds", str(max(1, round(seconds))), "--seed", str(seed + 1)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds + GUIDED_GRACE_S, check=False
        )
    except subprocess.TimeoutExpired:
        print(f"FINDING in {target.name}: it did not end")
        return 1
    stats = dict(re.findall(r"stat::(\w+): +(\d+)", done.stderr))
    folder = ROOT / "build" / "fuzz" / "corpus" / target.name.replace(" ", "_")
    kept = sum(1 for _ in folder.iterdir()) if folder.exists() else 0
    print(
        f"{target.name}: {stats.get('number_of_executed_units', '?')} executions, "
        f"{stats.get('new_units_added', '?')} new, corpus of {kept}, guided, {int(done.returncode != 0)} findings"
    )
    if done.returncode:
        print("  " + "\n  ".join(done.stderr.splitlines()[-40:]))
    return int(done.returncode != 0)


def fuzz_actors(seed: int, seconds: float, *, keep: bool) -> int:
    """Search among programs of actors, and shrink what fails."""
    logging.getLogger().addHandler(logging.NullHandler())
    end = time.monotonic() + seconds
    search = Search(seed, read_corpus(KEPT_FILE))
    search.go(lambda: time.monotonic() < end and len(search.found) < FINDINGS_LIMIT_COUNT)
    print(f"{ACTORS}: {search.summary()}")
    for found in search.found.values():
        limit = time.monotonic() + SHRINK_S
        print(f"FINDING in {ACTORS}: {found.message}; a test for it:\n")
        print(as_test(*shrink_case(found, lambda limit=limit: time.monotonic() < limit)))  # type: ignore[misc]
    if keep and not search.found:
        write_corpus(KEPT_FILE, smallest_cover(search.kept, KEPT_COUNT))
    return len(search.found)


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="in all, shared (60)")
    parser.add_argument("--seed", type=int, default=0, help="equal seeds make equal inputs and programs (0)")
    parser.add_argument("--first", type=int, default=0, help="number of the first input, without atheris (0)")
    parser.add_argument("--only", action="append", help="name of a target, or actors; may be repeated")
    parser.add_argument("--plain", action="store_true", help="without atheris")
    parser.add_argument("--keep", action="store_true", help="make fuzz/corpus/actors.txt anew from what this run met")
    options = parser.parse_args()
    names = [ACTORS, *(target.name for target in TARGETS)]
    if wrong := set(options.only or ()) - set(names):
        parser.error(f"no such target: {', '.join(sorted(wrong))}; there are: {', '.join(names)}")
    chosen = [target for target in TARGETS if not options.only or target.name in options.only]
    actors = not options.only or ACTORS in options.only
    seconds = options.seconds * ((1 - ACTORS_SHARE) if actors else 1) / max(len(chosen), 1)
    guided = not options.plain and not options.first and importlib.util.find_spec("atheris") is not None
    found = 0
    if actors:
        found += fuzz_actors(options.seed, options.seconds * (ACTORS_SHARE if chosen else 1), keep=options.keep)
    for target in chosen:
        sys.stdout.flush()
        found += (
            fuzz_guided(target, options.seed, seconds)
            if guided
            else fuzz(target, options.seed, options.first, seconds)
        )
    how = "guided by coverage" if guided else "damaged without guidance (atheris is not installed, or not wanted)"
    print(f"{len(chosen)} of {len(TARGETS)} targets, inputs {how}, seed {options.seed}, {found} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
