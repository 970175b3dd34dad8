"""The typed-Lua front end: source text of the Wippy dialect in, plain Lua 5.5 text and a syntax tree out.

    compiled = compile_source(text, "app:worker")
    compiled.lua   # load(lua, "@app:worker", "t"), then call it as f(env, rt)

Source: docs page lua/types; docs/internals/front-end.md tells what is emitted.
"""

from __future__ import annotations

import re

from sandbox.types.erase import erase
from sandbox.types.lex import MAX_SOURCE_BYTES, SourceError
from sandbox.types.model import Chunk, CompiledSource
from sandbox.types.parse import parse

__all__ = ["MAX_SOURCE_BYTES", "Chunk", "CompiledSource", "SourceError", "compile_source", "parse"]

#: To Lua a carriage return ends a line, and with it a comment, as a newline does. It must to us, too, or what follows
#: would run without having been seen: without budget checks.
_RETURN = re.compile(r"(?<!\n)\r(?!\n)")


def compile_source(source: str, chunk: str) -> CompiledSource:
    """Parse a source and emit it.

    Args:
        source: the program; bytes that are not UTF-8 may come as surrogate escapes and leave as such.
        chunk: its name in errors and tracebacks.

    Raises:
        SourceError: the source is not a program of the dialect, nests too deeply, or is too large.
    """
    tree = parse(_RETURN.sub("\n", source), chunk)
    return CompiledSource(erase(tree), tree, tuple(declared.name for declared in tree.body.types))
