"""Actors, scopes and policies as Lua holds them: immutable values that cross to Python as `Boxed`.

A scope crosses as the ids of its policies and is looked up again on the Python side: Lua code cannot make up a
policy, a policy that was removed is gone from every scope Lua holds, and nothing has to be kept alive for Lua.
Their Lua half is modules/security.lua. Source: ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.values import Boxed, as_text
from wippy_trio.core.errors import InvalidError
from wippy_trio.core.frame import ScopeLike, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.security.scope import Policy, PolicyRegistry, Scope

__all__ = [
    "ACTOR",
    "POLICY",
    "SCOPE",
    "attributes_of",
    "box_actor",
    "box_policy",
    "box_scope",
    "unbox_actor",
    "unbox_scope",
]

#: Class names in Lua.
ACTOR, SCOPE, POLICY = "Actor", "Scope", "Policy"


def box_actor(actor: SecurityActor) -> Boxed:
    """An actor for Lua."""
    return Boxed(ACTOR, {"id": actor.id, "meta": dict(actor.meta)})


def unbox_actor(value: object) -> SecurityActor:
    """The actor Lua handed over (`with_actor`, `store:create`).

    Raises:
        InvalidError: it is none.
    """
    if not isinstance(value, Boxed) or value.class_name != ACTOR:
        raise InvalidError("Actor expected")
    return SecurityActor(as_text(value.value["id"]), attributes_of(value.value.get("meta")))


def box_scope(scope: ScopeLike) -> Boxed:
    """A scope for Lua. One that is no `Scope` (a test's) has no policies to name."""
    policies = scope.policies() if isinstance(scope, Scope) else ()
    return Boxed(SCOPE, [str(policy.id) for policy in policies])


def unbox_scope(value: object, policies: PolicyRegistry) -> Scope:
    """The scope Lua handed over (`with_scope`, `store:create`), of those of its policies that exist now.

    Raises:
        InvalidError: it is none.
    """
    if not isinstance(value, Boxed) or value.class_name != SCOPE:
        raise InvalidError("Scope expected")
    names = value.value if isinstance(value.value, list) else ()  # an empty list arrives as an empty dict
    scope, _ = policies.resolve([EntryId.parse(as_text(name)) for name in names], ())
    return scope


def box_policy(policy: Policy) -> Boxed:
    """A policy for Lua."""
    return Boxed(POLICY, str(policy.id))


def attributes_of(value: object) -> dict[str, Any]:
    """Meta as Lua gives it: the entries of a table whose keys are texts."""
    if not isinstance(value, Mapping):
        return {}
    return {as_text(key): item for key, item in value.items() if isinstance(key, str | bytes)}
