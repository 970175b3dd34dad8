from __future__ import annotations

import uuid
from typing import Any

DNS = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


async def test_making(lua: Any) -> None:
    source = f"""
        local uuid = require('uuid')
        local made = {{uuid.v1(), uuid.v4(), uuid.v7(), uuid.v3('{DNS}', 'python.org'), uuid.v5('{DNS}', 'python.org')}}
        made[6], made[7], made[8] = uuid.v1(), uuid.v4(), uuid.v7()
        return made
    """
    made = await lua(source, modules=["uuid"])
    assert [uuid.UUID(text).version for text in made] == [1, 4, 7, 3, 5, 1, 4, 7]
    assert len(set(made)) == 8
    assert made[3] == str(uuid.uuid3(uuid.NAMESPACE_DNS, "python.org"))
    assert made[4] == str(uuid.uuid5(uuid.NAMESPACE_DNS, "python.org"))


async def test_same_seed_same_ids(lua: Any) -> None:
    source = "local uuid = require('uuid') return {uuid.v1(), uuid.v4(), uuid.v7()}"
    assert len(set(await lua(source, modules=["uuid"]))) == 3


async def test_inspection(lua: Any) -> None:
    source = f"""
        local uuid = require('uuid')
        local one, seven = uuid.parse(uuid.v1()), uuid.parse(uuid.v7())
        return {{
          uuid.version('{DNS}'), uuid.variant('{DNS}'), uuid.parse('{DNS}').timestamp, #one.node, one.version,
          one.timestamp == os.time(), seven.timestamp == os.time(), seven.node == nil,
          uuid.variant('6ba7b810-9dad-11d1-c0b4-00c04fd430c8'), uuid.variant('6ba7b810-9dad-11d1-e0b4-00c04fd430c8'),
          uuid.variant('6ba7b810-9dad-11d1-00b4-00c04fd430c8'),
          uuid.validate('{DNS}'), uuid.validate('{{{DNS}}}'), uuid.validate('urn:uuid:{DNS}'),
          uuid.validate('{DNS.replace("-", "")}'), uuid.validate('{DNS}x'), uuid.validate(5), uuid.validate(nil),
          uuid.format('{DNS}', 'simple'), uuid.format('{DNS}', 'urn'), uuid.format('{DNS.replace("-", "")}'),
        }}
    """
    assert await lua(source, modules=["uuid"]) == [
        1, "RFC4122", 886630433, 6, 1, True, True, True, "Microsoft", "Future", "Reserved",
        True, True, True, True, False, False, False,
        "6ba7b8109dad11d180b400c04fd430c8", f"urn:uuid:{DNS}", DNS,
    ]  # fmt: skip


async def test_errors(lua: Any) -> None:
    source = f"""
        local uuid = require('uuid')
        local told = {{}}
        local function tell(v, e) told[#told + 1] = v == nil and e:kind() .. ': ' .. tostring(e) end
        tell(uuid.v3('x', 'y'))
        tell(uuid.v5(1, 'y'))
        tell(uuid.version('x'))
        tell(uuid.variant(5))
        tell(uuid.parse('x'))
        tell(uuid.format('{DNS}', 'odd'))
        tell(uuid.format({{}}))
        return told
    """
    assert await lua(source, modules=["uuid"]) == [
        "Invalid: invalid namespace UUID",
        "Invalid: namespace and name must be strings",
        "Invalid: invalid UUID format",
        "Invalid: input must be a string",
        "Invalid: invalid UUID format",
        "Invalid: unsupported format",
        "Invalid: input must be a string",
    ]
