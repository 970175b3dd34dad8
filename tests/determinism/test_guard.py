"""Real input and output is refused inside the region, and only there."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from determinism.guard import RealIoError, no_real_io


def connect() -> None:
    with socket.socket() as made:
        made.connect(("127.0.0.1", 9))


def bind() -> None:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))


@pytest.mark.parametrize(
    ("reach", "what"),
    [
        (connect, r"socket.connect to \('127.0.0.1', 9\)"),
        (bind, "socket.bind to"),
        (lambda: socket.getaddrinfo("localhost", 1), "socket.getaddrinfo to 'localhost'"),
        (lambda: subprocess.run(["true"], check=True), "subprocess.Popen"),
        (lambda: os.system("true"), "os.system"),
        (lambda: threading.Thread(target=abs).start(), "_thread.start"),
        (lambda: sqlite3.connect(":memory:"), "sqlite3.connect"),
    ],
)
def test_the_world_is_out_of_reach(reach: Callable[[], object], what: str) -> None:
    with no_real_io(), pytest.raises(RealIoError, match=rf"simulation: {what}.* by .*test_guard.py:\d+"):
        reach()


def test_files_are_read_but_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"1")
    with no_real_io():
        assert path.read_bytes() == b"1"
        for reach in (
            lambda: path.write_bytes(b"2"),
            lambda: os.open(path, os.O_RDWR),
            lambda: path.open("ab"),
            path.unlink,
            lambda: path.rename(tmp_path / "g"),
            (tmp_path / "d").mkdir,
            lambda: path.chmod(0o600),
        ):
            with pytest.raises(RealIoError, match=r"by .*test_guard"):
                reach()
    assert path.read_bytes() == b"1"


def test_first_imports_may_keep_their_bytecode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imported_for_the_first_time.py").write_text("VALUE = 5")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    with no_real_io():
        import imported_for_the_first_time as made  # type: ignore[import-not-found]
    assert made.VALUE == 5
    assert list((tmp_path / "__pycache__").iterdir())


def test_what_is_allowed_is(tmp_path: Path) -> None:
    with no_real_io([str(tmp_path)]):
        (tmp_path / "report").write_bytes(b"1")
        with no_real_io():
            (tmp_path / "report").write_bytes(b"2")
    with no_real_io(), Path(os.devnull).open("wb") as nothing:
        nothing.write(b"1")


def test_outside_nothing_is_refused(tmp_path: Path) -> None:
    with no_real_io():
        pass
    (tmp_path / "f").write_bytes(b"1")
    with pytest.raises(ConnectionRefusedError):
        connect()


def test_other_threads_are_none_of_its_business(tmp_path: Path) -> None:
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(5)
        (tmp_path / "f").write_bytes(b"1")
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    with no_real_io():
        go.set()
        assert done.wait(5)
    thread.join()
    assert (tmp_path / "f").exists()


@pytest.mark.skipif(sys.version_info < (3, 13), reason="Python tells of sleeping from 3.13 on")
def test_sleeping_is_refused() -> None:
    import time

    with no_real_io(), pytest.raises(RealIoError, match="simulation: time"):
        time.sleep(0)
