from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import AlreadyExistsError, InvalidError, LuaError, NotFoundError
from wippy_trio.core.ids import EntryId
from wippy_trio.kinds.env import KINDS
from wippy_trio.system.env import env_of

BY_NAME = {kind.name: kind for kind in KINDS}


def entry(kind: str, name: str = "it", **data: Any) -> Entry:
    return Entry(EntryId("app", name), kind, {}, data)


async def test_storages_and_variables_live_with_their_entries(app: Any) -> None:
    heard: list[str] = []
    async with app() as running:
        runtime = running.runtime
        runtime.extras["environ"] = {"HOME": "/root"}
        runtime.events.listen("env", "", lambda event: heard.append(f"{event.kind} {event.path}"))
        env = env_of(runtime.extras)
        async with AsyncExitStack() as stack:
            for declared in (
                entry("env.storage.os", "os"),
                entry("env.variable", "home", variable="HOME", storage="os"),
            ):
                await stack.enter_async_context(BY_NAME[declared.kind].open(declared, runtime))
            assert await env.get("HOME") == "/root"
            again = entry("env.variable", "again", variable="HOME", storage="os")
            with pytest.raises(AlreadyExistsError, match="variable name already exists: HOME"):
                async with BY_NAME["env.variable"].open(again, runtime):
                    pass
        with pytest.raises(NotFoundError):
            await env.get("HOME")
    assert heard == [
        "storage.register app:os",
        "variable.register app:home",
        "variable.delete app:home",
        "storage.delete app:os",
    ]


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("env.storage.file", {}, "file path must not be empty"),
        ("env.storage.file", {"file_path": 5}, "file_path must be a string"),
        ("env.storage.file", {"file_path": "a", "file_mode": "9"}, "file_mode: invalid file mode"),
        ("env.storage.file", {"file_path": "a", "dir_mode": 0o10000}, "dir_mode: invalid file mode"),
        ("env.storage.router", {}, "router storage must have at least one storage"),
        ("env.storage.router", {"storages": ["gone"]}, "environment storage backend not found"),
        ("env.storage.static", {"values": ["a"]}, "values must be a map"),
        ("env.storage.static", {"values": {"A": 1}}, "values.A must be a string"),
        ("env.variable", {"variable": "A"}, "must have both namespace and name"),
        ("env.variable", {"variable": "A-B", "storage": "s"}, "invalid environment variable name"),
        ("env.variable", {"variable": "A", "storage": "s", "default": 5}, "default must be a string"),
        ("env.variable", {"variable": "A", "storage": "s", "readonly": "yes"}, "readonly must be a boolean"),
        ("env.variable", {"variable": "A", "storage": "gone"}, "referenced storage not found"),
    ],
)
async def test_malformed_entries_are_refused(app: Any, kind: str, data: dict[str, Any], message: str) -> None:
    async with app() as running:
        with pytest.raises(LuaError, match=message):
            async with BY_NAME[kind].open(entry(kind, **data), running.runtime):
                pass


def test_variables_are_checked_before_anything_opens() -> None:
    check = BY_NAME["env.variable"].check
    assert check is not None
    with pytest.raises(InvalidError, match="invalid environment variable name"):
        check(entry("env.variable", variable="A B", storage="s"))
