"""Types as run-time values: validation, reflection, comparison. Expectations are those of docs page lua/types."""

import pytest

IS = "local v, e = T:is(V) return v ~= nil, e and e:message()"


def verdict(lua, declarations: str, value: str) -> str | None:
    """The message of `T:is(value)`, None where it passes."""
    ok, message = lua(f"{declarations}\nlocal V = {value}\n{IS}")
    assert ok == (message is None)
    return None if message is None else str(message)


@pytest.mark.parametrize(
    ("declarations", "value", "message"),
    [
        ("type T = {x: number, y: number}", "{x = 1, y = 2}", None),
        ("type T = {x: number, y: number}", "{x = 1}", "missing required field 'y' of type number"),
        ("type T = {x: number}", "{x = 'a'}", "field 'x': expected number, got \"a\""),
        ("type T = {x: number}", "1", "expected {x: number}, got 1"),
        ("type T = {a?: number}", "{}", None),
        ("type T = {a: number?}", "{}", None),
        ("type T = {a: {b: {string}}}", "{a = {b = {'x', 2}}}", "field 'a.b[2]': expected string, got 2"),
        ("type T = {number}", "{}", None),
        ("type T = {number}", "{a = 1}", "expected {number}, got a table with keys"),
        ("type T = {[string]: number}", "{a = 1, b = 2}", None),
        ("type T = {[string]: number}", "{a = 'x'}", "field 'a': expected number, got \"x\""),
        ("type T = {[string]: number}", "{1}", "field '[1]': key: expected string, got 1"),
        ("type T = {n: string, [string]: number}", "{n = 'x', a = 1}", None),
        ("type T = {n: string, [string]: number}", "{n = 'x', a = 'y'}", "field 'a': expected number, got \"y\""),
        ("type T = 'a' | 'b'", "'c'", 'expected "a" | "b", got "c"'),
        ("type T = number | string", "true", "expected number | string, got true"),
        ("type T = {ok: true} | {ok: false, e: string}", "{ok = false, e = 'x'}", None),
        ("type A = {a: string} type B = {b: 1} type T = A & B", "{a = 'x'}", "missing required field 'b' of type 1"),
        ("type T = -1 | nil | 2.5", "-1", None),
        ("type T = integer", "3.0", None),
        ("type T = integer", "1e400", "expected integer, got inf"),
        ("type T = integer", "3.5", "expected integer, got 3.5"),
        ("type T = never", "1", "expected never, got 1"),
        ("type T = (number) -> string", "print", None),
        ("type T = (number) -> string", "{}", "expected function (number) -> string, got table"),
        ("type T = function", "print", None),
        ("type T = number @min(0) @max(9)", "-1", "value -1 is below the minimum 0"),
        ("type T = number @min(0) @max(9)", "10", "value 10 is above the maximum 9"),
        ("type T = number @min(-2.5)", "-3", "value -3 is below the minimum -2.5"),
        ("type T = string @min_len(2)", "'a'", "length 1 is below the minimum length 2"),
        ("type T = {string} @max_len(1)", "{'a', 'b'}", "length 2 is above the maximum length 1"),
        ("type T = string @pattern('^a+$')", "'b'", '"b" does not match the pattern ^a+$'),
        ("type T = (string @min_len(2))?", "nil", "__nil"),
        ("interface T function area(self): number end", "{area = print}", None),
        ("interface T function area(self): number end", "{}", "missing method 'area' of T"),
        ("interface A function a() end interface T : A function b() end", "{b = print}", "missing method 'a' of T"),
        ("type T = keyof({a: number, b: string})", "'b'", None),
        ("type R = {a: number} type T = R['a']", "'x'", 'expected number, got "x"'),
        ("type T = integer extends number ? 'y' : 'n'", "'n'", 'expected "y", got "n"'),
        ("type T = Later type Later = {x: T?, n: number}", "{x = {n = 'a'}, n = 1}",
         "field 'x.n': expected number, got \"a\""),
        ("type T = Unknown.Thing", "1", None),
        ("type T = {when: time.Time}", "{when = 1}", None),
    ],
)  # fmt: skip
def test_validation(lua, declarations: str, value: str, message: str | None) -> None:
    if message == "__nil":
        assert lua(f"{declarations} local v, e = T:is(nil) return v == nil and e == nil") is True
    else:
        assert verdict(lua, declarations, value) == message


def test_calling_a_type_gives_the_value_or_raises_an_error(lua) -> None:
    assert lua("type P = {x: number} local p = {x = 1} return P(p) == p") is True
    assert lua("""
        type P = {x: number}
        local ok, e = pcall(P, {})
        return ok, type(e), e:kind(), e:message()
    """) == (False, "userdata", "Invalid", "missing required field 'x' of type number")  # fmt: skip
    assert lua("return integer(3), number(2.5), boolean(false), pcall(integer, 'x')")[:4] == (3, 2.5, False, False)


