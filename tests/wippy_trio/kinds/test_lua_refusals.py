"""function.lua, process.lua, library.lua: what opens, what is refused, what libraries give."""

import pytest

from sandbox.errors import LuaError
from tests.conftest import OpenApp
from wippy_trio.core.ids import EntryId


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{name: x, kind: function.lua}", "app:x: source is required"),
        ("{name: x, kind: process.lua}", "app:x: source is required"),
        ("{name: x, kind: library.lua, source: 5}", "app:x: source is required"),
        ("{name: x, kind: function.lua, source: 'return 1 +'}", "expected an expression"),
        ("{name: x, kind: function.lua, source: 'return 1', modules: [nonsense]}", "nonsense"),
        ("{name: x, kind: function.lua, source: 'return 1', imports: {lib: app:none}}", "none"),
    ],
)
async def test_what_is_refused(app: OpenApp, entry: str, message: str) -> None:
    with pytest.raises(LuaError) as caught:
        async with app(f"- {entry}") as running:
            await running.call("app:x")
    assert message in str(caught.value)


async def test_a_source_gives_a_function_or_a_table_of_them(app: OpenApp) -> None:
    entries = """
    - {name: bare, kind: function.lua, source: 'return function(x) return x + 1 end'}
    - {name: one, kind: function.lua, method: f, source: 'return {f = function(x) return x + 2 end}'}
    - {name: none, kind: function.lua, method: g, source: 'return {f = function(x) return x + 2 end}'}
    """
    async with app(entries) as running:
        assert [await running.call("app:bare", 1), await running.call("app:one", 1)] == [2, 3]
        with pytest.raises(LuaError, match="g"):
            await running.call("app:none", 1)


async def test_libraries_are_loaded_once_per_actor(app: OpenApp) -> None:
    entries = """
    - name: counter
      kind: library.lua
      source: |
        local count = 0
        return {next = function() count = count + 1 return count end}
    - name: twice
      kind: function.lua
      imports: {a: app:counter, b: app:counter}
      source: |
        local a, b = require("a"), require("b")
        return function() return {a.next(), b.next()} end
    """
    async with app(entries) as running:
        assert await running.call("app:twice") == [1, 2]


async def test_a_module_that_is_not_listed_cannot_be_required(app: OpenApp) -> None:
    entries = """
    - name: sneaky
      kind: function.lua
      source: 'return function() local ok, err = pcall(require, "fs") return {ok, tostring(err)} end'
    """
    async with app(entries) as running:
        ok, message = await running.call("app:sneaky")
    assert not ok
    assert "fs" in message


async def test_a_process_with_a_default_host_can_be_called(app: OpenApp) -> None:
    entries = """
    - name: host
      kind: process.host
      lifecycle: {auto_start: true}
    - name: job
      kind: process.lua
      meta: {default_host: host}
      source: 'return function(x) return {x, process.pid()} end'
    """
    async with app(entries) as running:
        value, pid = await running.call("app:job", 5)
    assert value == 5
    assert "app:host" in pid


async def test_data_kinds_are_kept(app: OpenApp) -> None:
    async with app("- {name: settings, kind: registry.entry, color: green}") as running:
        assert running.registry.get(EntryId("app", "settings")).data["color"] == "green"
