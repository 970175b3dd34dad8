"""What ends a line, and with it a comment, is the same for the front end and for Lua."""

from __future__ import annotations

import pytest
from lupa.lua55 import LuaRuntime

from sandbox.types import SourceError, compile_source


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\n\r", "\r\r"])
def test_code_after_a_comment_is_seen(end: str) -> None:
    # A loop that is taken for a comment has no budget checks: it would stop the node.
    compiled = compile_source(f"-- note{end}while true do end", "app:x")
    assert "while true do" in compiled.lua
    assert compiled.lua.partition("while true do")[2] == compile_source("while true do end", "app:x").lua.partition(
        "while true do"
    )[2]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\n\r"])
def test_long_strings_have_newlines(end: str) -> None:
    compiled = compile_source(f"return [[a{end}b]]", "app:x").lua
    load = LuaRuntime(register_eval=False).eval("function(text) return load(text, 'x', 't')({}, {}) end")
    assert load(compiled) == "a\nb"


def test_a_string_does_not_cross_lines() -> None:
    with pytest.raises(SourceError):
        compile_source("return 'a\rb'", "app:x")
