from __future__ import annotations

from typing import Any

import pytest

from sandbox.errors import LuaError
from tests.wippy_trio.workflows.machines import workflow_entry
from wippy_trio.actors.host import SpawnOptions
from wippy_trio.app.app import App
from wippy_trio.core.entry import Entry
from wippy_trio.core.frame import Frame
from wippy_trio.core.ids import EntryId

HOST = "wippy:workflows"
WORLD = """
- name: processes
  kind: process.host
  lifecycle: { auto_start: true }
- name: add
  kind: function.lua
  source: "return function(a, b) return a + b end"
- name: fail
  kind: function.lua
  source: "return function() return nil, errors.new({ message = 'no', kind = 'NotFound', retryable = false }) end"
"""


@pytest.fixture
def world(app):
    def open_(
        source: str, *entries: Entry, modules: Any = ("funcs", "time", "workflow"), text: str = "", **data: Any
    ) -> Any:
        return app(WORLD + text, extra=[workflow_entry(source, modules, **data), *entries])

    return open_


def host_of(running):
    return running.runtime.extras["workflow_hosts"][HOST]


async def execute(running: App, *args: Any, entry: str = "app:flow", **options: Any) -> Any:
    return await host_of(running).execute(EntryId.parse(entry), args, Frame(options=options), SpawnOptions())


async def test_it_calls_sleeps_and_returns(world):
    source = """
        local sum = funcs.call("app:add", ...)
        time.sleep("24h")
        return sum
    """
    async with world(source) as running:
        assert await execute(running, 2, 3) == 5


async def test_an_error(world):
    async with world("return funcs.call('app:fail')") as running:
        with pytest.raises(LuaError, match="no") as caught:
            await execute(running)
        assert (caught.value.kind, caught.value.retryable) == ("NotFound", False)
