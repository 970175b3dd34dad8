"""`make determinism`: the same seeds, the same lives, in every Python, under every hash seed, in every process.

Seeds of three apps (the shop, a thousand actors that chatter, one of the shelf) are lived by each Python of 3.11, 3.12
and 3.13 that is found, under two values of PYTHONHASHSEED, in two processes each. All trace hashes must be equal.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPS = {
    "shop": "docs/examples/shop",
    "chatter": "tests/simulation/chatter",
    "shelf": "tests/simulation/shelf/lost_update/broken",
}
VERSIONS = ("3.11", "3.12", "3.13")
HASH_SEEDS = ("0", "4711")
_VERSION = "import sys; print('.'.join(map(str, sys.version_info[:2])))"


def live_all(names: Sequence[str], seeds: int, actors: int) -> dict[str, str]:
    """In the process of its own: app/scenario/seed -> trace hash.

    Args:
        names: of `APPS`.
        seeds: how many, from 0.
        actors: of the app that chatters.
    """
    import attrs

    from determinism.jobs import enter_folder
    from determinism.simulate import Bounds
    from wippy_trio.simulation.campaign import Campaign, app_of, spec_of
    from wippy_trio.simulation.scenarios import BOOT
    from wippy_trio.simulation.world import live

    hashes = {}
    for name in names:
        path = str(ROOT / APPS[name])
        enter_folder(path)
        app = app_of(path, "", (), ())
        for scenario in [str(one.id) for one in app.scenarios] or [BOOT]:
            for seed in range(seeds):
                spec = spec_of(app, Campaign(path), scenario, seed)
                # No limit of real time: where it strikes is no matter of the seed.
                spec = attrs.evolve(spec, bounds=Bounds(real_s=3600.0))
                if name == "chatter":
                    spec = attrs.evolve(spec, workload={"actors": actors, "rounds": 2})
                hashes[f"{name}/{scenario}/{seed}"] = live(app, spec).trace_hash
    return hashes


def _fresh(python: str, hash_seed: str, given: argparse.Namespace) -> dict[str, str]:
    options = ["--live", "--apps", given.apps, "--seeds", str(given.seeds), "--actors", str(given.actors)]
    command = [python, str(Path(__file__)), *options]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    ended = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise SystemExit(f"{python} failed:\n{ended.stderr[-4000:]}")
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def interpreters(versions: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(version, path of a Python that has what wippy_trio needs); makes an environment where there is none."""
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for version in versions:
        if version == own:
            yield version, sys.executable
            continue
        folder = ROOT / f".venv-{version}"
        python, mark = folder / "bin" / "python", folder / ".installed"
        if not mark.exists() or mark.stat().st_mtime < (ROOT / "pyproject.toml").stat().st_mtime:
            base = _find(version)
            if base is None:
                print(f"Python {version} is not found: left out")
                continue
            print(f"Python {version}: making {folder.name}", flush=True)
            subprocess.run([base, "-m", "venv", str(folder)], check=True)
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--editable", "."]
            subprocess.run(pip, cwd=ROOT, check=True)
            mark.touch()
        yield version, str(python)


def _find(version: str) -> str | None:
    name = f"python{version}"
    others = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/{name}"))
    for candidate in [shutil.which(name), *map(str, others)]:
        if candidate is not None:
            told = subprocess.run([candidate, "-c", _VERSION], capture_output=True, text=True, check=False)
            if told.stdout.strip() == version:
                return candidate
    return None


def compare(lived: Mapping[str, Mapping[str, str]]) -> list[str]:
    """What differs between runs (name -> hashes), in words."""
    first, *others = lived
    wrong = []
    for other in others:
        for life in sorted(lived[first].keys() | lived[other].keys()):
            if lived[first].get(life) != lived[other].get(life):
                wrong.append(f"{life} differs between {first} and {other}")
    return wrong


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--actors", type=int, default=1000, help="how many chatter")
    parser.add_argument("--apps", default=",".join(APPS))
    parser.add_argument("--pythons", default=",".join(VERSIONS))
    parser.add_argument("--processes", type=int, default=2, help="for each Python and hash seed")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--live", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.live:
        print(json.dumps(live_all(given.apps.split(","), given.seeds, given.actors)))
        return 0
    began, wrong, lives = time.monotonic(), list[str](), 0
    pythons = list(interpreters(given.pythons.split(",")))
    runs = {
        f"{version}, hash seed {hash_seed}, process {process + 1}": (python, hash_seed)
        for version, python in pythons
        for hash_seed in HASH_SEEDS
        for process in range(given.processes)
    }
    with ThreadPoolExecutor(given.jobs) as pool:
        futures = {run: pool.submit(_fresh, *where, given) for run, where in runs.items()}
        lived = {run: future.result() for run, future in futures.items()}
    for name in given.apps.split(","):
        some = {
            run: {life: told for life, told in hashes.items() if life.startswith(f"{name}/")}
            for run, hashes in lived.items()
        }
        found, count = compare(some), sum(map(len, some.values()))
        lives += count
        print(f"{name}: {count} lives in {len(runs)} processes, {len(found)} mismatches")
        wrong += found
    for line in wrong[:50]:
        print(f"WRONG {line}")
    versions = ", ".join(version for version, _ in pythons)
    print(f"{lives} lives under Python {versions}: {len(wrong)} mismatches, {time.monotonic() - began:.0f} s")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    raise SystemExit(main())
