"""The `security` module: actors, scopes, policies, token stores. Source: docs lua/security/security."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from sandbox.values import Boxed, Handle, Multi, as_text
from wippy_trio.core.errors import InternalError, InvalidError, LuaError, NotFoundError, PermissionDeniedError, Raised
from wippy_trio.core.frame import Decision, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.core.units import parse_duration_s
from wippy_trio.module import Call, Module, ModuleClass
from wippy_trio.security.boxes import (
    attributes_of,
    box_actor,
    box_policy,
    box_scope,
    unbox_actor,
    unbox_scope,
)
from wippy_trio.security.scope import Access, policies_of
from wippy_trio.security.tokens import TokenStore

__all__ = ["MODULE"]

MODULE = Module("security", classes={ModuleClass.SECURITY, ModuleClass.NONDETERMINISTIC}, prelude="security.lua")

_DAYS = re.compile(r"([0-9]+(?:\.[0-9]+)?)d(.*)", re.ASCII)


class _OpenStore:
    """A token store as one actor holds it, with the name its permissions are checked for."""

    __slots__ = ("id", "store")

    def __init__(self, id: EntryId, store: TokenStore) -> None:
        self.id = id
        self.store = store


def _denied(call: Call, action: str, resource: str, attributes: Mapping[str, object] | None = None) -> bool:
    return not call.allowed(action, resource, attributes)


def _wrapped(error: LuaError, context: str) -> InternalError:
    """The reference gives every failure of this module the kind INTERNAL and a word on what was tried."""
    return InternalError(str(error), retryable=False, context=(context,), details=error.details)


def _id(text: object) -> EntryId:
    try:
        return EntryId.parse(as_text(text))
    except LuaError:
        return EntryId("", "")  # names nothing


@MODULE.immediate("security.actor")
def actor(call: Call) -> Boxed | None:
    """The actor of the running code."""
    return None if call.frame.actor is None else box_actor(call.frame.actor)


@MODULE.immediate("security.scope")
def scope(call: Call) -> Boxed | None:
    """The scope of the running code."""
    return None if call.frame.scope is None else box_scope(call.frame.scope)


@MODULE.immediate("security.can")
def can(call: Call, action: object, resource: object, meta: object = None) -> bool:
    """Whether the running code's actor and scope allow it; no without either."""
    return Access.can(call.frame, as_text(action), as_text(resource), attributes_of(meta))


@MODULE.immediate("security.new_actor")
def new_actor(call: Call, id: object, meta: object = None) -> Boxed:
    """A new actor."""
    name = as_text(id)
    if _denied(call, "security.actor.create", name):
        raise Raised(f"not allowed to create actor with ID: {name}", kind=PermissionDeniedError.kind, retryable=False)
    return box_actor(SecurityActor(name, attributes_of(meta)))


@MODULE.immediate("security.scope.create")
def scope_create(call: Call, how: str) -> bool:
    """The permission to make a scope: `custom`, `with` or `without`."""
    if _denied(call, "security.scope.create", how):
        what = {"custom": "create custom scopes", "with": "add policy to scope"}.get(how, "remove policy from scope")
        raise Raised(f"not allowed to {what}", kind=PermissionDeniedError.kind, retryable=False)
    return True


@MODULE.immediate("security.policy")
def policy(call: Call, id: object) -> Boxed:
    """A policy of the registry."""
    if _denied(call, "security.policy.get", as_text(id)):
        raise InvalidError("permission denied: access policy")
    try:
        return box_policy(policies_of(call.runtime.extras).policy(_id(id)))
    except NotFoundError as error:
        raise _wrapped(error, "get policy") from error


@MODULE.immediate("security.named_scope")
def named_scope(call: Call, id: object) -> Boxed:
    """A policy group as a scope."""
    if _denied(call, "security.policy_group.get", as_text(id)):
        raise InvalidError("permission denied: access policy group")
    try:
        return box_scope(policies_of(call.runtime.extras).group(_id(id)))
    except NotFoundError as error:
        raise _wrapped(error, "get policy group") from error


