from __future__ import annotations

from typing import Any

import pytest

from sandbox.errors import LuaError
from tests.conftest import entries_of
from wippy_trio.actors.host import ProcessHost
from wippy_trio.actors.strategy import Restart, Strategy
from wippy_trio.actors.tree import Tree
from wippy_trio.actors.tree_spec import parse_tree
from wippy_trio.core.ids import EntryId
from wippy_trio.registry.changes import Change

ENTRIES = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: idle
  kind: process.lua
  source: return function() process.events():receive() end
"""


def pool(fields: str, name: str = "pool") -> str:
    return f"""{ENTRIES}
- name: {name}
  kind: process.supervisor
  lifecycle: {{auto_start: true}}
  {fields}
"""


WRONG = {
    "strategy: two_for_one": "strategy must be one of one_for_one, one_for_all, rest_for_one",
    "max_restarts: -1": "max_restarts must be a number from 0 up",
    "max_restarts: true": "max_restarts must be a number",
    "window: soon": "window: ",
    "window: 0s": "window must be longer than 0",
    "children: {}\n  child: x": "unknown field child",
    "children: text": "children must be a list",
    "children: [text]": "a child must be a map",
    "children: [{process: idle}]": "a child needs an id",
    "children: [{id: a/b, process: idle, host: host}]": "a child needs an id, a text without '/'",
    "children: [{id: a, process: idle}]": "app:pool/a: host is required",
    "children: [{id: a, host: host}]": "app:pool/a: process is required",
    "children: [{id: a, host: [host], process: idle}]": "host must be the id of an entry",
    "host: host\n  children: [{id: a, process: idle, restart: always}]": "restart must be one of permanent, transient",
    "host: host\n  children: [{id: a, process: idle, shutdown: -1s}]": "shutdown must not be negative",
    "host: host\n  children: [{id: a, process: idle, type: boss}]": "type must be worker or supervisor",
    "host: host\n  children: [{id: a, process: idle, name: 7}]": "name must be a text",
    "host: host\n  children: [{id: a, process: idle, wait: 1}]": "unknown field wait",
    "children: [{id: a, type: supervisor, process: idle}]": "a supervisor has no process",
    "children: [{id: a, type: supervisor, kids: []}]": "unknown field kids",
    "host: host\n  children: [{id: a, process: idle}, {id: a, process: idle}]": "two children are called a",
    "host: host\n  max_children: 0\n  children: [{id: a, process: idle}]": "1 children, max_children is 0",
}


@pytest.mark.parametrize("fields", WRONG)
async def test_a_wrong_tree_is_refused(app: Any, fields: str) -> None:
    with pytest.raises(LuaError) as refused:
        async with app(pool(fields)):
            pass
    assert WRONG[fields] in str(refused.value)


def test_too_deep_a_tree_is_refused() -> None:
    tree: dict[str, Any] = {"children": []}
    for _ in range(4):
        tree = {"children": [{"id": "x", "type": "supervisor", **tree}]}
    with pytest.raises(LuaError, match="more than 4 levels"):
        parse_tree(tree, "app", "app:deep")


def test_defaults() -> None:
    raw = {"id": "a", "process": "p", "host": "other:h", "args": 1, "shutdown": "infinity"}
    inner = {"id": "b", "type": "supervisor", "children": [{"id": "c", "process": "p", "restart": "transient"}]}
    spec = parse_tree({"host": "h", "children": [raw, inner]}, "app", "app:x")
    assert (spec.strategy, spec.max_restarts, spec.window_s) == (Strategy.ONE_FOR_ONE, 3, 5.0)
    first, second = spec.children
    assert (first.process, first.host, first.args) == (EntryId("app", "p"), EntryId("other", "h"), (1,))
    assert (first.restart, first.shutdown_s) == (Restart.PERMANENT, float("inf"))
    assert second.shutdown_s == float("inf")
    assert second.tree is not None
    below = second.tree.children[0]
    assert (below.host, below.restart, below.shutdown_s) == (EntryId("app", "h"), Restart.TRANSIENT, 5.0)


async def test_it_starts_after_its_hosts_and_stops_before_them(app: Any) -> None:
    text = pool("children: [{id: in, type: supervisor, children: [{id: a, process: idle, host: host}]}]", "a_pool")
    async with app(text) as running:
        assert not running.failed
        service = running.supervisor.get(EntryId("app", "a_pool"))
        assert service.needs == {EntryId("app", "host")}
        host = running.runtime.resources.get("app:host", ProcessHost)
        assert len(host.processes) == 1
    assert host.processes == {}


async def test_children_act_as_the_service_does(app: Any) -> None:
    text = pool("children: [{id: a, process: idle, host: host}]")
    security = "{auto_start: true, security: {actor: {id: clerk}}}"
    async with app(
        text.replace("lifecycle: {auto_start: true}\n  children", f"lifecycle: {security}\n  children")
    ) as it:
        process = next(iter(it.runtime.resources.get("app:host", ProcessHost).processes.values()))
        assert process.actor.frame.actor.id == "clerk"


async def test_an_update_makes_the_tree_anew(app: Any) -> None:
    async with app(pool("children: [{id: a, process: idle, host: host}]")) as running:
        before = running.runtime.resources.get("app:pool", Tree)
        after = entries_of(pool("children: [{id: b, process: idle, host: host}]"))[-1]
        await running.registry.apply([Change.update(after)])
        assert before.ended.is_set()
        tree = running.runtime.resources.get("app:pool", Tree)
        assert [row["id"] for row in tree.which_children()] == ["b"]
        await running.registry.apply([Change.delete(EntryId("app", "pool"))])
        assert tree.ended.is_set()
        assert running.runtime.processes.pids() == []
