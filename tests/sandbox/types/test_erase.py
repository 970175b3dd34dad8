"""Emission: types go, lines stay, loops pay, and the result runs as Lua 5.5."""

import pytest

from sandbox.types import compile_source

PREFIX = "local _ENV,__w_rt=... local __w_n,__w_T,__w_cat=__w_rt.slice,__w_rt.tick,__w_rt.cat "
CHECK = "__w_n=__w_n-1 if __w_n<0 then __w_n=__w_T() end"


def body(source: str) -> str:
    """The emitted text without its prefix, runs of blanks made one."""
    text = compile_source(source, "x").lua
    assert text.startswith(PREFIX)
    return " ".join(text[text.index(";") + 1 :].split())


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("local a: number, b: string? = 1, nil", "local a , b = 1, nil"),
        ("local x: number @min(0) @max(9) = 5", "local x = 5"),
        ("local f = function<T, U: C>(x: T, y?: U, z?, ...: any): (T, U?) return x end",
         "local f = function (x , y , z , ... ) return x end"),
        ("local function f(): () end", "local function f() end"),
        ("local function f(): string, number return 'a', 1 end", "local function f() return 'a', 1 end"),
        ("local a = b :: number", "local a = b"),
        ("local a = (b as {x: number}).x + c!", "local a = (b ).x + c"),
        ("local g: (number, ...string) -> (boolean, string) = h", "local g = h"),
        ("local g: fun(a: number): string? = h", "local g = h"),
        ("local m: Map<string, List<number>>= h", "local m = h"),
        ("local a: readonly {number}, b: {[string]: {number}[]} = x, y", "local a , b = x, y"),
        ("local a <const> = 1", "local a <const> = 1"),
        ("local a: A | B & C? | 'x' | -1 | nil | true", "local a"),
        ("local n: asserts = 1", "local n = 1"),
    ],
)  # fmt: skip
def test_types_are_erased(typed: str, plain: str) -> None:
    assert body(typed) == plain


@pytest.mark.parametrize(
    ("source", "emitted"),
    [
        ("while a do b = 1 end", f"while a do {CHECK} b = 1 end"),
        ("repeat a = b until c", f"repeat {CHECK} a = b until c"),
        ("for i = 1, 2 do a = i end", f"for i = 1, 2 do {CHECK} a = i end"),
        ("for k in p do a = k end", f"for k in p do {CHECK} a = k end"),
        ("::a:: goto a", f"::a:: {CHECK} goto a"),
        ("local function f() g() end", f"local function f() {CHECK} g() end"),
        ("local function f() return g.x + 1 end", "local function f() return g.x + 1 end"),
        ("local f = function() return function() g() end end",
         f"local f = function() return function() {CHECK} g() end end"),
        ("for i = 1, 2 do i = 3 end", f"for i = 1, 2 do local i=i {CHECK} i = 3 end"),
        ("for k, v in p do v = 3 end", f"for k, v in p do {CHECK} v = 3 end"),
    ],
)  # fmt: skip
def test_budget_checks(source: str, emitted: str) -> None:
    assert body(source) == emitted


@pytest.mark.parametrize(
    ("source", "emitted"),
    [
        ("a = b .. 'c' .. d", "a = __w_cat(b , 'c' , d)"),
        ("a = 'b' .. \"c\"", "a = 'b' .. \"c\""),
        ("a = b .. f(c .. d)", "a = __w_cat(b , (f(__w_cat(c , d))))"),
        ("a = b .. ...", "a = __w_cat(b , (__w_va(...)))"),
        ("a = 1 .. 2", "a = __w_cat(1 , 2)"),
        ("a = b .. -c + 1 == d", "a = __w_cat(b , -c + 1) == d"),
        ("a = b .. (c :: string)!", "a = __w_cat(b , (c ) )"),
    ],
)
def test_concatenation_is_a_call(source: str, emitted: str) -> None:
    text = body(source)
    assert text == emitted


