"""The frame: what a running piece of code inherits from whoever called it.

An immutable chain: actor and scope (security), context values, call options. A call makes a child; nobody reaches
into a parent. It is not a service locator: organs of the runtime are fields of `Runtime`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, Protocol

import attrs

from wippy_trio.core.ids import EntryId

__all__ = ["EMPTY_FRAME", "TRACE", "Decision", "Frame", "ScopeLike", "SecurityActor", "carried"]

#: Key of a frame's place in a distributed trace among its `extras` (a `TraceContext`). Only a node that traces puts it
#: there, so that a look at `extras` is all that a node costs which does not.
TRACE: Final = "trace"


class Decision(Enum):
    """What a scope says of an action: a deny beats an allow; undefined when no policy speaks."""

    ALLOW = "allow"
    DENY = "deny"
    UNDEFINED = "undefined"


@attrs.frozen(slots=True)
class SecurityActor:
    """Who is acting. `meta` is JSON-like."""

    id: str
    meta: Mapping[str, Any] = attrs.field(factory=dict)


class ScopeLike(Protocol):
    """A set of policies that can judge an action."""

    def evaluate(
        self, actor: SecurityActor, action: str, resource: str, attributes: Mapping[str, Any]
    ) -> Decision: ...


@attrs.frozen(slots=True)
class Frame:
    """What a call or process runs in.

    Attributes:
        entry: the definition that runs (None for the host program).
        pid: text form of the running process's PID, empty for functions called from outside.
        actor, scope: the security context; both None means an unauthenticated, internal caller.
        values: context values by key (`ctx.get`), inherited by calls.
        options: call options (retry, timeouts, ...), merged from the entry's `meta.options` and the call site.
        extras: values that belong to one call and are not inherited (such as the HTTP exchange), by key.
    """

    entry: EntryId | None = None
    pid: str = ""
    actor: SecurityActor | None = None
    scope: ScopeLike | None = None
    values: Mapping[str, Any] = attrs.field(factory=dict)
    options: Mapping[str, Any] = attrs.field(factory=dict)
    extras: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    def child(
        self,
        entry: EntryId,
        *,
        values: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        extras: Mapping[str, Any] | None = None,
        pid: str | None = None,
    ) -> Frame:
        """The frame of something called from here: same identity, `values` merged over the inherited ones."""
        return Frame(
            entry,
            self.pid if pid is None else pid,
            self.actor,
            self.scope,
            {**self.values, **values} if values else self.values,
            options or {},
            extras or {},
        )

    def with_identity(self, actor: SecurityActor | None, scope: ScopeLike | None) -> Frame:
        """The same frame under another security context."""
        return attrs.evolve(self, actor=actor, scope=scope)


EMPTY_FRAME = Frame()
_NOTHING: Mapping[str, Any] = {}


def carried(frame: Frame) -> Mapping[str, Any]:
    """What of a frame's extras goes on to what it starts: its place in the trace, or nothing."""
    found = frame.extras.get(TRACE) if frame.extras else None
    return _NOTHING if found is None else {TRACE: found}
