"""What the front end says of sources that are no programs."""

import pytest

from sandbox.types import MAX_SOURCE_BYTES, SourceError, compile_source

CASES = [
    ("local x = = 2", 1, 11, "expected an expression, got '='"),
    ("if a then\n  b()", 2, 6, "expected 'end' to close 'if' of line 1, got end of file"),
    ("function f()\n if a then\n return 1\nreturn {}", 4, 1, "expected the end of the block behind 'return'"),
    ('local x = "unclosed\nreturn x', 1, 11, 'unfinished string: expected a closing " on the same line'),
    ("--[==[ never closed ]]", 1, 1, "unfinished long comment: expected a closing ]==]"),
    ("local s = [[x", 1, 11, "unfinished long string: expected a closing ]]"),
    ("local x = 1 @@ 2", 1, 13, "expected a statement, got '@'"),
    ("if a != b then end", 1, 6, "(Lua writes 'not equal' as ~=)"),
    ("local x: number< = 42", 1, 18, "expected a type, got '='"),
    ("local t = {1, 2 3}", 1, 17, "expected ',' or '}' in the table of line 1, got number 3"),
    ("local end = 3", 1, 7, "expected the name of a local variable, got 'end', which is a keyword"),
    ("f(1,", 1, 5, "expected an expression, got end of file"),
    ("x", 1, 2, "expected '=' or a call behind 'x', got end of file"),
    ("(1 + 2)", 1, 1, "expected a statement: an expression alone does nothing"),
    ("f() = 1", 1, 1, "cannot assign to this expression: expected a variable or a field"),
    ("for i = 1 do end", 1, 11, "expected ',' and the last value of a numeric 'for', got 'do'"),
    ("for k do end", 1, 7, "expected '=' or 'in' behind the variables of 'for', got 'do'"),
    ("break", 1, 1, "break outside a loop"),
    ("while true do local f = function() break end end", 1, 36, "break outside a loop"),
    ("goto nope", 1, 1, "no visible label 'nope' for goto"),
    ("do ::a:: end goto a", 1, 14, "no visible label 'a' for goto"),
    ("goto a local b ::a:: print(b)", 1, 1, "goto 'a' jumps into the scope of a local"),
    ("::a:: do ::a:: end", 1, 10, "label 'a' is already defined in this function"),
    ("::a::::", 1, 8, "expected the name of a label, got end of file"),
    ("local function f() return ... end", 1, 27, "cannot use '...' outside a function with a '...' parameter"),
    ("local x <static> = 1", 1, 10, "unknown attribute 'static': expected const or close"),
    ('return "a\\q"', 1, 10, "invalid escape sequence '\\q'"),
    ('return "\\300"', 1, 9, "invalid escape sequence"),
    ('return "\\xg1"', 1, 9, "\\x takes two hexadecimal digits"),
    ("return 3x", 1, 8, "malformed number '3x'"),
    ("return 0x", 1, 8, "malformed number '0x'"),
    ("local a = `b`", 1, 11, "unexpected character '`'"),
    ("x.end = 1", 1, 3, "expected a field name behind '.', got 'end', which is a keyword"),
    ("x:y = 1", 1, 5, "expected the arguments of method 'y', got '='"),
    ("type X = {a: number, string}", 1, 22, "expected a field such as 'name: type', got 'string'"),
    ("type F = (a: number)", 1, 21, "expected '->' and the returns of a function type"),
    ("type X = string @pattern('(')", 1, 26, "@pattern: missing ) in regular expression '('"),
    ("type X = string @pattern(x)", 1, 17, "@pattern takes a string literal"),
    ("type X = number @min(x)", 1, 17, "@min takes a number"),
    ("local __w_n = 1", 1, 7, "names that begin with '__w_' are reserved"),
    ("return 1 x = 2", 1, 10, "expected the end of the block behind 'return', got 'x'"),
    ("end", 1, 1, "expected a statement or the end of the file, got 'end'"),
]


@pytest.mark.parametrize(("source", "line", "column", "message"), CASES)
def test_error_tells_place_and_what_was_expected(source: str, line: int, column: int, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        compile_source(source, "app:x")
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert message in error.message
    assert str(error) == f"app:x:{line}:{column}: {error.message}"
    assert error.line_text == source.split("\n")[line - 1]


def test_render_puts_the_caret_below_the_place() -> None:
    with pytest.raises(SourceError) as caught:
        compile_source("local a = 1\n\tlocal = 2\n", "app:x")
    assert caught.value.render() == (
        "app:x:2:8: expected the name of a local variable, got '='\n  \tlocal = 2\n  \t      ^"
    )


NESTS = [
    ("return ", "(", "1", ")"),
    ("return ", "{", "1", "}"),
    ("return ", "f(", "1", ")"),
    ("return ", "- ", "1", ""),
    ("return ", "2^", "1", ""),
    ("return ", "a..(", "1", ")"),
    ("return ", "f(a..", "1", ")"),
    ("return ", "function() return ", "1", " end"),
    ("", "if x then ", "y()", " end"),
    ("", "do ", "y()", " end"),
    ("", "repeat ", "y()", " until x"),
    ("", "if f(function() ", "y()", " end) then end"),
    ("type X = ", "{a: ", "number", "}"),
    ("type X = ", "A<", "number", ">"),
    ("type X = ", "(", "number", ") -> nil"),
    ("type X = ", "A extends B ? ", "number", " : nil"),
]


@pytest.mark.parametrize(("before", "opening", "inner", "closing"), NESTS)
def test_deep_nesting_is_an_error_and_what_passes_loads(loads, before, opening, inner, closing) -> None:
    def passes(depth: int) -> bool:
        try:
            loads(before + opening * depth + inner + closing * depth)
        except SourceError as error:
            if "too many levels of nesting" not in error.message:
                raise
            return False
        return True

    accepted = [depth for depth in range(20, 400, 8) if passes(depth)]
    assert accepted == list(range(20, accepted[-1] + 1, 8))
    assert 30 < accepted[-1] < 200
    with pytest.raises(SourceError, match="too many levels of nesting"):
        compile_source(before + opening * 20_000, "x")


@pytest.mark.parametrize("text", ["return x" + ".y" * 3000, "return 1" + "+1" * 3000, "return a" + "..a" * 3000])
def test_long_chains_are_no_nesting(loads, text: str) -> None:
    loads(text)


def test_size_is_bounded() -> None:
    with pytest.raises(SourceError, match="larger than"):
        compile_source("--" + "x" * MAX_SOURCE_BYTES, "x")


def test_type_suffixes_are_bounded() -> None:
    with pytest.raises(SourceError, match="too many '\\['"):
        compile_source("type X = number" + "[]" * 50, "x")