def test_one_statement_does_not_become_the_arguments_of_another(lua) -> None:
    assert lua.run("""
        local log = {}
        local function put(x) log[#log + 1] = x end
        local a = 1 as number
        (put)(a)
        local b = a .. "x"
        (put)(b)
        local c: any
        (put)("c")
        return table.concat(log, " ")
    """) == "1 1x c"  # fmt: skip


def test_lines_are_kept_in_errors(lua) -> None:
    source = """
    type Point = {
        x: number,
        y: number
    }
    local s = "a" ..
        "b" .. tostring(1)
    local function f<T>(a: {
        x: T
    }): (
        number
    )
        return nil + 1
    end
    local ok, err = pcall(f)
    return err
    """
    assert lua(source).startswith("test:13: ")
    compiled = compile_source(source, "test")
    assert compiled.lua.count("\n") == source.count("\n")


def test_chunk_arguments_do_not_leak(lua) -> None:
    assert lua.run("return ...") in {None, ()}
    assert lua.run("return ...", 7, 8) == (7, 8)
    assert lua.run("local n = select('#', ...) return n", 7) == 1


def test_loop_variables_may_be_assigned(lua) -> None:
    assert lua("local s = 0 for i = 1, 3 do i = i * 10 s = s + i end return s") == 60
    assert lua("local s = 0 for k, v in ipairs({5}) do k = k + v s = s + k end return s") == 6
    assert lua("local s = 0 for i = 1, 2 do local f = function() i = i + 1 return i end s = s + f() end return s") == 5


def test_budget_is_spent_in_loops_and_calls(lua) -> None:
    lua("for i = 1, 1000 do end")
    assert lua.rt[b"ticks"] == 9
    lua("local function f(n) if n > 0 then return f(n - 1) end end f(500)")
    assert lua.rt[b"ticks"] == 13


def test_words_of_the_types_stay_names(lua) -> None:
    assert lua("local type, global, fun = 1, 2, 3 local is = type + global + fun return is") == 6
    assert lua("local o = {as = 1, is = 2, interface = 3} return o.as + o.is + o.interface") == 6
    assert lua("return type(1), type 'x', type {}") == ("number", "string", "table")
    assert lua("interface = 5 return interface") == 5


def test_numbers_and_strings_as_lua_reads_them(lua) -> None:
    assert lua("return 0xff, 0x.8p1, 1e2, .5, 3., 0xffffffffffffffff") == (255, 1.0, 100.0, 0.5, 3.0, -1)
    assert lua("return 9223372036854775808 == 2^63, 1 .. 2, 'a\\z  \n  b', '\\x41\\65\\u{48}'") == (
        True, "12", "ab", "AAH",
    )  # fmt: skip
    assert lua("return #[==[\nab]]]==], '\\\n' == '\\n'") == (4, True)


def test_shebang_bom_and_comments(lua) -> None:
    assert lua("#!/usr/bin/lua\nreturn 1") == 1
    assert lua("\ufeffreturn 1") == 1
    assert lua("--[[ a\n]] return --[==[ ]] ]==] 1 -- end") == 1


def test_labels_and_gotos(lua) -> None:
    assert lua("""
        local n = 0
        for i = 1, 5 do
            if i % 2 == 0 then goto continue end
            local x = i
            n = n + x
            ::continue::
        end
        do goto done end
        n = 100
        ::done::
        return n
    """) == 9  # fmt: skip


def test_bytes_that_are_not_utf8_pass_through(lua) -> None:
    source = b'return #"\xff\xfe"'.decode("utf-8", "surrogateescape")
    compiled = compile_source(source, "x").lua.encode("utf-8", "surrogateescape")
    assert lua.rt[b"run"](compiled, b"@x") == 2


def test_tree_and_type_names() -> None:
    compiled = compile_source("type A = number\n\ninterface B function m(self): A end\nlocal x: A = 1", "app:x")
    assert compiled.type_names == ("A", "B")
    assert [type(stat).__name__ for stat in compiled.tree.body.body] == ["TypeDecl", "Interface", "Local"]
    local = compiled.tree.body.body[2]
    assert compiled.tree.position(local.start) == (4, 1)
    assert compiled.tree.source[local.start : local.end] == "local x: A = 1"
