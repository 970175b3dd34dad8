"""Frames of what a Lua builder (`funcs.new()`, `process.with_context()`, a contract) starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from sandbox.values import Boxed
from wippy_trio.security.boxes import unbox_actor, unbox_scope
from wippy_trio.security.scope import policies_of

if TYPE_CHECKING:
    from wippy_trio.core.frame import Frame
    from wippy_trio.module import Call

__all__ = ["derived_frame"]

_NOTHING: Mapping[str, Any] = {}


def derived_frame(call: Call, builder: object, actor: object, scope: object) -> tuple[Frame, Mapping[str, Any]]:
    """The caller's frame under a builder's context values and identity, and the builder's fields.

    Args:
        call: who asks.
        builder: a `Boxed` whose value has `values` and `options`; anything else means no builder.
        actor, scope: boxed security values, or None to keep the caller's.
    """
    fields: Mapping[str, Any] = builder.value if isinstance(builder, Boxed) else _NOTHING
    frame = call.frame
    values = fields.get("values")
    if values:
        frame = attrs.evolve(frame, values={**frame.values, **values})
    if actor is not None or scope is not None:
        frame = frame.with_identity(
            unbox_actor(actor) if actor is not None else frame.actor,
            unbox_scope(scope, policies_of(call.runtime.extras)) if scope is not None else frame.scope,
        )
    return frame, fields
