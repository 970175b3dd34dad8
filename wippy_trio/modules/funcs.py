"""The `funcs` module: calls of functions. Source: docs lua/core/funcs."""

from __future__ import annotations

from typing import Any

import trio

from sandbox.values import Packed, as_bytes, as_text
from wippy_trio.actors.actor import LuaActor
from wippy_trio.core.errors import InvalidError
from wippy_trio.core.units import parse_duration_s
from wippy_trio.functions.frames import derived_frame
from wippy_trio.functions.pools import function_id
from wippy_trio.module import Call, Module, ModuleClass, Permission, WorkflowRule

__all__ = ["MODULE"]

MODULE = Module("funcs", classes={ModuleClass.WORKFLOW, ModuleClass.NONDETERMINISTIC}, prelude="funcs.lua")


@MODULE.immediate("funcs.check")
def check(call: Call, action: str, resource: str) -> bool:
    """A permission asked for by a builder or before an asynchronous call."""
    call.require(action, resource)
    return True


@MODULE.waiting("funcs.sleep", workflow=WorkflowRule.RECORDED)
async def sleep(call: Call, duration: Any) -> bool:
    """The timeout of `future:await`: a duration text, or milliseconds."""
    del call
    if isinstance(duration, (int, float)):
        await trio.sleep(duration / 1000)
        return True
    try:
        seconds = parse_duration_s(as_text(duration))
    except ValueError as problem:
        message = f"invalid timeout: {problem}"
        raise InvalidError(message) from problem
    await trio.sleep(seconds)
    return True


# Calls inside the caller's VM (sandbox/prelude/calls.lua) ask for little: each of these answers at once.
@MODULE.raw("funcs.open")
def open_inside(call: LuaActor, target: bytes) -> object:
    """Workers of a function for the caller's VM: what `Grant.terms` says, or False when its calls go through here."""
    functions = call.runtime.functions
    return functions.open_inside(call.shard, function_id(target.decode()))


@MODULE.raw("funcs.reserve")
def reserve(call: LuaActor, grant: int) -> bool:
    """One more worker under a grant."""
    return bool(call.shard.grants[grant].reserve())


@MODULE.raw("funcs.permit")
def permit(call: LuaActor, target: bytes) -> bool:
    """Whether the caller may call the function; a refusal is worded by `funcs.call`."""
    return call.allowed("funcs.call", target.decode())


@MODULE.raw("funcs.bind")
def bind(call: LuaActor, worker: int, command: int, grant: int) -> bytes:
    """A call inside the VM asks for something of the host: it gets a PID and the caller's frame."""
    return bytes(call.shard.grants[grant].bind(call, worker, command))


def begin_call(call: LuaActor, command: int, values: list[Any]) -> bool:
    """The short way: no builder, no options, a free worker. The call needs no task of its own (`Operation.begin`)."""
    executor, actor, scope, target, args = values
    if executor is not False or actor is not None or scope is not None:
        return False
    started: bool = call.runtime.functions.begin(function_id(target), as_bytes(args), call, command)
    return started


@MODULE.waiting(
    "funcs.call",
    permission=Permission("funcs.call", resource=3, message="not allowed to call function: {resource}"),
    workflow=WorkflowRule.RECORDED,
    begin=begin_call,
)
async def call_function(call: Call, executor: Any, actor: Any, scope: Any, target: str, args: str | bytes) -> Packed:
    """Call and wait; `executor` carries context values and options, `args` is the encoded list of arguments."""
    id_ = function_id(target)
    frame, fields = derived_frame(call, executor, actor, scope)
    options = fields.get("options") or {}
    result: Packed = await call.runtime.functions.call_packed(id_, as_bytes(args), frame, options)
    return result
