"""As whom a service acts: the `lifecycle.security` block of an entry. Source: docs guides/supervision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from wippy_trio.actors.restart import Lifecycle
from wippy_trio.core.entry import Entry
from wippy_trio.core.frame import Frame, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.security.scope import policies_of

if TYPE_CHECKING:
    from wippy_trio.runtime import Runtime

__all__ = ["service_frame"]


def service_frame(entry: Entry, runtime: Runtime) -> Frame:
    """The frame of the entry's processes: its actor and scope, or nobody's."""
    security: object = Lifecycle.parse(entry).security
    if not isinstance(security, Mapping):
        return Frame()
    actor = security.get("actor")
    if not isinstance(actor, Mapping) or not actor.get("id"):
        return Frame()
    space = entry.id.namespace
    policies = [EntryId.parse(str(item), space) for item in security.get("policies") or ()]
    groups = [EntryId.parse(str(item), space) for item in security.get("groups") or ()]
    scope, _ = policies_of(runtime.extras).resolve(policies, groups)
    return Frame(actor=SecurityActor(str(actor["id"]), actor.get("meta") or {}), scope=scope)
