"""Between an operation and its handler, and what a failure means: permissions, wrong arguments, memory."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from sandbox.vm import LuaMemoryError
from wippy_trio.core.errors import LuaError, PermissionDeniedError

if TYPE_CHECKING:
    from wippy_trio.actors.actor import LuaActor
    from wippy_trio.module import Permission

__all__ = ["check", "is_memory", "is_signature_error", "only_lua_error"]


def check(actor: LuaActor, permission: Permission, values: list[Any]) -> None:
    """Let an operation with these arguments pass.

    Raises:
        PermissionDeniedError: the actor may not.
    """
    resource = permission.resource
    if isinstance(resource, int):
        text = str(values[resource]) if resource < len(values) else ""
    elif isinstance(resource, str):
        text = resource
    else:
        text = resource(*values)
    attributes = permission.attributes(*values) if permission.attributes is not None else {}
    if not actor.allowed(permission.action, text, attributes):
        wording = permission.message or f"not allowed: {permission.action} on {{resource}}"
        raise PermissionDeniedError(wording.format(resource=text))


def is_memory(problem: BaseException) -> bool:
    """Whether the VM's heap, or the process's, was exhausted."""
    return isinstance(problem, (LuaMemoryError, MemoryError)) or "not enough memory" in str(problem)


def is_signature_error(problem: TypeError) -> bool:
    """A call that did not fit the handler's signature: the caller's fault, not ours."""
    frames = traceback.extract_tb(problem.__traceback__)
    return bool(frames) and frames[-1].name in {"_host", "_answer"} and "argument" in str(problem)


def only_lua_error(group: BaseExceptionGroup[BaseException]) -> LuaError | None:
    """The first error for Lua in a group."""
    found: list[LuaError] = []
    for item in group.exceptions:
        if isinstance(item, LuaError):
            found.append(item)
        elif isinstance(item, BaseExceptionGroup):
            inner = only_lua_error(item)
            if inner is not None:
                found.append(inner)
    return found[0] if found else None
