"""The structured error and the `errors` library (spec lua/errors)."""

from __future__ import annotations

import pytest

from sandbox.errors import KINDS, ArgumentError, Raised
from tests.sandbox.kernel_base import Bench
from wippy_trio.core.errors import LuaError


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_new_from_text_and_from_a_table(bench: Bench) -> None:
    assert bench.run("""
        local plain = errors.new("boom")
        local full = errors.new({ message = "gone", kind = errors.NOT_FOUND, retryable = true, details = { id = 7 } })
        local empty = errors.new({ message = "m", details = {} })
        return {
          type(plain), tostring(plain), plain:message(), plain:kind(), plain:retryable() == nil, plain:details() == nil,
          full:message(), full:kind(), full:retryable(), full:details().id, empty:details() == nil,
          errors.new({ message = "m", retryable = false }):retryable(),
        }
    """) == ["userdata", "boom", "boom", "", True, True, "gone", "NotFound", True, 7, True, False]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("errors.new({})", "'message' must be a string"),
        ("errors.new({ message = 1 })", "'message' must be a string"),
        ("errors.new({ message = 'm', details = 1 })", "'details' must be a table"),
        ("errors.new()", "string or table expected, got nil"),
        ("errors.new(true)", "string or table expected, got boolean"),
        ("errors.wrap(errors.new('x'))", "bad argument #2 to 'wrap'"),
    ],
)
def test_wrong_arguments_are_raised(bench: Bench, code: str, text: str) -> None:
    with pytest.raises(LuaError) as caught:
        bench.run(code)
    assert text in str(caught.value)


def test_kind_first_as_the_brief_has_it(bench: Bench) -> None:
    assert bench.run("""
        local e = errors.new(errors.NOT_FOUND, "user not found")
        local named = errors.new("text", { kind = errors.CONFLICT, retryable = true, details = { a = 1 } })
        return { e:kind(), e:message(), named:message(), named:kind(), named:retryable(), named:details().a }
    """) == ["NotFound", "user not found", "text", "Conflict", True, 1]


def test_constants(bench: Bench) -> None:
    assert bench.run("""
        local out = {}
        for k, v in pairs(errors) do if type(v) == "string" then out[k] = v end end
        return out
    """) == dict(KINDS)


def test_wrap_keeps_what_the_error_knows(bench: Bench) -> None:
    assert bench.run("""
        local e = errors.new({ message = "root", kind = errors.TIMEOUT, retryable = true, details = { a = 1 } })
        local w = errors.wrap(errors.wrap(errors.wrap(e, "one"), "two"), "three")
        local s = errors.wrap("text", "context")
        return { tostring(w), w:message(), w:kind(), w:retryable(), w:details().a, tostring(e), tostring(s), s:message(), s:kind() }
    """) == ["three: two: one: root", "root", "Timeout", True, 1, "root", "context: text", "text", ""]


def test_is(bench: Bench) -> None:
    assert bench.run("""
        local e = errors.wrap(errors.new({ message = "m", kind = errors.INVALID }), "c")
        return { errors.is(e, errors.INVALID), errors.is(e, errors.INTERNAL), errors.is(nil, errors.INVALID),
          errors.is("m", errors.INVALID), errors.is({ kind = "Invalid" }, errors.INVALID) }
    """) == [True, False, False, False, False]


def test_concatenation_and_equality(bench: Bench) -> None:
    assert bench.run("""
        local a, b = errors.new("a"), errors.new("b")
        return { "x " .. a, a .. " x", a .. b, a == errors.new("a"), a == b, a == errors.new("Invalid", "a"), a .. 1 }
    """) == ["x a", "a x", "ab", True, False, False, "a1"]


