"""Facts about the operating-system process this node is, and the few of its settings that can be changed.

The names are the reference's, whose runtime is Go; where CPython has no such thing the nearest is given and said.
Source: docs lua/system/system.
"""

from __future__ import annotations

import gc
import os
import sys

from determinism.seams import Disk
from wippy_trio.core.errors import InvalidError

__all__ = ["UNLIMITED_BYTES", "Machine", "machine_of"]

#: A memory limit that limits nothing.
UNLIMITED_BYTES = (1 << 63) - 1
_GC_THRESHOLD_COUNT = 700  # objects; CPython's own, which 100 per cent stands for
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4_096


class Machine:
    """The process of this node.

    Args:
        disk: where `/proc` is read (a simulation has none: then the peak stands for the present).
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._gc_percent = 100
        self._limit_bytes = UNLIMITED_BYTES
        self._max_procs = self.cpu_count

    # memory ----------------------------------------------------------------------------------------------------
    @property
    def peak_bytes(self) -> int:
        """The most memory the process has had."""
        try:
            import resource
        except ImportError:  # no such module on Windows
            return 0
        usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return usage if sys.platform == "darwin" else usage * 1024

    @property
    def resident_bytes(self) -> int:
        """The memory the process has now."""
        try:
            with self._disk.open("/proc/self/statm", "rb") as file:
                return int(file.read(256).split()[1]) * _PAGE_BYTES
        except (OSError, IndexError, ValueError):
            return self.peak_bytes

    @property
    def object_count(self) -> int:
        """Blocks Python's allocator holds."""
        return sys.getallocatedblocks()

    def memory_stats(self) -> dict[str, int]:
        """Memory under the reference's names; what CPython does not tell apart is 0."""
        resident, peak = self.resident_bytes, self.peak_bytes
        idle = max(0, peak - resident)
        return {
            "alloc": resident,
            "total_alloc": peak,
            "sys": peak,
            "heap_alloc": resident,
            "heap_sys": peak,
            "heap_idle": idle,
            "heap_in_use": resident,
            "heap_released": idle,
            "heap_objects": self.object_count,
            "stack_in_use": 0,
            "stack_sys": 0,
            "mspan_in_use": 0,
            "mspan_sys": 0,
            "num_gc": sum(generation["collections"] for generation in gc.get_stats()),
            "next_gc": 0,
        }

    @property
    def memory_limit_bytes(self) -> int:
        """The soft limit."""
        return self._limit_bytes

    def set_memory_limit(self, limit_bytes: int) -> int:
        """Set the soft limit (-1: none) and return the one before. Being above it costs a collection, no more.

        Raises:
            InvalidError: below -1.
        """
        if limit_bytes < -1:
            raise InvalidError("limit must be non-negative or -1")
        before = self._limit_bytes
        self._limit_bytes = UNLIMITED_BYTES if limit_bytes == -1 else limit_bytes
        if self.resident_bytes > self._limit_bytes:
            gc.collect()
        return before

    # garbage collection ------------------------------------------------------------------------------------------
    @staticmethod
    def collect() -> None:
        """Collect Python's garbage now."""
        gc.collect()

    @property
    def gc_percent(self) -> int:
        """How lazily garbage is collected; 100 is CPython's default."""
        return self._gc_percent

    def set_gc_percent(self, percent: int) -> int:
        """Set it and return the one before; below 0 turns collection off."""
        before = self._gc_percent
        if percent < 0:
            gc.disable()
        else:
            gc.enable()
            gc.set_threshold(max(1, _GC_THRESHOLD_COUNT * percent // 100), *gc.get_threshold()[1:])
        self._gc_percent = percent
        return before if before >= 0 else 100

    # processors and process ------------------------------------------------------------------------------------------
    @property
    def cpu_count(self) -> int:
        """Processors this process may use."""
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1

    @property
    def max_procs(self) -> int:
        """Processors the scheduler was told to use. Kept for programs that ask: one thread runs all actors."""
        return self._max_procs

    def set_max_procs(self, count: int) -> int:
        """Set it and return the one before.

        Raises:
            InvalidError: not positive.
        """
        if count <= 0:
            raise InvalidError("GOMAXPROCS value must be positive")
        before, self._max_procs = self._max_procs, count
        return before

    @property
    def pid(self) -> int:
        """The process's id."""
        return os.getpid()

    @property
    def hostname(self) -> str:
        """The machine's name."""
        import platform

        return platform.node()

    @property
    def cwd(self) -> str:
        """The working directory.

        Raises:
            OSError: it is gone.
        """
        return os.getcwd()  # noqa: PTH109 - the text is wanted


def machine_of(extras: dict[str, object], disk: Disk) -> Machine:
    """The node's process, kept among the runtime's `extras`; made at first use."""
    machine = extras.setdefault("machine", Machine(disk))
    assert isinstance(machine, Machine)
    return machine
