"""Contexts and destinations as Lua's builders give them. Source: docs temporal/workflows (Context Propagation)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.values import Boxed, as_text
from wippy_trio.core.errors import InvalidError
from wippy_trio.core.frame import Frame, SecurityActor
from wippy_trio.core.ids import EntryId, Pid
from wippy_trio.security.scope import Scope, policies_of
from wippy_trio.workflows.wire import Context

__all__ = ["context_of", "frame_context", "frame_of", "target_of"]


def frame_context(frame: Frame) -> Context:
    """What a workflow started from `frame` inherits."""
    actor = None if frame.actor is None else {"id": frame.actor.id, "meta": dict(frame.actor.meta)}
    policies = None
    if isinstance(frame.scope, Scope):
        policies = sorted(str(policy.id) for policy in frame.scope.policies())
    return Context(frame.values, actor, policies)


def frame_of(context: Context, extras: dict[str, Any], entry: EntryId | None = None, pid: str = "") -> Frame:
    """The frame of code that inherits a context. Policies that are gone are gone from its scope."""
    actor = scope = None
    if context.actor is not None:
        meta = context.actor.get("meta")
        actor = SecurityActor(str(context.actor.get("id") or ""), meta if isinstance(meta, Mapping) else {})
    if context.policies is not None:
        scope = policies_of(extras).resolve([EntryId.parse(id) for id in context.policies], ())[0]
    return Frame(entry, pid, actor, scope, context.values)


def context_of(frame: Frame, values: Any, actor: Any, scope: Any) -> Context | None:
    """The frame's context under a builder's values and identity; None when the builder changes nothing."""
    if not values and actor is None and scope is None:
        return None
    base = frame_context(frame)
    merged = {**base.values, **values} if isinstance(values, Mapping) else base.values
    who, policies = base.actor, base.policies
    if isinstance(actor, Boxed):
        who = {"id": as_text(actor.value["id"]), "meta": actor.value.get("meta") or {}}
    if isinstance(scope, Boxed):
        names = scope.value if isinstance(scope.value, list) else []
        policies = tuple(sorted(as_text(name) for name in names))
    return Context(merged, who, policies)


def target_of(destination: str) -> tuple[str, Pid | None]:
    """A destination's canonical text, and its parts where it is a PID; the braces of a PID may be missing."""
    text = destination
    if "|" in text and not text.startswith("{"):
        text = f"{{{text}}}"
    if not text.startswith("{"):
        return destination, None
    try:
        return text, Pid.parse(text)
    except InvalidError:
        return destination, None