@MODULE.immediate("security.scope.evaluate")
def scope_evaluate(call: Call, judged: Boxed, who: Boxed, action: object, resource: object, meta: object = None) -> str:
    """What a scope says."""
    held = unbox_scope(judged, policies_of(call.runtime.extras))
    return held.evaluate(unbox_actor(who), as_text(action), as_text(resource), attributes_of(meta)).value


@MODULE.immediate("security.policy.evaluate")
def policy_evaluate(call: Call, id: object, who: Boxed, action: object, resource: object, meta: object = None) -> str:
    """What a policy says; undefined for one that is gone."""
    try:
        held = policies_of(call.runtime.extras).policy(_id(id))
    except NotFoundError:
        return Decision.UNDEFINED.value
    return held.evaluate(unbox_actor(who), as_text(action), as_text(resource), attributes_of(meta)).value


# -------------------------------------------------------------------------------------------------- token stores


@MODULE.immediate("security.token_store")
def token_store(call: Call, id: object) -> Handle:
    """A token store; closed with the call or process."""
    name = as_text(id)
    if _denied(call, "security.token_store.get", name):
        raise Raised(f"not allowed to access token store: {name}", kind=PermissionDeniedError.kind, retryable=False)
    try:
        store = call.runtime.resources.get(_id(id), TokenStore, "token store")
    except NotFoundError as error:
        raise _wrapped(error, "acquire token store") from error
    return call.handle("TokenStore", _OpenStore(_id(id), store))


@MODULE.immediate("security.token_store.close")
def token_store_close(call: Call, held: _OpenStore) -> bool:
    """Give the store back."""
    call.drop(held)
    return True


@MODULE.waiting("security.token.create")
async def token_create(call: Call, held: _OpenStore, who: Boxed, judged: Boxed, options: object = None) -> str:
    """A new token for an actor and a scope."""
    acting = unbox_actor(who)
    if _denied(call, "security.token.create", str(held.id), {"actor": acting.id}):
        raise InvalidError("not allowed to create token")
    given = options if isinstance(options, Mapping) else {}
    expiration_s = _expiration_s(given.get("expiration"))
    try:
        return await held.store.create(
            acting,
            unbox_scope(judged, policies_of(call.runtime.extras)),
            expiration_s=expiration_s,
            meta=attributes_of(given.get("meta")),
        )
    except LuaError as error:
        raise _wrapped(error, "create token") from error


def _expiration_s(value: object) -> float:
    """A duration text (`24h`, also `7d` as the docs write it) or milliseconds; 0 where nothing is given."""
    seconds = 0.0
    if isinstance(value, bool):
        pass  # ignored, like every other type
    elif isinstance(value, int | float):
        seconds = value / 1000
    elif isinstance(value, str | bytes):
        text = as_text(value)
        days = _DAYS.fullmatch(text)
        try:
            if days is not None:
                seconds = float(days[1]) * 86_400 + (parse_duration_s(days[2]) if days[2] else 0.0)
            else:
                seconds = parse_duration_s(text)
        except InvalidError:
            raise InvalidError("invalid expiration format") from None
    # The reference would make a token without end of a negative time.
    if seconds < 0 or not math.isfinite(seconds):
        raise InvalidError("invalid expiration format")
    return seconds


@MODULE.waiting("security.token.validate")
async def token_validate(call: Call, held: _OpenStore, token: object) -> Multi:
    """Actor and scope of a token."""
    text = as_text(token)
    if _denied(call, "security.token.validate", str(held.id), {"token": text}):
        raise InvalidError("not allowed to validate token")
    try:
        found, granted = await held.store.validate(text)
    except LuaError as error:
        raise _wrapped(error, "validate token") from error
    return Multi(box_actor(found), box_scope(granted))


@MODULE.waiting("security.token.revoke")
async def token_revoke(call: Call, held: _OpenStore, token: object) -> bool:
    """End a token's life."""
    text = as_text(token)
    if _denied(call, "security.token.revoke", str(held.id), {"token": text}):
        raise InvalidError("not allowed to revoke token")
    try:
        await held.store.revoke(text)
    except LuaError as error:
        raise _wrapped(error, "revoke token") from error
    return True
