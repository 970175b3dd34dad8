from __future__ import annotations

import pytest

from wippy_trio.core.errors import LuaError


@pytest.fixture
def script(lua, tmp_path):
    entries = f"""
- name: files
  kind: fs.directory
  directory: {tmp_path}/files
  auto_init: true
"""

    async def run(source: str):
        head = 'local fs = require("fs") local v, err = fs.get("app:files") assert(not err, tostring(err)) '
        return await lua(head + source, modules=["fs"], entries=entries)

    return run


async def test_read_and_write(script, autojump_clock) -> None:
    assert await script("""
        v:writefile("/a.bin", string.char(0, 255, 10))
        v:write_file("a.bin", "x", "a")
        local ok, err = v:writefile("/a.bin", "y", "wx")
        return {#v:readfile("/a.bin"), v:read_file("a.bin"):byte(2), ok, err:kind()}
    """) == [4, 255, False, "NotFound"]


async def test_paths(script, autojump_clock) -> None:
    assert await script("""
        v:mkdir("/d")
        v:mkdir("d/e")
        v:writefile("d/e/f", "12345")
        local out = {v:pwd(), v:chdir("d"), v:pwd(), v:exists("e/f"), v:isdir("e"), v:isdir("/d/e/f"), v:exists("/e")}
        local info = v:stat("e/f")
        out[#out + 1] = {info.name, info.size, info.is_dir, info.type, math.type(info.modified), info.mode & 511}
        out[#out + 1] = tostring(v)
        local names = {}
        for entry in v:readdir("/d") do names[#names + 1] = entry.name .. ":" .. entry.type end
        out[#out + 1] = names
        return out
    """) == [
        "/", True, "/d", True, True, False, False,
        ["f", 5, False, "file", "integer", 0o644],
        "fs.FS{cwd=d}",
        ["e:directory"],
    ]  # fmt: skip


async def test_error_kinds(script, autojump_clock) -> None:
    found = await script("""
        v:mkdir("d")
        v:writefile("d/f", "")
        local out = {}
        local function note(name, first, err) out[name] = tostring(first) .. " " .. err:kind() end
        note("stat", v:stat("none"))
        note("open", v:open("none", "r"))
        note("mode", v:open("x", "rw"))
        note("read", v:readfile("none"))
        note("mkdir", v:mkdir("d"))
        note("parent", v:mkdir("no/parent"))
        note("remove", v:remove("none"))
        note("full", v:remove("d"))
        note("chdir", v:chdir("none"))
        note("chdir_file", v:chdir("d/f"))
        note("readdir", v:readdir("d/f"))
        note("escape", v:stat("../x"))
        note("exists", v:exists("a\\0b"))
        note("isdir", v:isdir("none"))
        note("empty", v:writefile("", "x"))
        note("no_data", v:writefile("x", nil))
        note("bad_data", v:writefile("x", {}))
        note("bad_mode", v:writefile("x", "", "r"))
        note("get", fs.get("app:none"))
        note("get_empty", fs.get(""))
        return out
    """)
    assert found == {
        "stat": "nil NotFound",
        "open": "nil NotFound",
        "mode": "nil Invalid",
        "read": "nil NotFound",
        "mkdir": "false AlreadyExists",
        "parent": "false Internal",
        "remove": "false Internal",
        "full": "false Invalid",
        "chdir": "false NotFound",
        "chdir_file": "false Invalid",
        "readdir": "nil Invalid",
        "escape": "nil Invalid",
        "exists": "false Invalid",
        "isdir": "false NotFound",
        "empty": "false Invalid",
        "no_data": "false Invalid",
        "bad_data": "false Invalid",
        "bad_mode": "false Invalid",
        "get": "nil NotFound",
        "get_empty": "nil Invalid",
    }


async def test_file_handles(script, autojump_clock) -> None:
    assert await script("""
        local f = v:open("f", "w")
        local out = {f:write("hello world"), f:sync(), f:stat().size, tostring(f), f:close(), f:close(), tostring(f)}
        local r = v:open("f", "r")
        out[#out + 1] = {r:read(5), r:seek(fs.seek.END, -5), r:read(), (select(2, r:read())):message()}
        local _, bad = r:seek("odd", 0)
        local _, zero = r:read(0)
        local ok, empty = r:write("")
        local _, closed = f:read()
        out[#out + 1] = {bad:kind(), zero:kind(), ok, empty:kind(), closed:kind()}
        local w = v:open("copy", "w")
        w:close()
        r:seek("set", 0)
        out[#out + 1] = {v:writefile("copy", r), v:readfile("copy")}
        return out
    """) == [
        True, True, 11, "fs.File{}", True, True, "fs.File{closed}",
        ["hello", 6, "world", "EOF"],
        ["Invalid", "Invalid", False, "Invalid", "Invalid"],
        [True, "hello world"],
    ]  # fmt: skip


async def test_scanner(script, autojump_clock) -> None:
    assert await script("""
        v:writefile("f", "one two\\nthree\\n\\nlast")
        local function all(split)
            local f = v:open("f", "r")
            local s, out = f:scanner(split), {}
            while s:scan() do out[#out + 1] = s:text() end
            f:close()
            return {out, s:err() == nil, s:scan(), s:text()}
        end
        local f = v:open("f", "r")
        local _, bad = f:scanner("odd")
        f:close()
        local _, closed = f:scanner()
        return {all("lines"), all("words")[1], #all("bytes")[1], bad:kind(), closed:kind()}
    """) == [
        [["one two", "three", "", "last"], True, False, ""],
        ["one", "two", "three", "last"],
        19,
        "Invalid",
        "Invalid",
    ]


async def test_wrong_arguments_are_raised(script, autojump_clock) -> None:
    with pytest.raises(LuaError, match=r"bad argument #3 to open \(string expected, got nil\)"):
        await script("v:open('f')")
    with pytest.raises(LuaError, match=r"bad argument #1 to read \(file expected\)"):
        await script("v:writefile('f', '') local f = v:open('f', 'r') f.read(v)")
