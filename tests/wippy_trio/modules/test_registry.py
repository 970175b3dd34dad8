"""registry: entries, snapshots, versions, changes from Lua."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from sandbox.errors import LuaError
from wippy_trio.app.app import App
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError
from wippy_trio.core.frame import EMPTY_FRAME, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.registry.changes import Change
from wippy_trio.security.scope import Scope, policies_of

RunLua = Callable[..., Awaitable[Any]]
OpenApp = Callable[..., AbstractAsyncContextManager[App]]

ENTRIES = """
- name: config
  kind: registry.entry
  meta: {type: settings, tags: [a, b]}
  limit: 3
- name: other
  kind: registry.entry
  meta: {type: settings}
- name: policy
  kind: security.policy
  groups: [readers]
  policy: {actions: [registry.get], resources: ["app:config"], effect: allow}
"""

PRELUDE = """
local registry = require("registry")
local function fn(id, source, modules)
  return { id = id, kind = "function.lua", data = { source = source, method = "main", modules = modules } }
end
local function constant(id, value) return fn(id, "return { main = function() return '" .. value .. "' end }") end
local function change(f)
  local changes = registry.snapshot():changes()
  f(changes)
  return changes:apply()
end
"""


async def run(lua: RunLua, source: str, *modules: str, **options: Any) -> Any:
    options.setdefault("entries", ENTRIES)
    return await lua(PRELUDE + source, modules=["registry", *modules], **options)


# ---------------------------------------------------------------------------------------------------------- reading


async def test_get_gives_id_kind_meta_and_data(lua: RunLua) -> None:
    assert await run(lua, 'return registry.get("app:config")') == {
        "id": "app:config",
        "kind": "registry.entry",
        "meta": {"type": "settings", "tags": ["a", "b"]},
        "data": {"limit": 3},
    }


async def test_get_of_a_missing_entry_is_not_found(lua: RunLua) -> None:
    source = 'local e, err = registry.get("no:thing") return {e == nil, err:kind(), err:message(), err:retryable()}'
    assert await run(lua, source) == [True, "NotFound", "entry not found: no:thing", False]


async def test_get_wants_a_text(lua: RunLua) -> None:
    with pytest.raises(LuaError, match="bad argument #1 to get"):
        await run(lua, "return registry.get({})")


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        ('{[".kind"] = "registry.entry", ["meta.type"] = "settings"}', ["app:config", "app:other"]),
        ('{[".ns"] = "app", ["meta.tags"] = {"b"}}', ["app:config"]),
        ('{["^meta.type"] = "sett", [".name"] = "o*"}', ["app:other"]),
        ('{meta = {["meta.type"] = "settings"}, [".id"] = "app:config"}', ["app:config"]),
    ],
)
async def test_find(lua: RunLua, criteria: str, found: list[str]) -> None:
    source = f"local ids = {{}} for i, e in ipairs(registry.find({criteria})) do ids[i] = e.id end return ids"
    assert await run(lua, source) == found


async def test_find_takes_a_nested_meta_table_without_adding_the_prefix(lua: RunLua) -> None:
    """As the reference: `type` is no criterion, so everything matches."""
    source = 'return #registry.find({ meta = { type = "settings" } }) == #registry.find({})'
    assert await run(lua, source) is True


async def test_what_may_not_be_read_is_left_out_and_denied(app: OpenApp) -> None:
    source = """
    local registry = require("registry")
    local function main()
      local denied, err = registry.get("app:other")
      local s = registry.snapshot()
      local _, err2 = s:get("app:other")
      return { registry.get("app:config").id, #registry.find({}), #s:entries(), #s:find({}), #s:namespace("app"),
        err:kind(), err:message(), err2:kind() }
    end
    return { main = main }
    """
    lines = "\n".join("    " + line for line in source.splitlines())
    head = "- name: reader\n  kind: function.lua\n  method: main\n  modules: [registry]\n  source: |\n"
    entries = ENTRIES + head + lines
    async with app(entries) as running:
        group = policies_of(running.runtime.extras).group(EntryId("app", "readers"))
        frame = EMPTY_FRAME.with_identity(SecurityActor("someone"), group)
        result = await running.call("app:reader", frame=frame)
    assert result == [
        "app:config", 1, 1, 1, 1,
        "PermissionDenied", "not allowed to access entry: app:other", "PermissionDenied",
    ]  # fmt: skip


async def test_parse_id_splits_at_the_first_colon(lua: RunLua) -> None:
    source = 'return { registry.parse_id("a.b:c:d"), registry.parse_id("bare") }'
    assert await run(lua, source) == [{"ns": "a.b", "name": "c:d"}, {"ns": "", "name": "bare"}]


# ---------------------------------------------------------------------------------------- snapshots and versions


async def test_a_snapshot_stays_as_it_was(lua: RunLua) -> None:
    source = """
    local before = registry.snapshot()
    change(function(c) c:delete("app:other") c:create({ id = "x:y", kind = "registry.entry", data = { n = 1 } }) end)
    local after = registry.snapshot()
    return { before:get("app:other").id, before:get("x:y") == nil, #before:namespace("x"),
      after:get("app:other") == nil, after:get("x:y").data.n, #after:namespace("x"), #after:find({[".ns"] = "x"}),
      #before:entries() == #after:entries(), tostring(before), before:version():id(), after:version():id() }
    """
    expected = ["app:other", True, 0, True, 1, 1, 1, True, "registry.Snapshot{version=v0}", 0, 1]
    assert await run(lua, source) == expected


async def test_a_snapshot_pushed_out_of_memory_is_computed_again(lua: RunLua) -> None:
    source = """
    local first = registry.snapshot()
    for i = 1, 70 do
      change(function(c) c:update({ id = "app:config", kind = "registry.entry", data = { limit = i } }) end)
      registry.snapshot()
    end
    return { first:get("app:config").data.limit, registry.get("app:config").data.limit }
    """
    assert await run(lua, source) == [3, 70]


async def test_versions_can_be_walked(lua: RunLua) -> None:
    source = """
    change(function(c) c:create({ id = "x:a", kind = "registry.entry" }) end)
    change(function(c) c:create({ id = "x:b", kind = "registry.entry" }) end)
    local v = registry.current_version()
    local hist = registry.history()
    local ids = {}
    for i, each in ipairs(registry.versions()) do ids[i] = each:id() end
    local one = hist:get_version(1)
    return { v:id(), v:string(), tostring(v), v:previous():id(), v:next() == nil, v:previous():next():id(), ids,
      #hist:versions(), #hist:snapshot_at(one):namespace("x"), #registry.snapshot_at(2):namespace("x"),
      tostring(hist), type(v), type(hist), hist:get_version(0):previous() == nil }
    """
    assert await run(lua, source) == [
        2, "v2", "registry.Version{v2}", 1, True, 2, [0, 1, 2],
        3, 1, 2, "registry.History{}", "userdata", "userdata", True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("return registry.snapshot_at(0)", "Invalid"),
        ("return registry.snapshot_at(-1)", "Invalid"),
        ("return registry.snapshot_at(77)", "NotFound"),
        ("return registry.history():get_version(-1)", "Invalid"),
        ("return registry.history():get_version(77)", "NotFound"),
        ("return registry.history():snapshot_at(registry.history())", "Invalid"),
        ("return registry.apply_version(registry.history())", "Invalid"),
        ("return registry.snapshot():changes():apply()", "Invalid"),
        ('return registry.snapshot():changes():create({ id = "x:y" })', "Invalid"),
        ('return registry.snapshot():changes():update({ kind = "x" })', "Invalid"),
        ('return registry.snapshot():changes():create({ id = { ns = "x" }, kind = "y" })', "Invalid"),
        ("return registry.snapshot():changes():delete(7)", "Invalid"),
        ('return change(function(c) c:create({ id = "x:", kind = "registry.entry" }) end)', "Invalid"),
    ],
)
async def test_wrong_requests_are_errors_and_change_nothing(lua: RunLua, source: str, kind: str) -> None:
    call = f"local v, err = (function() {source} end)()"
    script = f"{call} return {{v == nil, err:kind(), registry.current_version():id()}}"
    assert await run(lua, script) == [True, kind, 0]


async def test_apply_version_goes_back_and_ahead(lua: RunLua) -> None:
    source = """
    local funcs = require("funcs")
    local zero = registry.current_version()
    local one = change(function(c) c:create(constant("x:f", "one")) end)
    local first = funcs.call("x:f")
    local ok, err = registry.apply_version(zero)
    local gone, gone_err = funcs.call("x:f")
    local forward = registry.apply_version(one)
    return { first, ok, err == nil, gone == nil, gone_err:kind(), forward, funcs.call("x:f"),
      registry.current_version():id() }
    """
    assert await run(lua, source, "funcs") == ["one", True, True, True, "NotFound", True, "one", 1]


# ---------------------------------------------------------------------------------------------------------- changes


async def test_operations_are_queued_in_order_and_copied(lua: RunLua) -> None:
    source = """
    local c = registry.snapshot():changes()
    local data = { n = 1 }
    local same = c:create({ id = { ns = "x", name = "a" }, kind = "registry.entry", data = data })
    c:update({ id = "x:a", kind = "registry.entry", meta = { m = 1 } }):delete({ ns = "x", name = "a" })
    data.n = 2
    local ops = c:ops()
    ops[1].kind = "changed"
    return { same == c, #ops, c:ops()[1].kind, ops[1].entry.id, c:ops()[1].entry.data.n, ops[2].kind,
      ops[2].entry.meta.m, ops[3].kind, ops[3].entry.id, tostring(c) }
    """
    assert await run(lua, source) == [
        True, 3, "entry.create", "x:a", 1, "entry.update", 1, "entry.delete", "x:a", "registry.Changes{ops=3}",
    ]  # fmt: skip


async def test_a_created_function_works_at_once_and_an_updated_one_is_used_by_the_next_call(lua: RunLua) -> None:
    source = """
    local funcs = require("funcs")
    change(function(c) c:create(constant("x:f", "one")) end)
    local first = funcs.call("x:f")
    change(function(c) c:update(constant("x:f", "two")) end)
    local second = funcs.call("x:f")
    change(function(c) c:delete("x:f") end)
    local third, err = funcs.call("x:f")
    return { first, second, third == nil, err:kind() }
    """
    assert await run(lua, source, "funcs") == ["one", "two", True, "NotFound"]


async def test_an_updated_library_reaches_the_functions_that_import_it(lua: RunLua) -> None:
    source = """
    local funcs = require("funcs")
    local function library(value)
      return { id = "x:lib", kind = "library.lua", data = { source = "return { v = '" .. value .. "' }" } }
    end
    local user = fn("x:f", "local lib = require('lib') return { main = function() return lib.v end }")
    user.data.imports = { lib = "x:lib" }
    change(function(c) c:create(user) c:create(library("one")) end)
    local first = funcs.call("x:f")
    change(function(c) c:update(library("two")) end)
    return { first, funcs.call("x:f") }
    """
    assert await run(lua, source, "funcs") == ["one", "two"]


async def test_a_refused_change_undoes_the_others_and_tells_why(lua: RunLua) -> None:
    source = """
    local v, err = change(function(c)
      c:create({ id = "x:a", kind = "registry.entry" })
      c:create(fn("x:b", "this is no Lua"))
    end)
    return { v == nil, err:kind(), err:retryable(), err:message(), registry.get("x:a") == nil,
      registry.current_version():id() }
    """
    gone, kind, retryable, message, undone, version = await run(lua, source)
    assert (gone, kind, retryable, undone, version) == (True, "Internal", False, True, 0)
    assert "apply changes" in message or "x:b" in message


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ('c:create({ id = "app:config", kind = "registry.entry" })', "already exists"),
        ('c:update({ id = "x:nothing", kind = "registry.entry" })', "does not exist"),
        ('c:update({ id = "app:config", kind = "store.memory" })', "cannot change entry kind"),
        ('c:delete("x:nothing")', "non-existent"),
        ('c:create({ id = "x:a", kind = "no.such.kind" })', "no.such.kind"),
        ('c:create({ id = "x:d", kind = "ns.dependency", data = { component = "a/b" } })', "not supported yet"),
    ],
)
async def test_changes_that_cannot_be_made(lua: RunLua, operation: str, reason: str) -> None:
    source = f"local v, err = change(function(c) {operation} end) return {{ v == nil, tostring(err) }}"
    refused, text = await run(lua, source)
    assert refused
    assert reason in text


async def test_an_entry_holds_plain_values_only(lua: RunLua) -> None:
    source = """
    local v, err = change(function(c)
      c:create({ id = "x:a", kind = "registry.entry", data = { version = registry.current_version() } })
    end)
    return { v == nil, err:kind(), err:message() }
    """
    assert await run(lua, source) == [True, "Invalid", "an entry cannot hold an object (registry.Version)"]


async def test_apply_wants_a_permission(lua: RunLua) -> None:
    source = """
    local c = registry.snapshot():changes():delete("app:config")
    local v, err = c:apply()
    local ok, err2 = registry.apply_version(registry.current_version())
    local nothing, err3 = registry.snapshot():changes():apply()
    return { err:kind(), err:message(), ok == nil, err2:kind(), err2:message(), err3:kind() }
    """
    frame = EMPTY_FRAME.with_identity(SecurityActor("someone"), Scope.of())
    assert await run(lua, source, frame=frame) == [
        "PermissionDenied", "not allowed to apply registry changes",
        True, "PermissionDenied", "registry version change is not allowed", "Invalid",
    ]  # fmt: skip


async def test_build_delta_orders_and_compares_numbers_by_value(lua: RunLua) -> None:
    source = """
    local from = { { id = "x:gone", kind = "k", data = { a = 1 } }, { id = "x:same", kind = "k", data = { n = 1 } },
      { id = "x:changed", kind = "k", data = { n = 1 } }, "junk", { kind = "no id" } }
    local to = { { id = "x:same", kind = "k", data = { n = 1.0 } }, { id = "x:changed", kind = "k", data = { n = 2 } },
      { id = "x:a_new", kind = "k", meta = { depends_on = { "x:zz_new" } } }, { id = "x:zz_new", kind = "k" } }
    local out = {}
    for i, op in ipairs(registry.build_delta(from, to)) do out[i] = op.kind .. " " .. op.entry.id end
    return out
    """
    made = await run(lua, source)
    assert sorted(made) == [
        "entry.create x:a_new", "entry.create x:zz_new", "entry.delete x:gone", "entry.update x:changed",
    ]  # fmt: skip
    assert made.index("entry.create x:zz_new") < made.index("entry.create x:a_new")


async def test_build_delta_of_equal_states_is_empty(lua: RunLua) -> None:
    assert await run(lua, "return #registry.build_delta(registry.find({}), registry.find({}))") == 0


# ------------------------------------------------------------------------------- changes of what is running itself

SELF = """
- name: self
  kind: function.lua
  method: main
  modules: [registry, funcs]
  source: |
    local registry, funcs = require("registry"), require("funcs")
    local function main(how)
      local c = registry.snapshot():changes()
      if how == "delete" then
        c:delete("app:self")
      else
        local entry = registry.get("app:self")
        entry.data.source = "return { main = function() return 'new' end }"
        c:update(entry)
      end
      local version, err = c:apply()
      if err then return nil, err end
      local result, call_err = funcs.call("app:self")
      return { version:id(), result or call_err:kind() }
    end
    return { main = main }
"""


async def test_a_function_may_replace_itself(app: OpenApp) -> None:
    async with app(SELF) as running:
        assert await running.call("app:self", "update") == [1, "new"]
        assert await running.call("app:self") == "new"


async def test_a_function_may_delete_itself(app: OpenApp) -> None:
    async with app(SELF) as running:
        assert await running.call("app:self", "delete") == [1, "NotFound"]


SERVICE = """
- {name: host, kind: process.host, host: {workers: 1}, lifecycle: {auto_start: true}}
- name: worker
  kind: process.lua
  method: main
  modules: [registry]
  source: |
    local registry = require("registry")
    local function main()
      local entry = registry.get("app:service")
      if entry.meta.round then return end
      entry.meta.round = 2
      registry.snapshot():changes():update(entry):apply()
    end
    return { main = main }
- {name: service, kind: process.service, process: "app:worker", host: "app:host", lifecycle: {auto_start: true}}
"""


async def test_a_service_may_replace_itself(app: OpenApp, autojump_clock: trio.testing.MockClock) -> None:
    """The change outlives the process that asked for it and is ended by it."""
    async with app(SERVICE) as running:
        await trio.sleep(60)
        service = next(entry for entry in running.registry.all() if entry.id.name == "service")
        assert service.meta["round"] == 2


def version_of(value: int, pool: dict[str, Any] | None = None) -> Entry:
    source = f'local time = require("time") return {{ main = function() time.sleep("1s") return {value} end }}'
    data = {"source": source, "method": "main", "modules": ["time"], "pool": pool or {"size": 1}}
    return Entry(EntryId("app", "slow"), "function.lua", {}, data)


async def test_a_function_is_never_missing_while_it_is_replaced(
    app: OpenApp, autojump_clock: trio.testing.MockClock
) -> None:
    results: list[int] = []
    async with app("", extra=[version_of(0)]) as running, trio.open_nursery() as nursery:

        async def call_often() -> None:
            while True:
                results.append(await running.call("app:quick"))

        source = "return { main = function() return 1 end }"
        quick = Entry(EntryId("app", "quick"), "function.lua", {}, {"source": source, "method": "main"})
        await running.registry.apply([Change.create(quick)])
        nursery.start_soon(call_often)
        for value in range(2, 12):
            changed = source.replace("1", str(value))
            await running.registry.apply([Change.update(attrs.evolve(quick, data={**quick.data, "source": changed}))])
        nursery.cancel_scope.cancel()
    assert results == sorted(results)
    assert results


async def test_calls_of_the_old_version_finish_as_what_they_were(
    app: OpenApp, autojump_clock: trio.testing.MockClock
) -> None:
    """The running one, and those that waited for its worker."""
    results: dict[str, int] = {}
    async with app("", extra=[version_of(1)]) as running, trio.open_nursery() as nursery:

        async def call(name: str) -> None:
            results[name] = await running.call("app:slow")

        nursery.start_soon(call, "running")
        nursery.start_soon(call, "waiting")
        await trio.sleep(0.5)
        await running.registry.apply([Change.update(version_of(2))])
        nursery.start_soon(call, "after")
    assert results == {"running": 1, "waiting": 1, "after": 2}


async def test_a_refused_update_leaves_the_old_version_at_work(
    app: OpenApp, autojump_clock: trio.testing.MockClock
) -> None:
    async with app("", extra=[version_of(1)]) as running:
        for bad in (version_of(2, {"type": "no such pool"}), version_of(2, {"size": -1})):
            with pytest.raises(LuaError):
                await running.registry.apply([Change.update(bad)])
        broken = attrs.evolve(version_of(2), data={**version_of(2).data, "source": "return {"})
        with pytest.raises(LuaError):
            await running.registry.apply([Change.update(broken)])
        assert await running.call("app:slow") == 1


async def test_two_changes_at_once_take_turns(lua: RunLua) -> None:
    source = """
    local done = channel.new(2)
    for i = 1, 2 do
      coroutine.spawn(function()
        done:send(change(function(c) c:create({ id = "x:e" .. i, kind = "registry.entry" }) end):id())
      end)
    end
    local a, b = done:receive(), done:receive()
    return { a + b, #registry.find({[".ns"] = "x"}) }
    """
    assert await run(lua, source) == [3, 2]


async def test_the_host_program_sees_what_lua_changed(app: OpenApp) -> None:
    async with app(SELF) as running:
        await running.call("app:self", "update")
        with pytest.raises(InvalidError):
            await running.registry.apply([])
        assert running.registry.current_version.id == 1
