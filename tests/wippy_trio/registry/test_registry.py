from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import trio
import trio.testing

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError, NotFoundError, UnsupportedError
from wippy_trio.core.ids import EntryId
from wippy_trio.registry.changes import Change
from wippy_trio.registry.history import History, MemoryHistory, NoHistory, Version
from wippy_trio.registry.registry import ApplyError, Registry


def entry(name: str, *needs: str, kind: str = "k", n: int = 0) -> Entry:
    return Entry(EntryId("app", name), kind, {"depends_on": list(needs)} if needs else {}, {"n": n})


def delete(name: str) -> Change:
    return Change.delete(EntryId("app", name))


class Recorder:
    """A realizer that keeps what lives, and refuses what it is told to."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.alive: dict[str, int] = {}
        self.refuse: dict[str, Exception] = {}
        self.hang: set[str] = set()

    async def _step(self, name: str) -> None:
        self.log.append(name)
        await trio.lowlevel.checkpoint()
        if name in self.hang:
            await trio.sleep_forever()
        if name in self.refuse:
            raise self.refuse[name]

    async def begin(self) -> None:
        await self._step("begin")

    async def create(self, entry: Entry) -> None:
        await self._step(f"+{entry.id.name}")
        self.alive[entry.id.name] = entry.data["n"]

    async def update(self, old: Entry, new: Entry) -> None:
        assert self.alive[old.id.name] == old.data["n"]
        await self._step(f"~{new.id.name}")
        self.alive[new.id.name] = new.data["n"]

    async def delete(self, entry: Entry) -> None:
        await self._step(f"-{entry.id.name}")
        del self.alive[entry.id.name]

    async def commit(self) -> None:
        await self._step("commit")

    async def rollback(self) -> None:
        await self._step("rollback")


class House:
    """A registry with its realizer and the events it told of."""

    def __init__(self, *, history: History | None = None, timeout_s: float = 30.0) -> None:
        self.realizer = Recorder()
        self.events: list[tuple[str, str, Any]] = []
        self.registry = Registry(
            self.realizer, history=history, on_event=self._event, operation_timeout_s=timeout_s
        )

    def _event(self, system: str, kind: str, path: str, data: Any) -> None:
        assert system == "registry"
        self.events.append((kind, path, data))

    def names(self) -> list[str]:
        return [item.id.name for item in self.registry.all()]

    async def apply(self, *changes: Change) -> Version:
        self.realizer.log.clear()
        self.events.clear()
        return await self.registry.apply(changes)

    async def refused(self, *changes: Change) -> ApplyError:
        with pytest.raises(ApplyError) as caught:
            await self.apply(*changes)
        return caught.value


async def house(*entries: Entry, history: History | None = None, timeout_s: float = 30.0) -> House:
    made = House(history=history, timeout_s=timeout_s)
    await made.registry.load_state(entries)
    return made


async def test_loading_makes_no_version() -> None:
    made = await house(entry("b", "a"), entry("a"), entry("note", kind="registry.entry"))
    assert made.realizer.log == ["begin", "+a", "+b", "commit"]
    assert made.registry.current_version == Version(0)
    assert made.names() == ["a", "b", "note"]
    assert made.registry.get(EntryId("app", "note")).kind == "registry.entry"
    assert EntryId("app", "a") in made.registry
    with pytest.raises(NotFoundError, match="entry not found") as caught:
        made.registry.get(EntryId("app", "zzz"))
    assert caught.value.details == {"path": "app:zzz"}


async def test_applying_makes_a_version_and_tells_of_it() -> None:
    made = await house(entry("a"), entry("old"))
    version = await made.apply(Change.create(entry("c", "b")), Change.create(entry("b")), delete("old"))
    assert (version, made.registry.current_version) == (Version(1, 0), Version(1, 0))
    assert made.realizer.log == ["begin", "+b", "+c", "-old", "commit"]
    assert made.events == [
        ("registry.begin", "registry.tx/2/registry.begin", None),
        ("entry.create", "app:b", entry("b")),
        ("entry.accept", "app:b", None),
        ("entry.create", "app:c", entry("c", "b")),
        ("entry.accept", "app:c", None),
        ("entry.delete", "app:old", entry("old")),
        ("entry.accept", "app:old", None),
        ("registry.commit", "registry.tx/2/registry.commit", None),
    ]


async def test_no_changes_are_refused() -> None:
    with pytest.raises(InvalidError, match="no changes to apply"):
        await (await house()).registry.apply([])


async def test_a_refusal_undoes_the_others_last_first() -> None:
    made = await house(entry("a", n=1), entry("z"))
    made.realizer.refuse["+c"] = ValueError("no room")
    error = await made.refused(
        Change.create(entry("b")), Change.update(entry("a", n=2)), Change.create(entry("c", "b", "a"))
    )
    assert str(error) == "failed to apply changes: operation failed for entry app:c: no room"
    assert (error.kind, error.retryable) == ("Internal", False)
    assert made.realizer.log == ["begin", "~a", "+b", "+c", "~a", "-b", "rollback"]
    assert made.realizer.alive == {"a": 1, "z": 0}
    assert made.names() == ["a", "z"]
    assert made.registry.current_version == Version(0)
    assert ("entry.reject", "app:c", "no room") in made.events
    assert made.events[-1][:2] == ("registry.discard", "registry.tx/2/registry.discard")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (Change.create(entry("a")), "invalid operation: entry already exists: {ns: app, name: a}"),
        (Change.update(entry("a", kind="j")), "invalid operation: cannot change entry kind from k to j for"),
        (delete("gone"), "unresolved dependencies after retry: app:gone: invalid operation: cannot delete"),
    ],
)
async def test_changes_that_do_not_fit(change: Change, text: str) -> None:
    made = await house(entry("a"))
    error = await made.refused(Change.create(entry("_first")), change)
    assert str(error).startswith(f"failed to apply changes: {text}")
    assert made.realizer.alive == {"a": 0}


async def test_a_change_that_misses_something_is_tried_again() -> None:
    made = await house()
    create = made.realizer.create

    async def picky(entry: Entry) -> None:
        if entry.id.name == "a" and "b" not in made.realizer.alive:
            raise NotFoundError("b is missing")
        await create(entry)

    made.realizer.create = picky  # type: ignore[method-assign]
    await made.apply(Change.create(entry("a")), Change.create(entry("b")))
    assert made.realizer.log == ["begin", "+b", "+a", "commit"]
    error = await made.refused(delete("b"), delete("a"), Change.create(entry("c")), Change.update(entry("zzz")))
    assert str(error) == (
        "failed to apply changes: unresolved dependencies after retry: app:zzz: "
        "invalid operation: entry does not exist: {ns: app, name: zzz}"
    )


async def test_what_cannot_be_undone_is_told_and_kept() -> None:
    made = await house(entry("a"))
    made.realizer.refuse = {"+c": ValueError("no"), "-b": ValueError("stuck"), "rollback": ValueError("bad day")}
    error = await made.refused(Change.create(entry("b")), Change.create(entry("c")))
    assert error.details == {
        "cause": "operation failed for entry app:c: no",
        "rollback_error": "app:b: operation failed for entry app:b: stuck; bad day",
    }
    assert made.names() == ["a", "b"] == sorted(made.realizer.alive)


async def test_a_refused_commit_undoes_everything() -> None:
    made = await house()
    made.realizer.refuse["commit"] = InvalidError("route conflict")
    assert "route conflict" in str(await made.refused(Change.create(entry("a"))))
    assert made.realizer.alive == {}
    assert made.names() == []


async def test_a_step_has_a_time_limit(autojump_clock: trio.testing.MockClock) -> None:
    made = await house(timeout_s=5.0)
    made.realizer.hang.add("+b")
    error = await made.refused(Change.create(entry("a")), Change.create(entry("b")))
    assert "event handler timeout after 5s for entry app:b (kind: k)" in str(error)
    assert made.realizer.alive == {}
    assert trio.current_time() == pytest.approx(5.0)


async def test_cancellation_undoes_what_was_made(autojump_clock: trio.testing.MockClock) -> None:
    made = await house(entry("old"))
    made.realizer.hang.add("+b")
    with trio.move_on_after(1) as scope:
        await made.apply(Change.create(entry("a")), Change.create(entry("b")))
    assert scope.cancelled_caught
    assert made.realizer.alive == {"old": 0}
    assert made.names() == ["old"]
    await made.apply(Change.create(entry("c")))
    assert made.names() == ["c", "old"]


async def test_one_apply_at_a_time(autojump_clock: trio.testing.MockClock) -> None:
    made = await house()
    async with trio.open_nursery() as nursery:
        for name in "abcd":
            nursery.start_soon(made.registry.apply, [Change.create(entry(name))])
    steps = [step for step in made.realizer.log if step.startswith("+")]
    assert sorted(steps) == ["+a", "+b", "+c", "+d"]
    assert made.realizer.log.count("begin") == made.realizer.log.count("commit") == 5
    assert made.registry.current_version == Version(4, 3)


async def test_readers_see_the_old_state_and_realizers_the_coming_one() -> None:
    made = await house(entry("a"))
    seen: list[tuple[list[str], list[str]]] = []
    create = made.realizer.create

    async def look(entry: Entry) -> None:
        await create(entry)
        seen.append((made.names(), sorted(id.name for id in made.registry.pending)))

    made.realizer.create = look  # type: ignore[method-assign]
    await made.apply(Change.create(entry("b")), Change.create(entry("c", "b")))
    assert seen == [(["a"], ["a"]), (["a"], ["a", "b"])]
    assert sorted(id.name for id in made.registry.pending) == ["a", "b", "c"]


async def test_dependencies_cannot_change_at_run_time_yet() -> None:
    made = await house(entry("dep", kind="ns.dependency"))
    changes: Iterable[Change] = (Change.create(entry("new", kind="ns.dependency")), delete("dep"))
    for change in changes:
        with pytest.raises(UnsupportedError, match=f"dependency app:{change.id.name} at run time"):
            await made.registry.apply([change])
    assert made.names() == ["dep"]


# --------------------------------------------------------------------------------------------------------- versions


async def traveller(history: History | None = None) -> House:
    made = await house(entry("base", n=0), history=history)
    await made.apply(Change.create(entry("a", n=1)), Change.update(entry("base", n=1)))
    await made.apply(Change.update(entry("a", n=2)), delete("base"))
    await made.apply(Change.create(entry("b", "a")))
    return made


async def test_going_back_and_ahead() -> None:
    made = await traveller()
    registry = made.registry
    await registry.apply_version(1)
    assert made.realizer.alive == {"a": 1, "base": 1}
    assert registry.current_version == Version(1, 0)
    await registry.apply_version(0)
    assert made.realizer.alive == {"base": 0}
    await registry.apply_version(3)
    assert made.realizer.alive == {"a": 2, "b": 0}
    assert [version.id for version in registry.versions()] == [0, 1, 2, 3]
    made.realizer.log.clear()
    await registry.apply_version(3)
    assert made.realizer.log == []


async def test_branches() -> None:
    made = await traveller()
    registry = made.registry
    await registry.apply_version(1)
    assert await made.apply(Change.create(entry("side"))) == Version(4, 1)
    assert [registry.previous_version(version) for version in registry.versions()] == [
        None,
        Version(0),
        Version(1, 0),
        Version(2, 1),
        Version(1, 0),
    ]
    assert registry.next_version(registry.version(1)) == Version(4, 1)
    assert registry.next_version(registry.version(4)) is None
    await registry.apply_version(3)
    assert made.realizer.alive == {"a": 2, "b": 0}
    await registry.apply_version(4)
    assert made.realizer.alive == {"a": 1, "base": 1, "side": 0}


async def test_looking_back() -> None:
    made = await traveller()
    snapshot = await made.registry.snapshot_at(1)
    assert snapshot.version == Version(1, 0)
    assert [(item.id.name, item.data["n"]) for item in snapshot.all()] == [("a", 1), ("base", 1)]
    assert await made.registry.snapshot_at(3) is made.registry.snapshot()
    assert made.realizer.alive == {"a": 2, "b": 0}
    for call in (made.registry.snapshot_at, made.registry.apply_version):
        with pytest.raises(NotFoundError, match="version not found in history"):
            await call(99)


async def test_a_refused_way_back_changes_nothing() -> None:
    made = await traveller()
    made.realizer.refuse["+base"] = ValueError("no")
    with pytest.raises(ApplyError, match="failed to apply version changes"):
        await made.registry.apply_version(0)
    assert made.realizer.alive == {"a": 2, "b": 0}
    assert made.registry.current_version == Version(3, 2)


async def test_a_history_is_replayed_at_load() -> None:
    history = MemoryHistory()
    await traveller(history)
    await history.set_head(2)
    again = await house(entry("base", n=0), entry("new"), history=history)
    assert again.realizer.log == ["begin", "+a", "+new", "commit"]
    assert again.realizer.alive == {"a": 2, "new": 0}
    assert again.registry.current_version == Version(2, 1)
    assert await again.apply(Change.create(entry("c"))) == Version(4, 2)


async def test_a_version_that_cannot_be_kept_is_undone() -> None:
    class Full(MemoryHistory):
        async def save(self, version: Version, changes: Iterable[Change]) -> None:
            del version, changes
            raise OSError("disk full")

    made = await house(entry("a"), history=Full())
    error = await made.refused(Change.create(entry("b")))
    assert str(error) == "failed to save new version: disk full"
    assert made.realizer.alive == {"a": 0}
    assert made.names() == ["a"]


async def test_without_history_there_is_no_way_back() -> None:
    made = await traveller(NoHistory())
    assert made.registry.current_version.id == 3
    with pytest.raises(NotFoundError):
        await made.registry.apply_version(0)


# -------------------------------------------------------------------------------------------------------- snapshots


async def test_snapshots_stay_as_they_are() -> None:
    made = await house(entry("a"), entry("b", kind="j"))
    before = made.registry.snapshot()
    await made.apply(delete("a"))
    assert [item.id.name for item in before.all()] == ["a", "b"]
    assert before.get(EntryId("app", "a")) == entry("a")
    assert [item.id.name for item in before.namespace("app")] == ["a", "b"]
    assert before.namespace("ap") == ()
    assert [item.id.name for item in before.find({".kind": "k"})] == ["a"]
    assert made.registry.find({".kind": "k"}) == ()
    assert before.find({".kind": "k"}) is before.find({".kind": "k"})
    assert "passed over" in before.find_with_warnings({"kind": "k"})[1][0]
