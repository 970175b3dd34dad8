from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import BinaryIO

import pytest

from determinism.system import SystemDisk
from wippy_trio.core.errors import InvalidError
from wippy_trio.system.machine import UNLIMITED_BYTES, Machine, machine_of


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.enable()
    gc.set_threshold(*before)


class NoProc(SystemDisk):
    def open(self, path: str, mode: str) -> BinaryIO:
        raise FileNotFoundError(path)


def test_memory_is_told_with_and_without_proc() -> None:
    for disk in (SystemDisk(), NoProc()):
        stats = Machine(disk).memory_stats()
        assert stats["alloc"] > 0
        assert stats["heap_objects"] > 0
        assert all(value >= 0 for value in stats.values())


def test_the_memory_limit_is_kept() -> None:
    machine = Machine(SystemDisk())
    assert machine.memory_limit_bytes == UNLIMITED_BYTES
    assert machine.set_memory_limit(1) == UNLIMITED_BYTES
    assert machine.set_memory_limit(-1) == 1
    with pytest.raises(InvalidError, match="non-negative or -1"):
        machine.set_memory_limit(-2)


def test_the_collector_follows_its_percentage() -> None:
    machine = Machine(SystemDisk())
    assert machine.set_gc_percent(200) == 100
    assert gc.get_threshold()[0] == 1400
    assert machine.set_gc_percent(-1) == 200
    assert not gc.isenabled()
    assert machine.set_gc_percent(0) == 100, "off counts as the default, as in the reference"
    assert gc.isenabled()
    assert gc.get_threshold()[0] == 1


def test_processors_and_process() -> None:
    machine = Machine(SystemDisk())
    assert machine.max_procs == machine.cpu_count > 0
    assert machine.set_max_procs(7) == machine.cpu_count
    assert machine.max_procs == 7
    with pytest.raises(InvalidError, match="must be positive"):
        machine.set_max_procs(0)
    assert machine.pid > 0
    assert machine.hostname
    assert machine.cwd.startswith("/")


def test_a_node_has_one() -> None:
    extras: dict[str, object] = {}
    machine = machine_of(extras, SystemDisk())
    assert machine_of(extras, SystemDisk()) is machine
