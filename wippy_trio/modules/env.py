"""The `env` module: variables of the environment system. Source: docs lua/system/env."""

from __future__ import annotations

from sandbox.values import Multi, as_text
from wippy_trio.core.errors import LuaError
from wippy_trio.module import Call, Module, ModuleClass, Permission
from wippy_trio.system.env import env_of, immediately

__all__ = ["MODULE"]

MODULE = Module("env", classes={ModuleClass.PROCESS, ModuleClass.NONDETERMINISTIC}, prelude="env.lua")

_GET = Permission("env.get", message="not allowed to access environment variable: {resource}")
_SET = Permission("env.set", message="not allowed to set environment variable: {resource}")
#: First result of an immediate operation: it has answered, or the waiting one must be asked.
_DONE, _WAIT = 1, 0


def _namespace(call: Call) -> str:
    return call.frame.entry.namespace if call.frame.entry is not None else ""


def _failed(error: LuaError, what: str) -> LuaError:
    error.context = (f"{what} failed", *error.context)
    return error


@MODULE.waiting("env.get", permission=_GET)
async def get(call: Call, key: object) -> str:
    """The value of a variable."""
    try:
        return await env_of(call.runtime.extras).get(as_text(key), _namespace(call))
    except LuaError as error:
        raise _failed(error, "get environment variable") from None


@MODULE.immediate("env.get_now", permission=_GET)
def get_now(call: Call, key: object) -> Multi:
    """The value of a variable whose storage answers at once, so that no task is needed."""
    if not env_of(call.runtime.extras).immediate(as_text(key), _namespace(call)):
        return Multi(_WAIT)
    return Multi(_DONE, immediately(get(call, key)))


@MODULE.waiting("env.set", permission=_SET)
async def set_value(call: Call, key: object, value: object) -> bool:
    """Keep a value."""
    try:
        await env_of(call.runtime.extras).set(as_text(key), as_text(value), _namespace(call))
    except LuaError as error:
        raise _failed(error, "set environment variable") from None
    return True


@MODULE.immediate("env.set_now", permission=_SET)
def set_now(call: Call, key: object, value: object) -> Multi:
    """Like `env.set`, where the storage answers at once."""
    if not env_of(call.runtime.extras).immediate(as_text(key), _namespace(call)):
        return Multi(_WAIT)
    return Multi(_DONE, immediately(set_value(call, key, value)))


@MODULE.waiting("env.get_all")
async def get_all(call: Call) -> dict[str, str]:
    """Everything the caller may read."""
    values = await env_of(call.runtime.extras).get_all()
    return {name: value for name, value in values.items() if call.allowed("env.get", name)}


@MODULE.immediate("env.get_all_now")
def get_all_now(call: Call) -> Multi:
    """Like `env.get_all`, where all storages answer at once."""
    if not env_of(call.runtime.extras).all_immediate:
        return Multi(_WAIT)
    return Multi(_DONE, immediately(get_all(call)))
