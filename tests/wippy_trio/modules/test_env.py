from __future__ import annotations

from pathlib import Path
from typing import Any

from wippy_trio.core.frame import EMPTY_FRAME, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.security.policy import parse_condition_policy
from wippy_trio.security.scope import Scope

MEMORY = """
  - {name: memory, kind: env.storage.memory}
  - {name: constants, kind: env.storage.static, values: {HOST: example}}
  - {name: chain, kind: env.storage.router, storages: [memory, "app:constants"]}
  - {name: host, kind: env.variable, variable: HOST, storage: chain}
  - {name: port, kind: env.variable, variable: PORT, storage: memory, default: "8080"}
  - {name: private, kind: env.variable, storage: memory}
  - {name: fixed, kind: env.variable, variable: FIXED, storage: memory, default: x, readonly: true}
  - {name: plain, kind: env.variable, variable: PLAIN, storage: constants}
"""


async def test_reading_and_writing(lua: Any) -> None:
    source = """
        local env = require('env')
        local before = env.get('HOST')
        return {before, env.get('PORT'), env.set('HOST', 'here'), env.get('HOST'), env.set('app:private', 'p'),
          env.get('app:private'), env.get_all().HOST}
    """
    result = await lua(source, modules=["env"], entries=MEMORY)
    assert result == ["example", "8080", True, "here", True, "p", "here"]


async def test_errors(lua: Any) -> None:
    source = """
        local env = require('env')
        local function told(v, e)
          return tostring(v) .. ' ' .. e:kind() .. ' ' .. tostring(e:retryable()) .. ' ' .. tostring(e)
        end
        return {told(env.get('')), told(env.set('', 'x')), told(env.get('NOPE')), told(env.set('FIXED', '1')),
          told(env.set('PLAIN', '1')), select(2, pcall(env.get)), select(2, pcall(env.set, 'PORT'))}
    """
    assert await lua(source, modules=["env"], entries=MEMORY) == [
        "nil Invalid false empty key",
        "nil Invalid false empty key",
        "nil NotFound false get environment variable failed: environment variable not found",
        "nil PermissionDenied false set environment variable failed: environment variable is read-only",
        "nil PermissionDenied false set environment variable failed: storage is read-only",
        "bad argument #1 to get (string expected, got nil)",
        "bad argument #2 to set (string expected, got nil)",
    ]


async def test_files_are_waited_for(lua: Any, tmp_path: Path) -> None:
    path = tmp_path / "app.env"
    entries = f"""
  - {{name: file, kind: env.storage.file, file_path: "{path}", auto_create: true, file_mode: "0600"}}
  - {{name: token, kind: env.variable, variable: TOKEN, storage: file}}
"""
    source = """
        local env = require('env')
        local missing, e = env.get('TOKEN')
        return {missing == nil, e:kind(), env.set('TOKEN', 'abc'), env.get('TOKEN'), env.get_all().TOKEN}
    """
    result = await lua(source, modules=["env"], entries=entries)
    assert result == [True, "NotFound", True, "abc", "abc"]
    assert path.read_text() == "TOKEN=abc\n"
    assert path.stat().st_mode & 0o777 == 0o600


async def test_only_what_is_permitted_is_seen(lua: Any) -> None:
    block = {"actions": "env.get", "resources": "HOST", "effect": "allow"}
    scope = Scope.of([parse_condition_policy(EntryId("app", "p"), block)])
    source = """
        local env = require('env')
        local _, denied_get = env.get('PORT')
        local _, denied_set = env.set('HOST', 'x')
        local all, names = env.get_all(), {}
        for name in pairs(all) do names[#names + 1] = name end
        return {env.get('HOST'), denied_get:kind(), tostring(denied_get), tostring(denied_set), names}
    """
    limited = EMPTY_FRAME.with_identity(SecurityActor("u"), scope)
    assert await lua(source, modules=["env"], entries=MEMORY, frame=limited) == [
        "example",
        "PermissionDenied",
        "not allowed to access environment variable: PORT",
        "not allowed to set environment variable: HOST",
        ["HOST"],
    ]
