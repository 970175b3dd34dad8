"""Requests per second of a hello function behind http.service, measured by wrk on loopback."""

from __future__ import annotations

import re
import shutil
import subprocess
import time

import trio

from wippy_trio.app.app import open_entries
from wippy_trio.core.entry import Entry
from wippy_trio.core.ids import EntryId

ENTRIES = [
    Entry(EntryId("app", "gateway"), "http.service", {}, {"addr": "127.0.0.1:0", "lifecycle": {"auto_start": True}}),
    Entry(EntryId("app", "api"), "http.router", {"server": "app:gateway"}, {"prefix": "/"}),
    Entry(
        EntryId("app", "hello"),
        "function.lua",
        {},
        {
            "source": 'local http = require("http") return function() http.response():write_json({hello="world"}) end',
            "method": "main",
            "modules": ["http"],
        },
    ),
    Entry(
        EntryId("app", "hello.endpoint"),
        "http.endpoint",
        {"router": "app:api"},
        {"method": "GET", "path": "/hello", "func": "app:hello"},
    ),
]


def run(seconds: int = 3) -> float | None:
    """Requests per second; None where wrk is not installed."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return None

    async def main() -> float:
        async with open_entries(ENTRIES) as app:
            url = f"http://{app.serve_address('app:gateway')}/hello"
            command = [wrk, "-t1", "-c16", f"-d{seconds}s", url]
            result = await trio.run_process(command, capture_stdout=True, stderr=subprocess.STDOUT)
        found = re.search(r"Requests/sec:\s+([0-9.]+)", result.stdout.decode())
        assert found is not None, result.stdout.decode()
        assert "Non-2xx" not in result.stdout.decode()
        return float(found[1])

    return trio.run(main)


def cold_start_ms(python: str, project: str, port: int) -> float:
    """Milliseconds from process start to the first answered request of a hello app."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [python, "-m", "wippy_trio", "run", "-s"], cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:

        async def wait() -> float:
            while True:
                try:
                    stream = await trio.open_tcp_stream("127.0.0.1", port)
                except OSError:
                    await trio.sleep(0.002)
                    continue
                async with stream:
                    await stream.send_all(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    if (await stream.receive_some(65536)).startswith(b"HTTP/1.1 200"):
                        return (time.perf_counter() - start) * 1000

        return trio.run(wait)
    finally:
        process.terminate()
        process.wait(10)
