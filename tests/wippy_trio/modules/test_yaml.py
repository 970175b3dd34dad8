from __future__ import annotations

from typing import Any

import pytest


async def test_encode(lua: Any) -> None:
    source = """
        local yaml = require('yaml')
        local value = {name = 'x', kind = 'demo', list = {1, {b = 2, a = 'yes'}}, alpha = 1.5, none = {}}
        return {yaml.encode(value), yaml.encode(value, {field_order = {'name', 'kind'}, sort_unordered = true}),
          yaml.encode({}), yaml.encode({'a', 'b'})}
    """
    assert await lua(source, modules=["yaml"]) == [
        'alpha: 1.5\nkind: demo\nlist:\n    - 1\n    - a: "yes"\n      b: 2\nname: x\nnone: {}\n',
        'name: x\nkind: demo\nalpha: 1.5\nlist:\n  - 1\n  - a: "yes"\n    b: 2\nnone: {}\n',
        "{}\n",
        "- a\n- b\n",
    ]


async def test_decode(lua: Any) -> None:
    source = """
        local yaml = require('yaml')
        local v = yaml.decode('a: 1\\nb: [x, 2.5, true, null]\\nc: no\\n---\\nsecond: 1\\n')
        return {v.a, v.b[1], v.b[2], v.b[3], v.c, v.second == nil, yaml.decode('just text'), yaml.decode('7')}
    """
    assert await lua(source, modules=["yaml"]) == [1, "x", 2.5, True, "no", True, "just text", 7]


@pytest.mark.parametrize(
    ("expression", "kind", "text"),
    [
        ("encode(5)", "Invalid", "table expected"),
        ("encode('x')", "Invalid", "table expected"),
        ("encode(errors.new('x'))", "Invalid", "table expected"),
        ("encode(loop)", "Internal", "encode failed"),
        ("decode(5)", "Invalid", "string expected"),
        ("decode('')", "Invalid", "input cannot be empty"),
        ("decode('a: [1')", "Internal", "decode failed: yaml: line"),
    ],
)
async def test_errors(lua: Any, expression: str, kind: str, text: str) -> None:
    source = f"""
        local loop = {{}} loop.loop = loop
        local v, e = require('yaml').{expression}
        return {{v == nil, e:kind(), e:retryable(), tostring(e)}}
    """
    *facts, message = await lua(source, modules=["yaml"])
    assert facts == [True, kind, False]
    assert message.startswith(text)
