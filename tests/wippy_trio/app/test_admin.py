"""Questions to a running node over its local socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from determinism.environment import seeded_environment
from determinism.seams import Environment
from sandbox.errors import LuaError
from tests.conftest import entries_of
from wippy_trio.app.admin import Places, answer, ask, serve_admin
from wippy_trio.app.app import App, open_entries
from wippy_trio.app.config import Config

ENTRIES = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: worker
  kind: process.lua
  source: |
    return function()
      local inbox = process.inbox()
      local message = inbox:receive()
      error("broken by " .. message:topic())
    end
- name: pool
  kind: process.supervisor
  host: host
  children:
    - {id: a, process: worker}
    - {id: b, process: worker, restart: temporary}
    - {id: c, process: worker, restart: transient}
    - {id: deep, type: supervisor, children: [{id: d, process: worker}]}
  lifecycle: {auto_start: true}
"""


@pytest.fixture
def node(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> Any:
    """`async with node() as app:` runs an app in a folder, with its socket."""

    @asynccontextmanager
    async def open_(environment: Environment | None = None) -> AsyncIterator[App]:
        config = Config(project_dir=str(tmp_path))
        seams = environment or seeded_environment(3)
        entries = entries_of(ENTRIES)
        async with (
            open_entries(entries, config=config, environment=seams) as app,
            trio.open_nursery() as nursery,
        ):
            await nursery.start(serve_admin, app)
            await trio.sleep(1)
            yield app
            nursery.cancel_scope.cancel()

    return open_


def token_of(app: App) -> str:
    return Path(Places.of(app.config.project_dir).token).read_text(encoding="ascii")


async def put(app: App, **request: Any) -> Any:
    return await ask(app.runtime.environment, app.config.project_dir, request)


async def test_the_table_over_the_socket(node: Any) -> None:
    async with node() as app:
        told = await put(app, op="ps")
        assert (told["node"], told["total"]) == ("local", 6)
        first = told["processes"][1]
        assert (first["entry"], first["waits"], first["line"]) == (
            "app:worker",
            "channel.receive (inbox)",
            "app:worker:3",
        )
        assert [row["type"] for row in told["processes"]].count("supervisor") == 2
        assert len((await put(app, op="ps", limit=2))["processes"]) == 2
        assert (await put(app, op="ps", entry="app:worker", limit=3))["total"] == 4
        for sort in ("mailbox", "steps", "age", "restarts"):
            assert (await put(app, op="ps", sort=sort))["total"] == 6


async def test_trees(node: Any) -> None:
    async with node() as app:
        tree = next(top for top in (await put(app, op="tree"))["trees"] if top["service"] == "app:pool")
        pids = {child["child"]: child["pid"] for child in tree["children"][0]["children"]}
        assert list(pids) == ["a", "b", "c", "deep"]
        assert tree["children"][0]["children"][3]["children"][0]["child"] == "d"
        app.send(pids["a"], "us")
        app.runtime.processes.find(pids["c"]).terminate_now(LuaError("enough", retryable=False))
        await app.spawn("app:worker", "app:host")
        await trio.sleep(1)
        told = await put(app, op="tree")
        assert (told["total"], told["shown"]) == (6, 6)
        children = told["trees"][1]["children"][0]["children"]
        assert [(child["child"], child["state"], child["restarts"]) for child in children[:3]] == [
            ("a", "waiting", 1),
            ("b", "waiting", 0),
            ("c", "stopped", 0),
        ]
        assert children[2]["error"] == "enough"
        assert told["trees"][-1]["entry"] == "app:worker"  # nobody above it


async def test_one_process_and_its_end(node: Any) -> None:
    async with node() as app:
        pid = (await put(app, op="ps"))["processes"][2]["pid"]
        assert (await put(app, op="inspect", pid=pid))["tasks"][0]["trace"].startswith("stack traceback:")
        assert (await put(app, op="why", pid=pid))["alive"]
        app.send(pid, "us")
        await trio.sleep(1)
        told = await put(app, op="why", pid=pid)
        assert "broken by us" in told["summary"]
        assert [found["pid"] for found in await put(app, op="exits", failed=True)] == [pid]
        with pytest.raises(LuaError, match="process has ended"):
            await put(app, op="inspect", pid=pid)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"op": "dance"}, "unknown question 'dance'; there are: ps, tree, inspect, why, exits"),
    ({}, "unknown question 'None'"),
    ({"op": "ps", "limit": 0}, "limit must be a number from 1 up"),
    ({"op": "ps", "sort": "beauty"}, "sort must be one of start, mailbox, steps, age, restarts"),
    ({"op": "inspect"}, "pid is required"),
    ({"op": "why", "pid": "nobody"}, "no process nobody"),
]


