"""`make bench`: the actor engine next to plain trio and, where installed, Erlang; HTTP through wrk; cold start.

Every measurement runs in a process of its own; contestants alternate; the best of `--rounds` counts. Never a timed
test.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMES = (
    "spawn_exit",
    "ping_pong",
    "fan_in",
    "ring",
    "respawn",
    "function_call",
    "channel_pairs",
    "sleepers",
    "idle_bytes",
    "idle_100k_mb",
)
GROUPS = ("http", "simulation", "workflows")
SMALLER_IS_BETTER = {"sleepers": "ms late", "idle_bytes": "bytes each", "idle_100k_mb": "MB in all"}
TEN_TIMES = frozenset(NAMES) - {"sleepers", "idle_100k_mb"}
UNITS = {name: SMALLER_IS_BETTER.get(name, "per second") for name in NAMES}
PLAIN = frozenset({"spawn_exit", "ping_pong", "fan_in", "function_call", "channel_pairs", "idle_bytes"})
ERLANG = frozenset({"spawn_exit", "ping_pong", "fan_in", "function_call", "idle_bytes", "ring", "respawn"})
HELLO = """
namespace: app
entries:
  - {name: gateway, kind: http.service, addr: "127.0.0.1:PORT", lifecycle: {auto_start: true}}
  - {name: api, kind: http.router, meta: {server: gateway}, prefix: /}
  - {name: hello, kind: function.lua, source: file://hello.lua, method: main, modules: [http]}
  - {name: hello.endpoint, kind: http.endpoint, meta: {router: api}, method: GET, path: /hello, func: hello}
"""
HELLO_LUA = """local http = require("http")
local function main() http.response():write_json({hello = "world"}) end
return {main = main}
"""


def _python(code: str) -> float | None:
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    if result.returncode != 0:
        print(result.stderr[-2000:], file=sys.stderr)
        return None
    return float(result.stdout.split()[-1])


def contestants(name: str, *, cpu: bool) -> dict[str, object]:
    """What measures `name`: contestant -> function. By processor time, only what runs in Python is compared."""

    def lua(scale: int) -> float | None:
        return _python(f"from tests.benchmarks import lua; print(lua.run({name!r}, {scale}, cpu={cpu}))")

    found: dict[str, object] = {"wippy_trio": lambda: lua(1)}
    if name in TEN_TIMES:
        found["ten times the work"] = lambda: lua(10)
    if cpu:
        return found
    if name in PLAIN:
        found["plain trio"] = lambda: _python(
            f"from tests.benchmarks import plain_trio; print(plain_trio.run({name!r}))"
        )
    if shutil.which("escript") and name in ERLANG:
        script = str(ROOT / "tests" / "benchmarks" / "erlang.escript")
        found["Erlang"] = lambda: float(
            subprocess.run(["escript", script, name], capture_output=True, text=True, check=True).stdout
        )
    return found


def _best(name: str, values: list[float]) -> float:
    return min(values) if name in SMALLER_IS_BETTER else max(values)


def _ratio(figures: dict[str, float]) -> str:
    once, tenfold = figures.get("wippy_trio"), figures.get("ten times the work")
    return f"  ratio {tenfold / once:.2f}" if once and tenfold else ""


def actors(names: list[str], rounds: int, *, cpu: bool = False) -> dict[str, dict[str, float]]:
    """Best of `rounds` for every contestant, alternating, and how the rate at ten times the work compares."""
    table: dict[str, dict[str, float]] = {}
    for name in names:
        got: dict[str, list[float]] = {}
        for _ in range(rounds):
            for who, measure in contestants(name, cpu=cpu).items():
                value = measure()  # type: ignore[operator]
                if value is not None:
                    got.setdefault(who, []).append(value)
        table[name] = {who: _best(name, values) for who, values in got.items()}
        cells = "  ".join(f"{who} {value:,.0f}" for who, value in table[name].items())
        print(f"{name:<14} {UNITS[name]:<11} {cells}{_ratio(table[name])}", flush=True)
    return table


def http(rounds: int) -> dict[str, float]:
    """Requests per second and cold start."""
    rates = [_python("from tests.benchmarks import http_hello; print(http_hello.run() or 0)") for _ in range(rounds)]
    found = {"http_hello_per_s": max(rate or 0.0 for rate in rates)}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "src").mkdir()
        port = 18_431
        (Path(folder) / "wippy.lock").write_text("directories: {modules: .wippy, src: ./src}\n")
        (Path(folder) / "src" / "_index.yaml").write_text(HELLO.replace("PORT", str(port)))
        (Path(folder) / "src" / "hello.lua").write_text(HELLO_LUA)
        start = f"http_hello.cold_start_ms(sys.executable, {folder!r}, {port})"
        code = f"from tests.benchmarks import http_hello; import sys; print({start})"
        starts = [_python(code) for _ in range(rounds)]
    found["cold_start_ms"] = min(start for start in starts if start is not None)
    for name, value in found.items():
        print(f"{name:<20} {value:,.0f}", flush=True)
    return found


def simulation(rounds: int) -> dict[str, float]:
    """Seeds, events and virtual time of simulated worlds, by processor time of one core."""
    from tests.benchmarks.simulation import BENCHMARKS

    found = {}
    for name in BENCHMARKS:
        code = f"from tests.benchmarks.simulation import BENCHMARKS; print(BENCHMARKS[{name!r}]())"
        values = [value for value in (_python(code) for _ in range(rounds)) if value is not None]
        found[name] = max(values)
        print(f"{name:<26} {found[name]:,.0f}", flush=True)
    return found


def workflows(rounds: int) -> dict[str, float]:
    """Embedded workflows, ours on a Temporal server, and the plain SDK on the same server, alternating."""
    from tests.benchmarks.workflows import BENCHMARKS
    from tests.services import temporal

    got: dict[str, list[float]] = {}

    def measure(name: str, code: str) -> None:
        value = _python(code)
        if value is not None:
            got.setdefault(name, []).append(value)

    program = temporal.find()
    server, process = temporal.start(program) if program else (None, None)
    try:
        for _ in range(rounds):
            for name in BENCHMARKS:
                measure(name, f"from tests.benchmarks.workflows import BENCHMARKS; print(BENCHMARKS[{name!r}]())")
            if server is not None:
                at = repr(server.address)
                measure(
                    "orders_on_temporal_per_s",
                    f"from tests.benchmarks import workflows as w; print(w.ours_on_temporal({at}))",
                )
                measure(
                    "orders_plain_sdk_per_s",
                    f"from tests.benchmarks import temporal_sdk as t; print(t.orders_per_second({at}))",
                )
    finally:
        if process is not None:
            temporal.stop(process)
    found = {name: max(values) for name, values in got.items()}
    for name, value in found.items():
        print(f"{name:<26} {value:,.0f}", flush=True)
    return found


def main() -> None:
    """Run and print; `--json FILE` keeps the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=[*NAMES, *GROUPS], default=None)
    parser.add_argument("--cpu", action="store_true", help="rates by processor time: the machine is not quiet")
    parser.add_argument("--json")
    options = parser.parse_args()
    chosen = options.only or [*NAMES, *GROUPS]
    figures: dict[str, object] = dict(
        actors([name for name in NAMES if name in chosen], options.rounds, cpu=options.cpu)
    )
    if "http" in chosen:
        figures["http"] = http(options.rounds)
    if "simulation" in chosen:
        figures["simulation"] = simulation(options.rounds)
    if "workflows" in chosen:
        figures["workflows"] = workflows(options.rounds)
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
