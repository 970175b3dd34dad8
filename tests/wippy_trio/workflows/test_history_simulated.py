"""Histories of workflows on a simulated disk: nothing reaches the machine's."""

from __future__ import annotations

import dataclasses

import pytest

from determinism.disk import SimulatedDisk
from determinism.environment import seeded_environment
from wippy_trio.core.errors import UnavailableError
from wippy_trio.workflows.history_sqlite import SqliteHistory


async def test_a_history_lives_on_the_simulated_disk(autojump_clock, tmp_path) -> None:
    made = seeded_environment(1)
    disk = SimulatedDisk(made.clock, roots=(str(tmp_path),))
    environment = dataclasses.replace(made, disk=disk)
    path = str(tmp_path / "folder" / "workflows.db")
    history = await SqliteHistory.open(path, environment)
    assert await history.run("none") is None
    assert {"workflows.db", "workflows.db-wal"} <= set(disk.list(str(tmp_path / "folder")))
    with pytest.raises(UnavailableError, match="another node has it open"):
        await SqliteHistory.open(path, environment)
    await history.aclose()
    assert disk.attached == {}
    again = await SqliteHistory.open(path, environment)
    await again.aclose()
    assert list(tmp_path.iterdir()) == []
