from __future__ import annotations

from typing import Any

import pytest


async def test_encode(lua: Any) -> None:
    source = r"""
        local json = require('json')
        local time = require('time')
        return {
          json.encode(nil), json.encode({}), json.encode({1, 'a', true}), json.encode({b = 1, a = {x = 2}}),
          json.encode({5.0, 2.5, 1e15, 0.0000001, 1/0, 0/0}), json.encode('<a&b>'), json.encode({[true] = 1, [-1] = 2}),
          json.encode({math.mininteger, math.maxinteger}), json.encode('\255'), json.encode({e = errors.new('oops')}),
          json.encode({f = print, n = 1}), json.encode({[1] = 'a', [2] = 'b'}), json.encode('é\n"'),
          json.encode(time.utc),
        }
    """
    assert await lua(source, modules=["json", "time"]) == [
        "null", "[]", '[1,"a",true]', '{"a":{"x":2},"b":1}',
        "[5,2.5,1000000000000000,0.0000001,null,null]", '"\\u003ca\\u0026b\\u003e"', '{"-1":2,"true":1}',
        "[-9223372036854775808,9223372036854775807]", '"\ufffd"', '{"e":"oops"}', '{"n":1}', '["a","b"]',
        '"é\\n\\""', "null",
    ]  # fmt: skip


async def test_decode(lua: Any) -> None:
    source = r"""
        local json = require('json')
        local v = json.decode('{"a":[1,2.5,null,"é"],"big":9007199254740993,"huge":1e30,"n":null,"f":2.0}')
        local two, problem = json.decode('null')
        return {v.a[1], v.a[2], v.a[3] == nil, v.a[4], v.big, v.huge, v.n == nil, math.type and true, v.f,
          two == nil and problem == nil}
    """
    assert await lua(source, modules=["json"]) == [1, 2.5, True, "é", 9007199254740993, 1e30, True, True, 2, True]


@pytest.mark.parametrize(
    ("expression", "kind", "text"),
    [
        ("encode({1, 2, x = 3})", "Internal", "mixed-key table"),
        ("encode({[1] = 1, [3] = 3})", "Internal", "sparse array"),
        ("encode(loop)", "Internal", "recursively nested"),
        ("encode(deep)", "Internal", "nest"),
        ("decode('')", "Invalid", "empty string is not valid JSON"),
        ("decode(5)", "Invalid", "string expected"),
        ("decode('nope')", "Internal", "decode failed"),
        ("decode('[1')", "Internal", "decode failed"),
        ("decode(('['):rep(200) .. (']'):rep(200))", "Internal", "depth"),
    ],
)
async def test_errors(lua: Any, expression: str, kind: str, text: str) -> None:
    source = f"""
        local json = require('json')
        local loop = {{}} loop.loop = loop
        local deep = {{}} for _ = 1, 200 do deep = {{deep}} end
        local v, e = json.{expression}
        return {{v == nil, e:kind(), e:retryable(), tostring(e)}}
    """
    *facts, message = await lua(source, modules=["json"])
    assert facts == [True, kind, False]
    assert text in message


TYPES = "null, boolean, object, array, string, number, integer"


async def test_validate(lua: Any) -> None:
    source = """
        local json = require('json')
        local schema = {type = 'object', properties = {name = {type = 'string', minLength = 1},
          tags = {type = 'array', items = {type = 'string'}}}, required = {'name'}}
        local told = {}
        local function tell(ok, e) told[#told + 1] = ok or e:kind() .. ': ' .. tostring(e) end
        tell(json.validate(schema, {name = 'a', tags = {'x'}}))
        tell(json.validate(schema, {name = ''}))
        tell(json.validate(schema, {}))
        tell(json.validate('{"type":"number","minimum":0}', -1))
        tell(json.validate(nil, 1))
        tell(json.validate(schema, nil))
        tell(json.validate({type = 'odd'}, 1))
        tell(json.validate(5, 1))
        tell(json.validate_string(schema, '{"name":"a"}'))
        tell(json.validate_string(schema, '{"name":5}'))
        tell(json.validate_string(schema, '{'))
        tell(json.validate_string(schema, 5))
        return told
    """
    told = await lua(source, modules=["json"])
    assert told[:9] == [
        True,
        "Invalid: validation failed: /name: 0 characters, expected at least 1",
        "Invalid: validation failed: /: required property name is missing",
        "Invalid: validation failed: /: -1 is less than 0",
        "Invalid: schema is required",
        "Invalid: data is required",
        f"Invalid: compile schema: schema at /: type must be one of {TYPES}",
        "Invalid: schema error: schema must be a string or table",
        True,
    ]
    assert told[9] == "Invalid: validation failed: /name: value is number but should be string" or "integer" in told[9]
    assert told[10].startswith("Invalid: validation failed: invalid JSON")
    assert told[11] == "Invalid: data must be a JSON string"