def test_is_gives_false_and_nil_values_back(lua) -> None:
    assert lua("type F = boolean local v, e = F:is(false) return v, e") == (False, None)


def test_not_a_number_is_in_no_range(lua) -> None:
    assert lua("type T = number @min(0) @max(9) return T:is(0/0) == nil") is True


def test_generics(lua) -> None:
    box = "type Box<T> = {value: T} type T = Box<string>"
    assert verdict(lua, box, "{value = 'a'}") is None
    assert verdict(lua, box, "{value = 1}") == "field 'value': expected string, got 1"
    recursive = "type List<E> = {head: E, tail?: List<E>} type T = List<number>"
    assert verdict(lua, recursive, "{head = 1, tail = {head = 'x'}}") == "field 'tail.head': expected number, got \"x\""
    assert verdict(lua, "type T<E> = {E}", "{1, 'x'}") is None


def test_cyclic_and_deep_values(lua) -> None:
    tree = "type T = {next?: T, v: number}"
    assert verdict(lua, tree, "{v = 1} V.next = V") is None
    deep = "{v = 1} do local c = V for i = 1, 5000 do c.next = {v = i} c = c.next end end"
    assert "levels deep" in (verdict(lua, tree, deep) or "")
    assert verdict(lua, "type T = T", "1") == "expected never, got 1"


def test_library_types_are_fields_of_the_library(lua) -> None:
    lua.modules["m"] = lua.run("type ID = string @min_len(2) type User = {id: ID} return {User = User, ID = ID}")
    assert lua("local m = require('m') return m.User:is({id = 'ab'}) ~= nil, m.User:is({id = 'a'}) == nil") == (
        True,
        True,
    )
    assert verdict(lua, "local m = require('m') type T = {owner: m.User}", "{owner = {id = 'a'}}") == (
        "field 'owner.id': length 1 is below the minimum length 2"
    )
    assert verdict(lua, "local m = require('m') local User = m.User type T = {User}", "{{}}") == (
        "field '[1]': missing required field 'id' of type ID"
    )


def test_kinds_and_names(lua) -> None:
    source = """
        type Point = {x: number}
        type Id = number | string
        type Alias = Point
        type Maybe = Point?
        type List = {Point}
        type Map = {[string]: Point}
        type Fn = (number) -> ()
        type Lit = "a"
        type Score = number @min(0)
        interface Shape function area() end
        local kinds = {}
        local all = {Point, Id, Alias, Maybe, List, Map, Fn, Lit, Score, Shape, Number, Integer, String, Boolean}
        for i, t in ipairs(all) do
            kinds[i] = t:kind()
        end
        return table.concat(kinds, " "), Point:name(), Alias:name(), Number:name(), tostring(Maybe), tostring(typeof(1))
    """
    assert lua(source) == (
        "record union record optional array map function literal number interface number integer string boolean",
        "Point", "Alias", "number", "Maybe", "number",
    )  # fmt: skip


def test_reflection(lua) -> None:
    assert lua("""
        type User = {name: string, age: number, tags?: {string}}
        local out = {}
        for name, t in User:fields() do out[#out + 1] = name .. ":" .. t:kind() end
        local tag = User.tags:inner():elem()
        return table.concat(out, " "), User.name:kind(), User:name(), User.name == String, tag:kind()
    """) == ("name:string age:number tags:optional", "string", "User", True, "string")  # fmt: skip
    assert lua("""
        type S = "pending" | "active"
        local out = {}
        for v in S:variants() do out[#out + 1] = tostring(v) end
        return table.concat(out, " ")
    """) == '"pending" "active"'  # fmt: skip
    assert lua("""
        local fn: (number, string) -> boolean
        local t, out = typeof(fn), {}
        for p in t:params() do out[#out + 1] = p:kind() end
        return table.concat(out, " "), t:ret():kind()
    """) == ("number string", "boolean")  # fmt: skip


