"""The environment of a reproducible run: virtual time, seeded draws, no threads, a network in memory.

Source: ours (architecture, sections 1 and 4).
"""

from __future__ import annotations

from determinism.clock import DEFAULT_EPOCH_NS, VirtualClock
from determinism.entropy import SeededEntropy, SeededIds
from determinism.memory import InlineThreads, MemoryNetwork
from determinism.seams import Clock, Disk, Environment, Network, Threads
from determinism.system import SystemDisk

__all__ = ["seeded_environment"]


def seeded_environment(
    seed: int = 0,
    *,
    clock: Clock | None = None,
    threads: Threads | None = None,
    disk: Disk | None = None,
    network: Network | None = None,
) -> Environment:
    """An environment in which two runs of one seed see the same time, draws, identifiers and ports.

    Run it under trio's `MockClock` (the `autojump_clock` fixture of pytest-trio), so that no wait takes real time.

    Args:
        seed: of all randomness and all UUIDs.
        clock: `VirtualClock` from 2026-01-01 UTC unless given.
        threads: `InlineThreads` unless given. With real threads the autojump clock may jump while they work.
        disk: the machine's file system unless given.
        network: a fresh `MemoryNetwork` unless given; pass one to several environments to connect them.
    """
    root = SeededEntropy(seed)
    return Environment(
        clock=clock or VirtualClock(DEFAULT_EPOCH_NS),
        entropy=root.fork("entropy"),
        ids=SeededIds(root.fork("ids")),
        threads=threads or InlineThreads(),
        disk=disk or SystemDisk(),
        network=network or MemoryNetwork(),
    )
