from __future__ import annotations

from typing import Any

import pytest

from wippy_trio.core.frame import Frame, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.security.scope import Scope

ENTRIES = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: idle
  kind: process.lua
  source: return function() process.events():receive() end
- name: pool
  kind: process.supervisor
  host: host
  children:
    - {id: inner, type: supervisor}
  lifecycle: {auto_start: true}
"""


async def run(lua: Any, source: str, **more: Any) -> Any:
    return await lua(f"local s = require('supervisor') {source}", modules=["supervisor"], entries=ENTRIES, **more)


async def test_children_come_and_go(lua: Any) -> None:
    source = """
      local spec = { id = "a", process = "app:idle", host = "app:host", restart = "transient", args = {1} }
      local pid = assert(s.start_child("app:pool", spec))
      local _, twice = s.start_child("app:pool", spec)
      local row = s.which_children("app:pool")[2]
      local _, runs = s.delete_child("app:pool", "a")
      local stopped = s.terminate_child("app:pool", "a")
      local after = s.which_children("app:pool")[2]
      local again = s.restart_child("app:pool", "a")
      assert(s.terminate_child("app:pool", again) and s.delete_child("app:pool", "a"))
      local counted = s.count_children("app:pool")
      return { row.pid == pid, row, twice:kind(), twice:details().pid == pid, runs:kind(), stopped, after,
        again ~= pid, counted }
    """
    same, row, twice, details, runs, stopped, after, again, counted = await run(lua, source)
    assert same
    assert details
    assert again
    assert {key: row[key] for key in row if key != "pid"} == {
        "id": "a",
        "type": "worker",
        "restart": "transient",
        "state": "running",
        "restarts": 0,
        "process": "app:idle",
        "host": "app:host",
    }
    assert (twice, runs, stopped) == ("AlreadyExists", "Conflict", True)
    assert after["state"] == "stopped"
    assert "pid" not in after
    assert counted == {"specs": 1, "active": 1, "supervisors": 1, "workers": 0}


async def test_below_a_supervisor_names_are_relative_to_the_caller(lua: Any) -> None:
    source = """
      local pid = assert(s.start_child("app:pool/inner", { id = "x", process = "app:idle" }))
      local inner = s.which_children("app:pool")[1].pid
      return { #s.which_children("app:pool/inner"), s.which_children(inner)[1].pid == pid,
        select(2, s.start_child("app:pool", { id = "y", process = "idle" })):message() }
    """
    assert await run(lua, source) == [1, True, "factory not found: test:idle"]


async def test_what_is_wrong_is_told(lua: Any) -> None:
    source = """
      local function told(_, e) return e:kind() .. ": " .. e:message() end
      return { told(s.count_children()), told(s.which_children("app:nothing")), told(s.which_children("nobody")),
        told(s.start_child("app:pool")), told(s.start_child("app:pool", {})), told(s.terminate_child("app:pool", "z")),
        told(s.terminate_child("app:pool")), told(s.delete_child("app:pool", "")),
        told(s.which_children("app:pool/x/y")) }
    """
    assert await run(lua, source) == [
        "Invalid: supervisor must be a non-empty string",
        "NotFound: supervisor not found: app:nothing",
        "NotFound: supervisor not found: nobody",
        "Invalid: child must be a table",
        "Invalid: app:pool: a child needs an id, a text without '/'",
        "NotFound: no child z of supervisor app:pool",
        "Invalid: child id must be a string",
        "Invalid: child id is required",
        "NotFound: supervisor not found: app:pool/x/y",
    ]


POLICY = """
- name: most
  kind: security.policy
  policy: {actions: %s, resources: "*", effect: allow}
"""


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ('["supervisor.which_children"]', "not allowed: supervisor.start_child on app:pool"),
        ('["supervisor.*"]', "not allowed: process.spawn on app:idle"),
        ('["supervisor.*", "process.spawn"]', "not allowed: process.host on app:host"),
        ('["supervisor.*", "process.*"]', None),
    ],
)
async def test_permissions(app: Any, actions: str, message: str | None) -> None:
    from tests.conftest import entries_of
    from wippy_trio.security.scope import policies_of

    text = """
- name: script
  kind: function.lua
  method: main
  modules: [supervisor]
  source: |
    return function()
      local inner = { id = "sub", type = "supervisor", children = { { id = "a", process = "app:idle" } } }
      local _, err = require("supervisor").start_child("app:pool", inner)
      return err and (err:kind() .. ": " .. err:message())
    end
"""
    async with app(ENTRIES + POLICY % actions, extra=entries_of(text)) as running:
        scope, _ = policies_of(running.runtime.extras).resolve([EntryId("app", "most")], [])
        assert isinstance(scope, Scope)
        result = await running.call("app:script", frame=Frame(actor=SecurityActor("x", {}), scope=scope))
        assert result == (f"PermissionDenied: {message}" if message else None)
