from __future__ import annotations

import pytest
import trio

from wippy_trio.core.errors import LuaError

ENTRIES = """
- name: cache
  kind: store.memory
  max_size: 3
- name: db
  kind: db.sql.sqlite
  file: ":memory:"
- name: table
  kind: store.sql
  database: app:db
  table_name: kv
"""
HEAD = 'local store = require("store") local s = store.get("app:cache") '


@pytest.fixture
def script(lua):
    async def run(source: str):
        return await lua(HEAD + source, modules=["store", "sql", "time"], entries=ENTRIES)

    return run


async def test_values_come_back(script, autojump_clock) -> None:
    found = await script("""
        s:set("k:1", {a = {1, 2, "x"}, f = 1.0, i = 1, t = true})
        local v, err = s:get("k:1")
        return {v, math.type(v.f), math.type(v.i), err == nil, s:has("k:1"), s:delete("k:1"), s:delete("k:1"),
            s:has("k:1")}
    """)
    assert found == [{"a": [1, 2, "x"], "f": 1.0, "i": 1, "t": True}, "float", "integer", *[True] * 3, *[False] * 2]


async def test_a_kept_value_is_a_copy(script, autojump_clock) -> None:
    assert (
        await script("""
        local v = {n = 1}
        s:set("k:1", v)
        v.n = 2
        local w = s:get("k:1")
        w.n = 3
        return s:get("k:1").n
    """)
        == 1
    )


async def test_objects_inside_values_do_not_cross(script, autojump_clock) -> None:
    assert await script("""
        s:set("k:1", {a = 1, other = s, f = function() end})
        return s:get("k:1")
    """) == {"a": 1}


async def test_errors(script, autojump_clock) -> None:
    found = await script("""
        local function of(_, e) return e:kind() .. ": " .. e:message() end
        local out = {of(store.get("")), of(store.get("app:none")), of(store.get("app:db")), of(s:get("")),
            of(s:set("k:1", nil)), of(s:get("k:none"))}
        s:release()
        for _, m in ipairs({"get", "set", "has", "delete", "entry", "put", "list", "info"}) do
            out[#out + 1] = of(s[m](s, "k:1", 1))
        end
        return out
    """)
    assert found[:2] == ["Invalid: resource id is required", found[1]]
    assert found[1].startswith("NotFound: ")
    assert found[2:6] == [
        "Invalid: resource is not a store",
        "Invalid: key is required",
        "Invalid: value is required",
        found[5],
    ]
    assert found[5].startswith("NotFound: ")
    assert set(found[6:]) == {"Invalid: store is released"}


async def test_wrong_arguments_are_raised(script, autojump_clock) -> None:
    with pytest.raises(LuaError, match=r"bad argument #2 to get \(string expected, got nil\)"):
        await script("s:get(nil)")
    with pytest.raises(LuaError, match=r"bad argument #4 to set \(number expected, got string\)"):
        await script("s:set('k:1', 1, 'x')")


async def test_a_full_store_is_unavailable(script, autojump_clock) -> None:
    assert await script("""
        for i = 1, 3 do s:set("k:" .. i, i) end
        local ok, e = s:set("k:4", 4)
        return {e:kind(), e:retryable()}
    """) == ["Unavailable", True]


async def test_conditional_writes(script, autojump_clock) -> None:
    assert await script("""
        local e = s:put("config", "one", {only_if_absent = true})
        local _, again = s:put("config", "two", {only_if_absent = true})
        local newer = s:put("config", "two", {if_version = e.version})
        local _, stale = s:put("config", "three", {if_version = e.version})
        local _, both = s:put("config", 1, {only_if_absent = true, if_version = 1})
        local _, zero = s:put("config", 1, {if_version = 0})
        local _, ttl = s:put("config", 1, {ttl = -1})
        return {e, again:kind(), newer.value, stale:kind(), stale:retryable(), both:kind(), zero:kind(), ttl:kind(),
            s:entry("config").value}
    """) == [
        {"key": ":config", "value": "one", "version": "1"},
        "AlreadyExists",
        "two",
        "Conflict",
        True,
        "Invalid",
        "Invalid",
        "Invalid",
        "two",
    ]


async def test_list(script, autojump_clock) -> None:
    assert await script("""
        for i = 1, 3 do s:set("s:" .. i, i) end
        local page = s:list({prefix = "s:", limit = 2})
        local rest = s:list({prefix = "s:", after = page.cursor})
        local _, bad = s:list({limit = -1})
        return {#page.items, page.has_more, page.cursor, rest.items[1].key, rest.has_more, bad:kind()}
    """) == [2, True, "s:2", "s:3", False, "Invalid"]


async def test_info_and_text(script, autojump_clock) -> None:
    assert await script("""
        local text = tostring(s)
        local info = s:info()
        s:release()
        return {text, tostring(s), info.backend == store.backend.MEMORY, info.conditional_put, info.id, s:release()}
    """) == ["store.Store{}", "store.Store{released}", True, True, "app:cache", True]


async def test_sql_store(script, autojump_clock) -> None:
    assert await script("""
        require("sql").get("app:db"):execute("CREATE TABLE kv (key TEXT PRIMARY KEY, value BLOB, expires_at BIGINT)")
        local t = store.get("app:table")
        local ok, err = t:set("user:1", {name = "Alice", n = 2}, 60)
        local _, unsupported = t:put("user:1", 1, {only_if_absent = true})
        return {ok, t:get("user:1"), t:info().durable, unsupported:kind(), #t:list().items}
    """) == [True, {"name": "Alice", "n": 2}, True, "Invalid", 1]


async def test_time_to_live(app, autojump_clock) -> None:
    entries = (
        ENTRIES
        + """
- name: put
  kind: function.lua
  method: main
  modules: [store]
  source: return function() return require("store").get("app:cache"):set("k:1", 1, 1.5) end
- name: has
  kind: function.lua
  method: main
  modules: [store]
  source: return function() return require("store").get("app:cache"):has("k:1") end
"""
    )
    async with app(entries) as running:
        await running.call("app:put")
        await trio.sleep(1)
        assert await running.call("app:has")
        await trio.sleep(1)
        assert not await running.call("app:has")
