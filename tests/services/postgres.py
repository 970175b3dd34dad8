"""A PostgreSQL server of the tests' own: in a folder of its own, on a local socket and a free port, gone afterwards.

`initdb` and `postgres` are looked for on PATH and where distributions keep them. Where they are missing the tests that
need them are skipped and say what to install; under CI that is a failure, for there `.ci/run` installs them.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from wippy_trio.storage.postgres_settings import PostgresSettings

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
HINT = "PostgreSQL is not installed: apt-get install postgresql (or put initdb and postgres on PATH)"
USER, PASSWORD = "wippy", "se cr'et\\"
START_S = 30.0
_LIBC = ctypes.CDLL(None)
_numbers = itertools.count(1)


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`, the newest where there are several."""
    found = shutil.which("initdb")
    if found and shutil.which("postgres"):
        return Path(found).resolve().parent
    candidates = [place for pattern in PLACES for place in Path("/").glob(pattern.lstrip("/"))]
    whole = [place for place in candidates if (place / "initdb").exists() and (place / "postgres").exists()]
    return max(whole, key=lambda place: [int(part) for part in place.parts if part.isdecimal()], default=None)


@dataclass
class Server:
    """A running server.

    Attributes:
        folder: its data, its socket and its log.
        port: TCP port on 127.0.0.1, part of the socket's name, too.
    """

    folder: Path
    port: int
    command: list[str]
    account: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                preexec_fn=_end_with_us,  # noqa: PLW1509 - one system call, which takes no lock
                **self.account,
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.sql("SELECT 1")
            except subprocess.CalledProcessError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.folder / "log").read_text(encoding="utf-8")[-2000:]) from None
                time.sleep(0.05)
            else:
                return

    def stop(self, number: int = signal.SIGINT) -> None:
        """End it: SIGINT is PostgreSQL's fast shutdown, SIGQUIT its crash."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(START_S)
            self.process = None

    def sql(self, text: str, database: str = "postgres") -> str:
        """Run `text` with psql; what it printed."""
        psql = shutil.which("psql") or str(Path(self.command[0]).with_name("psql"))
        arguments = [psql, "-X", "-q", "-A", "-t", "-h", str(self.folder), "-p", str(self.port)]
        done = subprocess.run(
            [*arguments, "-U", USER, "-d", database, "-c", text], capture_output=True, check=True, timeout=START_S
        )
        return done.stdout.decode()

    def new_database(self) -> str:
        """Make an empty database; its name."""
        name = f"test_{next(_numbers)}"
        self.sql(f"CREATE DATABASE {name} STRATEGY file_copy")
        return name

    def settings(self, database: str, **options: str) -> PostgresSettings:
        """How to log in over TCP with a password."""
        return PostgresSettings("127.0.0.1", self.port, database, USER, PASSWORD, options)


def _end_with_us() -> None:
    """In the new process: let the kernel end it when the tests are killed, and cannot do it themselves."""
    if sys.platform == "linux":
        _LIBC.prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _account(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then it runs as its own user, or as nobody."""
    if os.geteuid() != 0:
        return {}
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    name = next(name for name in ("postgres", "nobody") if name in names)
    entry = pwd.getpwnam(name)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@contextmanager
def server(*settings: str, durable: bool = False) -> Iterator[Server]:
    """A server for the block.

    Args:
        settings: `name=value` of postgresql.conf.
        durable: whether what was committed must survive a crash of the machine (fsync); off for speed.
    """
    place = programs()
    if place is None:
        raise FileNotFoundError(HINT)
    folder = Path(tempfile.mkdtemp(prefix="wippy-pg-"))
    try:
        account = _account(folder)
        secret = folder / "secret"
        secret.write_text(PASSWORD, encoding="utf-8")
        secret.chmod(0o644)  # the folder itself is private
        words = [
            "-U",
            USER,
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
        ]
        made = subprocess.run(
            [str(place / "initdb"), "-D", str(folder / "data"), *words, "--pwfile", str(secret)],
            capture_output=True,
            check=False,
            cwd=folder,
            timeout=120,
            **account,
        )
        if made.returncode:
            raise RuntimeError(made.stderr.decode())
        port = _free_port()
        chosen = ["listen_addresses=127.0.0.1", "max_connections=60", "shared_buffers=16MB", "autovacuum=off"]
        if not durable:
            chosen += ["fsync=off", "full_page_writes=off", "synchronous_commit=off"]
        command = [str(place / "postgres"), "-D", str(folder / "data"), "-k", str(folder), "-p", str(port)]
        running = Server(
            folder, port, command + [word for one in (*chosen, *settings) for word in ("-c", one)], account
        )
        try:
            running.start()
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """One server for the whole run."""
    if programs() is None:
        if os.environ.get("CI"):
            pytest.fail(HINT)
        pytest.skip(HINT)
    pytest.importorskip("psycopg", reason="pip install 'wippy-trio[postgres]'")
    with server() as running:
        yield running


@pytest.fixture(scope="session")
def postgres_admin(postgres_server: Server) -> Iterator[Any]:
    """A connection that makes schemas: a database for each test would take a hundred times as long."""
    import psycopg

    with psycopg.connect(postgres_server.settings("postgres").conninfo(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def postgres(postgres_server: Server, postgres_admin: Any) -> PostgresSettings:
    """An empty schema of the test's own, as the only one in the search path."""
    name = f"test_{next(_numbers)}"
    postgres_admin.execute(f"CREATE SCHEMA {name}")
    return postgres_server.settings("postgres", search_path=name)