async def test_what_cannot_be_answered(node: Any) -> None:
    async with node() as app:
        for request, message in WRONG:
            with pytest.raises(LuaError) as refused:
                await put(app, **request)
            assert message in str(refused.value)
            with pytest.raises(LuaError):
                await answer(app.runtime, dict(request))


async def raw(app: App, data: bytes) -> list[Any]:
    """What the node says to bytes, until it hangs up."""
    stream = await app.runtime.environment.network.connect_local(Places.of(app.config.project_dir).socket)
    await stream.send_all(data)
    await stream.send_eof()  # type: ignore[attr-defined]  # the memory network's streams can
    held = b""
    while data := await stream.receive_some():
        held += data
    await stream.aclose()
    return [json.loads(line) for line in held.splitlines()]


async def test_strangers_learn_nothing(node: Any) -> None:
    async with node() as app:
        token = token_of(app)
        assert len(token) == 48
        for request in ({"op": "ps"}, {"op": "ps", "token": "x"}, {"op": "ps", "token": token[:-1]}):
            assert await raw(app, json.dumps(request).encode() + b"\n") == [
                {"ok": False, "kind": "PermissionDenied", "error": "wrong token"}
            ]
        told = await raw(app, b"[1]\nnonsense\n" + json.dumps({"op": "why", "token": token}).encode() + b"\n")
        assert [item["error"].partition(":")[0] for item in told] == [
            "request must be an object",
            "request is not JSON",
            "pid is required",
        ]
        assert await raw(app, b"x" * 70_000) == []  # too long a line
        assert token not in json.dumps(await put(app, op="tree"))


async def test_places_are_for_this_user_and_gone_afterwards(node: Any) -> None:
    async with node() as app:
        places = Places.of(app.config.project_dir)
        disk = app.runtime.environment.disk
        assert disk.stat(places.folder).mode == 0o700
        assert disk.stat(places.token).mode == 0o600
    assert not disk.exists(places.token)
    with pytest.raises(LuaError, match="no node with an admin socket runs in"):
        await ask(app.runtime.environment, app.config.project_dir, {"op": "ps"})


async def test_the_first_node_of_a_project_has_the_socket(node: Any) -> None:
    async with node() as first:
        token = token_of(first)
        async with node(first.runtime.environment):
            assert token_of(first) == token
            assert (await put(first, op="ps"))["total"] == 6
        assert (await put(first, op="ps"))["total"] == 6


async def test_a_folder_that_cannot_be_made_is_no_failure(node: Any, tmp_path: Path) -> None:
    (tmp_path / ".wippy").write_text("not a folder")
    async with node() as app:
        with pytest.raises(LuaError, match="no node with an admin socket"):
            await put(app, op="ps")


async def test_an_idle_connection_is_closed(node: Any) -> None:
    async with node() as app:
        stream = await app.runtime.environment.network.connect_local(Places.of(app.config.project_dir).socket)
        started = trio.current_time()
        assert await stream.receive_some() == b""
        assert trio.current_time() - started == 30
        await stream.aclose()


def left_behind(folder: Path) -> Places:
    places = Places.of(str(folder))
    Path(places.folder).mkdir(parents=True)
    Path(places.token).write_text("t", encoding="ascii")
    return places


async def test_a_node_that_does_not_answer(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    seams = seeded_environment(1)
    places = left_behind(tmp_path)
    listener = await seams.network.listen_local(places.socket)
    with pytest.raises(LuaError, match="did not answer within 5 s"):
        await ask(seams, str(tmp_path), {"op": "ps"}, limit_s=5)
    await listener.aclose()
