"""Random programs: a typed source and its plain twin give the same result, line for line."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.types import SourceError, compile_source

NAMES = ("a", "b", "c")
TYPES = ("number", "string?", "{[string]: {number}}", "(number, ...any) -> (string, A?)", "'x' | 2 | nil",
         "A.B<C, D[]>", "typeof(a)", "number @min(0) @max(9)", "{x: A, y?: B}", "readonly {A}", "A & B")  # fmt: skip


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> tuple[str, ...]:
    """(typed, plain) texts of an expression that never fails: numbers and strings of digits."""
    kind = draw(st.integers(0, 9 if depth else 1))
    if kind == 0:
        text = str(draw(st.integers(0, 99)))
        return text, text
    if kind == 1:
        text = draw(st.sampled_from(NAMES))
        return text, text
    one, two = draw(expressions(depth - 1)), draw(expressions(depth - 1))
    if kind == 2:
        mark = draw(st.sampled_from([" :: ", " as "])) + draw(st.sampled_from(TYPES))
        return f"({one[0]}{mark})", f"({one[1]})"
    if kind == 3:
        return f"({one[0]})!", f"({one[1]})"
    if kind in {4, 5}:
        line = draw(st.sampled_from([" ", "\n", " -- note\n"]))
        return tuple(f"#({x} ..{line}'|' .. {y} .. 'z')" for x, y in zip(one, two, strict=True))
    if kind == 6:
        op = draw(st.sampled_from(["+", "*", "-", "and", "or"]))
        return tuple(f"({x} {op} {y})" for x, y in zip(one, two, strict=True))
    if kind == 7:
        return tuple(f"({x} < {y} and 1 or 2)" for x, y in zip(one, two, strict=True))
    if kind == 8:
        typed = draw(st.sampled_from(TYPES))
        heads = (f"(x: {typed}, ...): {typed}", "(x, ...)")
        return tuple(f"(function{h} return x end)({x})" for h, x in zip(heads, one, strict=True))
    return tuple(f"({{{x}, k = {y}}}).k" for x, y in zip(one, two, strict=True))


@st.composite
def statements(draw: st.DrawFn, depth: int = 2) -> tuple[str, ...]:
    kind = draw(st.integers(0, 9 if depth else 3))
    name = draw(st.sampled_from(NAMES))
    one = draw(expressions())
    gap = draw(st.sampled_from(["\n", ";", "\n\n"]))
    if kind <= 1:
        return f"{name} = {one[0]}{gap}", f"{name} = {one[1]}{gap}"
    if kind == 2:
        typed = draw(st.sampled_from(TYPES))
        return f"local {name}: {typed} = {one[0]}{gap}", f"local {name} = {one[1]}{gap}"
    if kind == 3:
        return f"note({one[0]} .. '')\n", f"note({one[1]} .. '')\n"
    body = draw(blocks(depth - 1))
    if kind == 4:
        return tuple(f"if {x} > 9 then\n{y}else {y}end\n" for x, y in zip(one, body, strict=True))
    if kind == 5:
        return tuple(f"for i = 1, 3 do\n{y}end\n" for y in body)
    if kind == 6:
        marks = (": number", "")
        return tuple(f"for _, {name}{m} in ipairs({{1, 2}}) do {y}end\n" for m, y in zip(marks, body, strict=True))
    if kind == 7:
        return tuple(f"do local n = 0 while n < 2 do n = n + 1\n{y}end end\n" for y in body)
    if kind == 8:
        heads = (f"<T>({name}: T): T?", f"({name})")
        return tuple(f"local function f{h} {y}return {name} end\nf(1)\n" for h, y in zip(heads, body, strict=True))
    head = f"do local n = 0 repeat n = n + 1 if n == 2 then goto on{depth} end\n"
    return tuple(f"{head}do {y}end ::on{depth}:: until n > 1 end\n" for y in body)


@st.composite
def blocks(draw: st.DrawFn, depth: int = 2) -> tuple[str, ...]:
    parts = draw(st.lists(statements(depth), max_size=4))
    return "".join(part[0] for part in parts), "".join(part[1] for part in parts)


HEAD = "local a, b, c = 1, 2, 3 local log = {} local function note(x) log[#log + 1] = x end\n"
TAIL = "return table.concat(log, ' '), a .. '', b .. '', c .. ''"


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(block=blocks())
def test_typed_programs_do_what_their_plain_twins_do(lua, block: tuple[str, ...]) -> None:
    typed, plain = HEAD + block[0] + TAIL, HEAD + block[1] + TAIL
    compiled = compile_source(typed, "test")
    assert compiled.lua.count("\n") == typed.count("\n")
    expected = lua.plain(plain)
    assert lua.run(typed) == tuple(item.decode() for item in expected)


TOKENS = [
    *("if", "then", "end", "function", "(", ")", "{", "}", "local", "x", "=", ":", "::", "number", "<", ">", ",", ".."),
    *("...", "1", "'s'", "type", "interface", "return", "for", "in", "do", "|", "&", "?", "->", "@min", "as", "!"),
    *("\n", "[", "]", "goto", "while", "repeat", "until", "not", "-", "typeof", "keyof", "extends", "fun"),
]


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(tokens=st.lists(st.sampled_from(TOKENS), max_size=25))
def test_any_text_compiles_or_is_a_source_error(lua, tokens: list[str]) -> None:
    source = " ".join(tokens)
    try:
        compiled = compile_source(source, "test")
    except SourceError as error:
        problem = error
    else:
        lua.rt[b"load"](compiled.lua.encode(), b"@test")
        return
    assert problem.line_text == source.split("\n")[problem.line - 1]
    assert 1 <= problem.column <= len(problem.line_text) + 1
