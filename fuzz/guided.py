"""One target under atheris, guided by coverage: python fuzz/guided.py yaml --seconds 60

It begins with the target's seeds and what earlier runs kept in build/fuzz/corpus/. A finding is written to build/fuzz/,
as libFuzzer names it, and makes the exit code 77. Needs the extra `fuzz`; `run.py` does without it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

INPUT_LIMIT_BYTES = 4096
INPUT_LIMIT_S = 5
MEMORY_MIB = 1024


def main() -> None:
    """Fuzz one target; libFuzzer ends the process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    import atheris

    with atheris.instrument_imports(include=["sandbox", "wippy_trio", "h11", "yaml"]):
        from fuzz.targets import TARGETS
    target = next((one for one in TARGETS if one.name == options.target), None)
    if target is None:
        parser.error(f"no such target; there are: {', '.join(one.name for one in TARGETS)}")
    name = target.name.replace(" ", "_")
    kept = ROOT / "build" / "fuzz" / "corpus" / name
    kept.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (kept / f"seed-{number}").write_bytes(seed)
    words = ROOT / "build" / "fuzz" / f"{name}.dict"
    words.write_text("".join(f'"{_quoted(token)}"\n' for token in target.tokens if token), encoding="ascii")

    def one(data: bytes) -> None:
        try:
            target.run(data)
        except target.refusals:
            return

    arguments = {
        "max_total_time": options.seconds,
        "max_len": INPUT_LIMIT_BYTES,
        "timeout": INPUT_LIMIT_S,
        "rss_limit_mb": MEMORY_MIB,
        "seed": options.seed,
        "dict": words,
        "artifact_prefix": f"{ROOT / 'build' / 'fuzz'}/{name}-",
        "print_final_stats": 1,
        "verbosity": 0,
    }
    atheris.Setup([sys.argv[0], *(f"-{key}={value}" for key, value in arguments.items()), str(kept)], one)
    atheris.Fuzz()


def _quoted(token: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in token)


if __name__ == "__main__":
    main()
