"""A real Temporal server for tests: the development server of its CLI, found on PATH or in a cache, or built once.

`python -m tests.services.temporal` prints the program's path, building it first where need be (about four minutes on
two cores, with Go); `make services` and `.ci/run` do so before the tests. Where `CI` is set a missing server fails the
tests that need it, elsewhere they are skipped and say how to get it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

MODULE = "github.com/temporalio/cli/cmd/temporal"
VERSION = "v1.5.1"
_START_S = 60.0
_STOP_S = 10.0
_BUILD_S = 1800.0


@attrs.frozen(slots=True)
class TemporalServer:
    """A running server: its address `host:port`, and the CLI that started it."""

    address: str
    program: str

    def command(self, *args: str) -> str:
        """Output of `temporal ARGS --address ...`; fails when it fails."""
        line = [self.program, *args, "--address", self.address]
        return subprocess.run(line, check=True, capture_output=True, text=True, timeout=60).stdout


def cache_folder() -> Path:
    """Where the built program is kept, outside the checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "wippy_trio" / "bin"


def find() -> str | None:
    """The CLI on PATH, or the one that was built before."""
    cached = cache_folder() / "temporal"
    return shutil.which("temporal") or (str(cached) if cached.is_file() else None)


def build() -> str:
    """Build the CLI into the cache; returns its path."""
    go = shutil.which("go")
    if go is None:
        message = f"the Temporal CLI is not there and Go, which builds it, neither; install Go or {MODULE}@{VERSION}"
        raise RuntimeError(message)
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as made:  # what is in the cache is whole
        line = [go, "install", f"{MODULE}@{VERSION}"]
        subprocess.run(line, check=True, timeout=_BUILD_S, env={**os.environ, "GOBIN": made})
        (Path(made) / "temporal").replace(folder / "temporal")
    return str(folder / "temporal")


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_ready(server: TemporalServer, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_S
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"the Temporal server ended at once, with {process.returncode}")
        try:
            server.command("operator", "namespace", "describe", "default")
        except subprocess.CalledProcessError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def start(program: str, *arguments: str, port: int = 0) -> tuple[TemporalServer, subprocess.Popen[bytes]]:
    """Start a server that keeps everything in memory, and wait until it answers."""
    server = TemporalServer(f"127.0.0.1:{port or free_port()}", program)
    line = [program, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", server.address.split(":")[1]]
    line += ["--log-level", "error", "--search-attribute", "WippyText=Keyword", "--search-attribute", "WippyCount=Int"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([*line, *arguments], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        _wait_ready(server, process)
    except BaseException:
        stop(process)
        raise
    return server, process


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server that `start` started."""
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], bool], limit_s: float = 20.0) -> None:
    """Look again and again until something outside of this process has happened."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"it did not happen within {limit_s} s")
        time.sleep(0.02)


@pytest.fixture(scope="session")
def temporal_server() -> Iterator[TemporalServer]:
    """One server for all tests that ask; they choose ids of their own."""
    program = find()
    if program is None:
        how = "the Temporal CLI is not there: `make services` builds it once into the cache"
        if os.environ.get("CI"):
            pytest.fail(how)
        pytest.skip(how)
    server, process = start(program)
    yield server
    stop(process)


def main() -> int:
    """Print the program's path; build it where it is missing."""
    try:
        sys.stdout.write(f"{find() or build()}\n")
    except (RuntimeError, OSError, subprocess.SubprocessError) as problem:
        sys.stderr.write(f"no Temporal server for the tests: {problem}\n")
        return 1 if os.environ.get("CI") else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