def test_typeof_takes_the_declared_type_or_looks_at_the_value(lua) -> None:
    assert lua("local a: {number} = {} return typeof(a):elem():kind()") == "number"
    assert lua("local m: {[string]: number} = {} return typeof(m):key():kind(), typeof(m):val():kind()") == (
        "string", "number",
    )  # fmt: skip
    assert lua("local o: number? = nil return typeof(o):kind(), typeof(o):inner():kind()") == ("optional", "number")
    assert lua("local function f(x?: string) return typeof(x):kind() end return f()") == "optional"
    assert lua("local x: string = 'a' local f = function(x) return typeof(x):kind() end return f(1)") == "number"
    assert lua("return typeof({1, 2}):elem():kind(), typeof({a = 1, b = 'x'}):name()") == (
        "number", "{a: number, b: string}",
    )  # fmt: skip
    assert lua("local typeof = function() return 'mine' end local x: number = 1 return typeof(x)") == "mine"
    assert (
        verdict(lua, "local s = {name = 'a'} type T = typeof(s)", "{name = 1}")
        == "field 'name': expected string, got 1"
    )


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("Number == Number", True),
        ("Integer <= Number", True),
        ("Integer < Number", True),
        ("Number < Number", False),
        ("Number <= Integer", False),
        ("A <= B", True),
        ("B <= A", False),
        ("Lit <= String", True),
        ("Lit <= Wide", True),
        ("Wide <= Lit", False),
        ("Score <= Number", True),
        ("Number <= Score", False),
        ("Tight <= Score", True),
        ("Fn1 <= Fn2", True),
        ("Fn2 <= Fn1", False),
        ("Ints <= Numbers", False),
        ("Never <= Ints and Ints <= Any", True),
        ("Maybe <= Number", False),
        ("Number <= Maybe", True),
        ("Rec1 == Rec2", True),
    ],
)
def test_comparison(lua, expression: str, result: bool) -> None:
    assert lua(f"""
        type A = {{x: number, y: string}}
        type B = {{x: number, z?: string}}
        type Lit = "a"
        type Wide = "a" | "b"
        type Score = number @min(0)
        type Tight = number @min(5) @max(6)
        type Fn1 = (number) -> integer
        type Fn2 = (integer) -> number
        type Ints = {{integer}}
        type Numbers = {{number}}
        type Never = never
        type Any = any
        type Maybe = number?
        type Rec1 = {{next?: Rec1}}
        type Rec2 = {{next?: Rec2}}
        return {expression}
    """) is result  # fmt: skip


def test_types_are_keys(lua) -> None:
    assert lua("local h = {[Number] = 'n', [String] = 's'} local v = 'x' return h[typeof(v)], h[typeof(1)]") == (
        "s",
        "n",
    )


def test_fields_named_like_methods(lua) -> None:
    source = "type N = {name: string, is: number, kind: string} "
    assert lua(source + "return N:name(), N:kind(), N.is:kind(), N.name:is('x'), (N:is({}))") == (
        "N", "record", "number", "x", None,
    )  # fmt: skip


def test_type_values_are_closed(lua) -> None:
    assert lua("type A = number return pcall(function() A.x = 1 end)") == (
        False, "test:1: cannot set a field of Type",
    )  # fmt: skip
    assert lua("type A = number return next(A), getmetatable(A)") in {(None, False), False}
    assert lua("return (pcall(Number.kind, 5))") is False


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("^.+@.+\\\\..+$", "ada@example.com", "ada"),
        ("b{2,3}$", "abbb", "ab"),
        ("^(foo|ba[rz])*$", "foobarbaz", "fooba"),
        ("^(?i)hello$", "HeLLo", "hell"),
        ("\\\\bcat\\\\b", "a cat.", "concat"),
        ("^[^0-9]+$", "a-ü", "a1"),
        ("^\\\\d+(\\\\.\\\\d+)?$", "12.5", "12."),
        ("^[[:alpha:]_]+$", "ab_", "a1"),
        ("^.$", "é", "éé"),
        ("^(a*)*$", "aaa", "aab"),
        ("^\\\\x41\\\\Q.*\\\\E$", "A.*", "Axx"),
        ("^a{,2}$", "a{,2}", "aa"),
        ("(?m)^b$", "a\\nb", "ab"),
        ("(?s)^a.b$", "a\\nb", "ab"),
        ("^(?P<year>[0-9]{4})-$", "2024-", "024-"),
        ("", "x", None),
        ("^[a\\\\]\\\\-]+$", "]-a", "b"),
        ("^\\\\W\\\\S$", "-x", "xx"),
        ("x*?y+?$", "xxy", "x"),
    ],
)
def test_patterns(lua, pattern: str, yes: str, no: str | None) -> None:
    source = f'type P = string @pattern("{pattern}") return P:is("{{}}") ~= nil'
    assert lua(source.replace("{}", yes)) is True
    if no is not None:
        assert lua(source.replace("{}", no)) is False


def test_patterns_take_linear_time(lua) -> None:
    assert lua("type P = string @pattern('^(a+)+$') return P:is(('a'):rep(2000) .. 'b') == nil") is True


def test_validation_pays_its_budget(lua) -> None:
    lua("type L = {number} local t = {} for i = 1, 4000 do t[i] = i end return L:is(t) ~= nil")
    assert lua.rt[b"ticks"] >= 41
