from __future__ import annotations

from pathlib import Path

import pytest

from determinism.system import system_environment
from wippy_trio.core.errors import (
    AlreadyExistsError,
    InvalidError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from wippy_trio.core.ids import EntryId
from wippy_trio.system.env import (
    EnvRegistry,
    EnvVariable,
    MemoryStorage,
    RouterStorage,
    StaticStorage,
    os_storage,
)
from wippy_trio.system.env_file import FileStorage

MEMORY, OS = EntryId("app", "memory"), EntryId("app", "os")


def file_storage(path: Path, **options: int) -> FileStorage:
    return FileStorage(system_environment(), str(path), **options)  # type: ignore[arg-type]


async def test_memory_storage_keeps_values() -> None:
    storage = MemoryStorage({"A": "1"})
    await storage.set("B", "")
    assert await storage.get("B") == ""
    assert await storage.list() == {"A": "1", "B": ""}
    await storage.delete("A")
    await storage.delete("A")
    assert await storage.get("A") is None


async def test_static_and_os_storages_are_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = StaticStorage({"A": "1"})
    for change in (storage.set("A", "2"), storage.delete("A")):
        with pytest.raises(PermissionDeniedError, match="storage is read-only"):
            await change
    assert await storage.list() == {"A": "1"}
    assert await os_storage({"HOME": "/x"}).get("HOME") == "/x"
    monkeypatch.setenv("WIPPY_TEST_OS", "yes")
    assert await os_storage().get("WIPPY_TEST_OS") == "yes"


async def test_a_router_reads_in_order_and_writes_to_the_first(tmp_path: Path) -> None:
    first, second = MemoryStorage({"A": "first"}), MemoryStorage({"A": "second", "B": "b"})
    broken = file_storage(tmp_path)  # a directory
    router = RouterStorage([first, second, broken])
    assert await router.get("A") == "first"
    assert await router.get("B") == "b"
    await router.set("B", "new")
    assert await second.get("B") == "b"
    assert await router.get("B") == "new"
    await first.set("B", "behind its back")
    assert await router.get("B") == "behind its back"
    assert await router.list() == {"A": "first", "B": "behind its back"}
    await router.delete("B")
    assert await router.get("B") == "b"
    with pytest.raises(UnavailableError):
        await router.get("C")
    with pytest.raises(InvalidError, match="at least one storage"):
        RouterStorage([])


def registry(**variables: EnvVariable) -> EnvRegistry:
    made = EnvRegistry()
    made.put_storage(MEMORY, MemoryStorage({"PORT": "80", "EMPTY": ""}))
    made.put_storage(OS, StaticStorage({"PORT": "1", "HOME": "/root"}))
    for variable in variables.values():
        made.put_variable(variable)
    return made


async def test_variables_are_found_by_name_id_and_bare_name() -> None:
    port = EnvVariable(EntryId("app", "port_var"), MEMORY, "PORT")
    env = registry(port=port)
    for name, namespace in (("PORT", ""), ("app:port_var", ""), ("port_var", "app")):
        assert await env.get(name, namespace) == "80"
    for name in ("port_var", "NOPE", "x:y", "", "a:", ":"):
        with pytest.raises(NotFoundError, match="environment variable not found"):
            await env.get(name)


async def test_an_empty_value_counts_as_unset() -> None:
    env = registry(
        a=EnvVariable(EntryId("app", "a"), MEMORY, "EMPTY"), b=EnvVariable(EntryId("app", "b"), MEMORY, "X", "fallback")
    )
    with pytest.raises(NotFoundError):
        await env.get("EMPTY")
    assert await env.get("X") == "fallback"
    assert await env.lookup("X") is None
    assert await env.lookup("EMPTY") is None


async def test_a_private_variable_is_kept_under_its_id() -> None:
    env = registry(a=EnvVariable(EntryId("app", "key"), MEMORY))
    await env.set("app:key", "v")
    assert await env.storage(MEMORY).get("app:key") == "v"


async def test_writing_respects_read_only() -> None:
    env = registry(
        a=EnvVariable(EntryId("app", "a"), MEMORY, "A", read_only=True), b=EnvVariable(EntryId("app", "b"), OS, "HOME")
    )
    with pytest.raises(PermissionDeniedError, match="environment variable is read-only"):
        await env.set("A", "1")
    with pytest.raises(PermissionDeniedError, match="storage is read-only"):
        await env.set("HOME", "1")


async def test_names_are_unique_and_follow_updates() -> None:
    first = EnvVariable(EntryId("app", "a"), MEMORY, "A")
    env = registry(a=first)
    with pytest.raises(AlreadyExistsError, match="variable name already exists: A"):
        env.put_variable(EnvVariable(EntryId("app", "other"), MEMORY, "A"))
    env.put_variable(EnvVariable(first.id, MEMORY, "RENAMED"))
    env.put_variable(EnvVariable(EntryId("app", "other"), MEMORY, "A"))
    env.remove_variable(first.id)
    env.remove_variable(first.id)
    with pytest.raises(NotFoundError):
        env.variable("RENAMED")
    with pytest.raises(NotFoundError, match="referenced storage not found"):
        env.put_variable(EnvVariable(EntryId("app", "x"), EntryId("app", "gone"), "X"))
    env.remove_storage(MEMORY)
    with pytest.raises(NotFoundError, match="environment storage backend not found"):
        await env.get("A")


async def test_everything_is_listed_and_what_can_be_written_wins() -> None:
    env = EnvRegistry()
    env.put_storage(OS, StaticStorage({"PORT": "1", "HOME": "/root"}))
    env.put_storage(MEMORY, MemoryStorage({"PORT": "80"}))
    assert await env.get_all() == {"HOME": "/root", "PORT": "80"}


@pytest.mark.parametrize("name", ["A-B", "a.b", "a b", "é", "A\n"])
def test_names_hold_letters_digits_and_underscores(name: str) -> None:
    with pytest.raises(InvalidError, match="invalid environment variable name"):
        EnvVariable(EntryId("app", "a"), MEMORY, name)


def test_a_storage_id_has_both_parts() -> None:
    with pytest.raises(InvalidError, match="must have both namespace and name"):
        EnvVariable(EntryId("app", "a"), EntryId("", "memory"))
