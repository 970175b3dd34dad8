"""`make crash`: kill a node under load, ROUNDS times on each database, and compare what it acknowledged with what is
there. `--faults` makes file writes fail instead (tests/crash/faults.py).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import trio

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.crash.campaign import Place, effects, kill_rounds, pair_rounds, repeated, settle  # noqa: E402 - after the path is set
from tests.crash.faults import campaign  # noqa: E402
from tests.services.postgres import server  # noqa: E402


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="kills on each database")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--on", choices=["sqlite", "postgres", "pair", "all"], default="all", help="pair: two nodes")
    parser.add_argument("--faults", action="store_true", help="make every write fail once, instead of kills")
    given = parser.parse_args()
    print(f"seed {given.seed}")
    failed = False
    if given.faults:
        return faults()
    for kind in ["sqlite", "postgres", "pair"] if given.on == "all" else [given.on]:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wippy-crash-")))
            place = Place.make(folder / "a", stack.enter_context(server()) if kind != "sqlite" else None)
            began = time.monotonic()
            if kind == "pair":
                other = Place.make(folder / "b", place.server)
                other.database = place.database
                book = trio.run(pair_rounds, (place, other), given.rounds, given.seed)
            else:
                book = trio.run(kill_rounds, place, given.rounds, given.seed)
            wrong = trio.run(settle, place, book)
            again = repeated(effects(place))
            print(
                f"{kind}: {book.kills} kills, {len(book.jobs)} jobs, {book.acknowledged()} acknowledged, "
                f"{again} effects made again, {len(wrong)} wrong, {time.monotonic() - began:.0f} s"
            )
            for refusal, count in book.refusals.most_common(10):
                print(f"  refused {count} times: {refusal}")
            for line in wrong[:50]:
                print(f"  WRONG {line}")
            failed = failed or bool(wrong)
    return int(failed)


def faults() -> int:
    """Every call in turn."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="wippy-faults-") as folder:
        for call, number, wrong, seconds in campaign(Path(folder)):
            print(f"{call} {number}: {'; '.join(wrong) or 'fine'} ({seconds:.1f} s)")
            failed += bool(wrong)
    print(f"{failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