def test_stack_and_call_stack_name_the_users_code_only(bench: Bench) -> None:
    stack, frames, none = bench.run("""
        local function inner() local e = errors.new("deep") return e end
        local function outer() local e = inner() return e end
        local e = outer()
        return { e:stack(), errors.call_stack(e), errors.call_stack("text") == nil }
    """)
    assert none is True
    assert "app:main:2" in stack
    assert "app:main:3" in stack
    assert "kernel/" not in stack
    assert frames["thread"] == "main"
    assert [(frame["source"], frame["line"], frame["name"]) for frame in frames["frames"]][:2] == [
        ("app:main", 2, "inner"),
        ("app:main", 3, "outer"),
    ]


def test_raised_and_caught_it_stays_the_same_object(bench: Bench) -> None:
    assert bench.run("""
        local e = errors.new("x")
        local ok, caught = pcall(error, e)
        local ok2, via = xpcall(function() error(e) end, function(v) return v end)
        local co = coroutine.wrap(function() error(e) end)
        local ok3, through = pcall(co)
        return { ok, rawequal(caught, e), rawequal(via, e), rawequal(through, e) }
    """) == [False, True, True, True]


def test_methods_refuse_what_is_no_error(bench: Bench) -> None:
    assert bench.run("""
        local e, out = errors.new("x"), {}
        for i, name in ipairs({ "message", "kind", "retryable", "details", "stack" }) do
          local _, problem = pcall(e[name], {})
          out[i] = tostring(problem):match("Error expected") ~= nil
        end
        return out
    """) == [True] * 5


def test_an_error_cannot_be_changed_from_outside(bench: Bench) -> None:
    assert bench.run("""
        local e = errors.new("x")
        local ok = pcall(function() e.text = "y" end)
        return { ok, (pcall(rawset, e, "text", "y")), tostring(e), (pcall(setmetatable, e, {})) }
    """) == [False, False, "x", False]


def test_a_second_result_that_is_an_error_fails_the_call(bench: Bench) -> None:
    with pytest.raises(LuaError) as caught:
        bench.run("return nil, errors.wrap(errors.new({ message = 'm', kind = 'Conflict', retryable = false, "
                  "details = { a = { 1 } } }), 'ctx')")
    error = caught.value
    assert (str(error), error.message, error.kind, error.retryable) == ("ctx: m", "m", "Conflict", False)
    assert error.details == {"a": [1]}
    with pytest.raises(LuaError, match=r"^just text$"):
        bench.run("return nil, 'just text'")
    assert bench.run("return 1, { not_an = 'error' }") == 1


@pytest.mark.parametrize(
    ("body", "text", "kind"),
    [
        ("error('x')", "app:main:1: x", "Internal"),
        ("error('x', 0)", "x", "Internal"),
        ("error({ message = 'm', kind = 'Timeout' })", "m", "Timeout"),
        ("error(errors.new('Invalid', 'm'))", "m", "Invalid"),
        ("error()", "no error object", "Internal"),
        ("error(12)", "12", "Internal"),
        ("local x = nil; return x.y", "attempt to index a nil value", "Internal"),
    ],
)
def test_what_a_program_raises_becomes_an_error(bench: Bench, body: str, text: str, kind: str) -> None:
    with pytest.raises(LuaError) as caught:
        bench.run(body)
    assert text in caught.value.message
    assert caught.value.kind == kind
    assert caught.value.stack.startswith("stack traceback:")


def test_an_error_whose_text_cannot_be_read_ends_the_actor_well(bench: Bench) -> None:
    for body in (
        "error(setmetatable({}, { __tostring = function() error('again') end }))",
        "error(setmetatable({}, { __tostring = function() return 1 end }))",
        "local e e = errors.new({ message = 'm', details = { } }) local d = {} d.d = d error(errors.new({ message = 'm', details = d }))",
    ):
        with pytest.raises(LuaError) as caught:
            bench.run(body)
        assert caught.value.kind == "Internal"


def test_python_side_keeps_class_defaults_and_context() -> None:
    error = LuaError("inner", kind="Timeout", retryable=True, context=("outer", "middle"))
    assert str(error) == "outer: middle: inner"
    assert error.message == "inner"
    assert ArgumentError(2, "string expected", "f").message == "bad argument #2 to f (string expected)"
    assert issubclass(Raised, LuaError)
