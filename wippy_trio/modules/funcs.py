"""The `funcs` module: calls of functions. Source: docs lua/core/funcs."""

from __future__ import annotations

from typing import Any

import trio

from sandbox.values import Packed, as_text, pack_list
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


@MODULE.waiting(
    "funcs.call",
    permission=Permission("funcs.call", resource=3, message="not allowed to call function: {resource}"),
    workflow=WorkflowRule.RECORDED,
)
async def call_function(call: Call, executor: Any, actor: Any, scope: Any, target: str, *args: Any) -> Packed:
    """Call and wait; `executor` carries context values and options."""
    id_ = function_id(target)
    frame, fields = derived_frame(call, executor, actor, scope)
    options = fields.get("options") or {}
    result: Packed = await call.runtime.functions.call_packed(id_, pack_list(args), frame, options)
    return result
