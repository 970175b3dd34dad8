"""Random operations on the simulated disk and on the system's own: both say the same, and end alike."""

from __future__ import annotations

import errno
import io
import shutil
import tempfile
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from determinism.clock import VirtualClock
from determinism.disk import BaseView, SimulatedDisk
from determinism.seams import Disk
from determinism.system import SystemDisk

NAMES = st.sampled_from(["a", "b", "a/c", "a/d", "b/c", "a/c/e", "base", "base/f", "base/g/h"])
DATA = st.binary(max_size=6)
STEPS = st.one_of(
    st.tuples(st.just("write"), NAMES, st.sampled_from(["wb", "ab", "xb", "r+b", "w+b"]), DATA),
    st.tuples(st.just("read"), NAMES),
    st.tuples(st.just("patch"), NAMES, st.integers(0, 9), DATA),
    st.tuples(st.just("cut"), NAMES, st.integers(0, 9)),
    st.tuples(st.just("mkdir"), NAMES, st.booleans()),
    st.tuples(st.sampled_from(["remove", "rmdir", "list", "stat", "exists", "real"]), NAMES),
    st.tuples(st.just("rename"), NAMES, NAMES),
)


def _do(disk: Disk, root: str, step: tuple[Any, ...]) -> object:
    what, name, *rest = step
    path = f"{root}/{name}"
    try:
        if what == "write":
            with disk.open(path, rest[0]) as file:
                return file.write(rest[1])
        if what == "read":
            with disk.open(path, "rb") as file:
                return file.read()
        if what == "patch":
            with disk.open(path, "r+b") as file:
                file.seek(rest[0])
                return file.write(rest[1])
        if what == "cut":
            with disk.open(path, "r+b") as file:
                return file.truncate(rest[0])
        if what == "stat":
            found = disk.stat(path)
            return found.is_dir, None if found.is_dir else found.size_bytes
        if what == "real":
            return disk.realpath(path).removeprefix(root)
        if what == "mkdir":
            disk.mkdir(path, parents=rest[0])
            return None
        if what == "rename":
            disk.rename(path, f"{root}/{rest[0]}")
            return None
        return getattr(disk, what)(path)
    except io.UnsupportedOperation as problem:
        return str(problem)
    except OSError as problem:
        # POSIX leaves it open which of the two a directory that is not empty gives.
        number = errno.ENOTEMPTY if problem.errno == errno.EEXIST and what in {"rename", "rmdir"} else problem.errno
        return errno.errorcode[number or 0]


def _picture(disk: Disk, path: str) -> object:
    if not disk.stat(path).is_dir:
        with disk.open(path, "rb") as file:
            return file.read()
    return {name: _picture(disk, f"{path}/{name}") for name in disk.list(path)}


def _prepare(root: str) -> None:
    disk = SystemDisk()
    disk.mkdir(f"{root}/base/g", parents=True)
    for name in ("f", "g/h"):
        with disk.open(f"{root}/base/{name}", "wb") as file:
            file.write(b"base")


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(st.lists(STEPS, max_size=30))
def test_it_is_as_the_systems(steps) -> None:
    real = tempfile.mkdtemp()
    shown = tempfile.mkdtemp()
    try:
        for root in (real, shown):
            _prepare(root)
        simulated = SimulatedDisk(VirtualClock(), base=BaseView(SystemDisk(), [shown]))
        system = SystemDisk()
        for step in steps:
            assert _do(simulated, shown, step) == _do(system, real, step), step
        assert _picture(simulated, shown) == _picture(system, real)
        assert _picture(system, shown) == {"base": {"f": b"base", "g": {"h": b"base"}}}
    finally:
        shutil.rmtree(real)
        shutil.rmtree(shown)
