"""Fuzz for a while: damaged inputs, made from good ones by a seeded generator, into every target.

    python fuzz/run.py --seconds 60 --seed 7 --only yaml

The time is shared evenly among the targets. A finding is printed with the seed and the input's number, so that it can
be made again (`--seed`, `--first`), is kept in build/fuzz/, and makes the exit code 1. There is no coverage feedback:
this finds shallow faults quickly. It says what it did, no more.
"""

from __future__ import annotations

import argparse
import hashlib
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from determinism.entropy import SeededEntropy  # noqa: E402 - the path is set above
from fuzz.targets import TARGETS, Target  # noqa: E402

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


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="in all, shared by the targets (60)")
    parser.add_argument("--seed", type=int, default=0, help="equal seeds make equal inputs (0)")
    parser.add_argument("--first", type=int, default=0, help="number of the first input (0)")
    parser.add_argument("--only", action="append", help="name of a target; may be repeated")
    options = parser.parse_args()
    chosen = [target for target in TARGETS if not options.only or target.name in options.only]
    if not chosen:
        parser.error(f"no such target; there are: {', '.join(target.name for target in TARGETS)}")
    found = sum(fuzz(target, options.seed, options.first, options.seconds / len(chosen)) for target in chosen)
    print(f"{len(chosen)} of {len(TARGETS)} targets, seed {options.seed}, {options.seconds:g} s: {found} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
