from __future__ import annotations

from typing import Any

import pytest


async def test_round_trip(lua: Any) -> None:
    source = """
        local base64 = require('base64')
        return {base64.encode(''), base64.encode('\\0\\255a'), base64.decode(''), base64.decode('AP9h') == '\\0\\255a',
          base64.decode('aGVs\\nbG8=\\r\\n')}
    """
    assert await lua(source, modules=["base64"]) == ["", "AP9h", "", True, "hello"]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("encode(12)", "string expected"),
        ("decode({})", "string expected"),
        ("decode('!!!')", "decode failed: illegal base64 data at input byte 0"),
        ("decode('aGVsbG8')", "decode failed: illegal base64 data at input byte 4"),
    ],
)
async def test_errors(lua: Any, call: str, text: str) -> None:
    source = f"""
        local v, e = require('base64').{call}
        return {{v == nil, e:kind(), e:retryable(), tostring(e)}}
    """
    assert await lua(source, modules=["base64"]) == [True, "Invalid", False, text]
