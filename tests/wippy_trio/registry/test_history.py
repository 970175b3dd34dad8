from __future__ import annotations

import pytest

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import NotFoundError
from wippy_trio.core.ids import EntryId
from wippy_trio.registry.changes import Change
from wippy_trio.registry.history import ROOT, MemoryHistory, NoHistory, Version


def entry(name: str, number: int = 0) -> Entry:
    return Entry(EntryId("app", name), "k", {}, {"n": number})


async def test_memory() -> None:
    history = MemoryHistory()
    await history.open()
    assert dict(history.versions) == {0: ROOT}
    assert await history.changes(0) == ()
    await history.save(Version(1, 0), [Change.create(entry("a"))])
    assert (history.head, str(history.versions[1])) == (1, "v1")
    assert await history.changes(1) == (Change.create(entry("a")),)
    await history.set_head(0)
    assert history.head == 0
    with pytest.raises(NotFoundError, match="version not found in history") as caught:
        await history.set_head(7)
    assert caught.value.details == {"version_id": 7}
    with pytest.raises(NotFoundError):
        await history.changes(7)


async def test_memory_forgets_the_oldest_but_keeps_the_root_in_reach() -> None:
    history = MemoryHistory(max_versions=2)
    await history.save(Version(1, 0), [Change.create(entry("a", 1))])
    await history.save(Version(2, 1), [Change.update(entry("a", 2), entry("a", 1))])
    await history.save(Version(3, 1), [Change.create(entry("b"))])  # a branch
    assert dict(history.versions) == {0: ROOT, 2: Version(2, 0), 3: Version(3, 0)}
    assert await history.changes(2) == (Change.create(entry("a", 2)),)
    assert await history.changes(3) == (Change.create(entry("a", 1)), Change.create(entry("b")))


async def test_no_history() -> None:
    history = NoHistory()
    await history.open()
    assert await history.changes(0) == ()
    await history.save(Version(1, 0), [])
    assert (history.head, dict(history.versions)) == (1, {1: Version(1)})
    await history.set_head(1)
    with pytest.raises(NotFoundError):
        await history.set_head(0)
    with pytest.raises(NotFoundError):
        await history.changes(1)
