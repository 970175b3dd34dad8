"""Token stores: random tokens that stand for an actor and a scope, kept in a key-value store.

A token is `base64url(random bytes)`, followed by `.` and `base64url(HMAC-SHA256(key, first part))` where the store
has a key. What it stands for never leaves the node. Source: docs system/security, Token Stores.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs

from determinism.seams import Environment
from wippy_trio.core.errors import InternalError, InvalidError, LuaError, NotFoundError
from wippy_trio.core.frame import ScopeLike, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.security.scope import PolicyRegistry, Scope
from wippy_trio.storage.kv import KeyValueStore

__all__ = ["TokenSettings", "TokenStore"]

_MAX_TOKEN_CHARACTERS = 8_192
_MAX_LENGTH_BYTES = 4_096


@attrs.frozen(slots=True)
class TokenSettings:
    """How tokens are made: their random bytes, life in seconds (0 = for good) and signing key (empty = unsigned)."""

    length_bytes: int = 32
    default_expiration_s: float = 24 * 3600.0
    key: str = attrs.field(default="", repr=False)

    def __attrs_post_init__(self) -> None:
        if self.length_bytes <= 0:
            raise InvalidError("token length must be positive")
        if self.length_bytes > _MAX_LENGTH_BYTES:
            raise InvalidError(f"token length must be at most {_MAX_LENGTH_BYTES} bytes")


class TokenStore:
    """Makes, checks and revokes tokens.

    Args:
        settings: length, life and key.
        acquire: gives the key-value store; asked at each use, for the store may be replaced while we live.
        policies: where the policies of a stored scope are looked up again.
        environment: clock and entropy.
    """

    def __init__(
        self,
        settings: TokenSettings,
        acquire: Callable[[], Awaitable[KeyValueStore]],
        policies: PolicyRegistry,
        environment: Environment,
    ) -> None:
        self._settings = settings
        self._acquire = acquire
        self._policies = policies
        self._environment = environment

    async def create(
        self,
        actor: SecurityActor,
        scope: ScopeLike | None,
        *,
        expiration_s: float = 0.0,
        meta: Mapping[str, Any] | None = None,
    ) -> str:
        """A new token for `actor` and `scope`.

        Args:
            actor: kept whole.
            scope: kept as the ids of its policies; a scope that is no `Scope` keeps none.
            expiration_s: life in seconds; 0 takes the store's default, less than 0 is for good.
            meta: kept with the token, for whoever reads the store.

        Raises:
            InternalError: the store failed.
        """
        store = await self._acquire()
        base = base64.urlsafe_b64encode(self._environment.entropy.random_bytes(self._settings.length_bytes)).decode()
        life_s = expiration_s or self._settings.default_expiration_s
        now_ns = self._environment.clock.wall_ns()
        record: dict[str, Any] = {
            "actor_id": actor.id,
            "actor_meta": dict(actor.meta),
            "scope_policies": [str(policy.id) for policy in scope.policies()] if isinstance(scope, Scope) else [],
            "created": _rfc3339(now_ns),
        }
        if life_s > 0:
            record["expires"] = _rfc3339(now_ns + int(life_s * 1e9))
        if meta:
            record["meta"] = dict(meta)
        try:
            await store.set(base, record, max(life_s, 0.0))
        except LuaError as error:
            raise InternalError(f"failed to store token: {error}", retryable=False) from error
        return f"{base}.{self._signature(base)}" if self._settings.key else base

    async def validate(self, token: str) -> tuple[SecurityActor, Scope]:
        """The actor and scope of a token. The scope holds those of its policies that still exist.

        Raises:
            InvalidError: malformed, or the signature is wrong.
            NotFoundError: unknown, expired or revoked.
            InternalError: the store failed or holds something else.
        """
        base = self._base(token, verify=True)
        store = await self._acquire()
        try:
            record = await store.get(base)
        except NotFoundError:
            raise NotFoundError("token not found") from None
        except LuaError as error:
            raise InternalError(f"failed to retrieve token: {error}", retryable=False) from error
        if not isinstance(record, Mapping) or not isinstance(record.get("actor_id"), str):
            raise InternalError("failed to unmarshal token data", retryable=False)
        if self._expired(record):
            raise NotFoundError("token not found")
        ids = [EntryId.parse(text) for text in record.get("scope_policies") or () if isinstance(text, str) and text]
        scope, _ = self._policies.resolve(ids, ())
        meta = record.get("actor_meta")
        return SecurityActor(record["actor_id"], dict(meta) if isinstance(meta, Mapping) else {}), scope

    async def revoke(self, token: str) -> None:
        """End a token's life.

        Raises:
            InvalidError: malformed. The signature itself is not checked: whoever holds the random part could use
                it no further than to end it.
            NotFoundError: unknown, expired or revoked already.
            InternalError: the store failed.
        """
        base = self._base(token, verify=False)
        store = await self._acquire()
        try:
            found = await store.delete(base)
        except LuaError as error:
            raise InternalError(f"failed to delete token: {error}", retryable=False) from error
        if not found:
            raise NotFoundError("token not found")

    def _base(self, token: str, *, verify: bool) -> str:
        """The stored part of a token."""
        if not token or len(token) > _MAX_TOKEN_CHARACTERS:
            raise InvalidError("invalid token format")
        if not self._settings.key:
            return token
        base, dot, signature = token.partition(".")
        if verify:
            expected = self._signature(base).encode()
            if not dot or not hmac.compare_digest(expected, signature.encode("utf-8", "surrogatepass")):
                raise InvalidError("invalid token format")
        return base

    def _signature(self, base: str) -> str:
        key, message = self._settings.key.encode(), base.encode("utf-8", "surrogatepass")
        return base64.urlsafe_b64encode(hmac.digest(key, message, hashlib.sha256)).decode()

    def _expired(self, record: Mapping[str, Any]) -> bool:
        """A store may keep a record a little beyond its time; the token's own date settles it."""
        expires = record.get("expires")
        if not isinstance(expires, str):
            return False
        now = _rfc3339(self._environment.clock.wall_ns())
        return now >= expires  # one fixed form, so that texts order as times do


def _rfc3339(wall_ns: int) -> str:
    seconds, rest_ns = divmod(wall_ns, 1_000_000_000)
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest_ns:09d}Z"
