"""Kinds security.policy, security.policy.expr, security.token_store. Source: docs system/security."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError, LuaError, NotFoundError, UnavailableError
from wippy_trio.core.ids import EntryId
from wippy_trio.core.units import duration_s
from wippy_trio.kind import Kind, relative
from wippy_trio.runtime import Runtime
from wippy_trio.security.policy import Evaluator, parse_condition_policy, parse_expression_policy, parse_groups
from wippy_trio.security.scope import Policy, policies_of
from wippy_trio.security.tokens import TokenSettings, TokenStore
from wippy_trio.storage.kv import KeyValueStore
from wippy_trio.system.env import env_of
from wippy_trio.text.expression import compile_expression

__all__ = ["KINDS"]


@contextmanager
def _registered(entry: Entry, runtime: Runtime, policy: Policy, groups: Iterable[EntryId]) -> Iterator[None]:
    registry = policies_of(runtime.extras)
    named = [str(group) for group in groups]
    registry.put(policy, groups)
    runtime.events.publish("security", "policy.register", str(entry.id), {"groups": named})
    try:
        yield
    finally:
        registry.remove(entry.id)
        runtime.events.publish("security", "policy.delete", str(entry.id))


@asynccontextmanager
async def open_policy(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A declarative policy, in force as long as its entry lives."""
    policy = parse_condition_policy(entry.id, entry.data.get("policy"))
    with _registered(entry, runtime, policy, parse_groups(entry.data.get("groups"), entry.id.namespace)):
        yield


@asynccontextmanager
async def open_expression_policy(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """An expression policy, in force as long as its entry lives."""
    policy = parse_expression_policy(entry.id, entry.data.get("policy"), _compile)
    with _registered(entry, runtime, policy, parse_groups(entry.data.get("groups"), entry.id.namespace)):
        yield


def _compile(text: str) -> Evaluator:
    program = compile_expression(text)

    def evaluate(env: Mapping[str, object], /) -> object:
        return program.run(env)

    return evaluate


def check_policy(entry: Entry) -> None:
    """Refuse a malformed declarative policy before anything is opened."""
    parse_condition_policy(entry.id, entry.data.get("policy"))
    parse_groups(entry.data.get("groups"), entry.id.namespace)


def check_expression_policy(entry: Entry) -> None:
    """Refuse a malformed expression policy before anything is opened."""
    parse_expression_policy(entry.id, entry.data.get("policy"), _compile)
    parse_groups(entry.data.get("groups"), entry.id.namespace)


@asynccontextmanager
async def open_token_store(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """Token issuing over a key-value store, which is looked up at each use."""
    if not entry.data.get("store"):
        raise InvalidError("store ID is required")
    store_id = relative(entry, entry.data["store"])
    settings = TokenSettings(
        _length_bytes(entry.data.get("token_length")),
        duration_s(entry.data.get("default_expiration") or "24h"),
        await _key(entry, runtime),
    )

    async def acquire() -> KeyValueStore:
        return _store(runtime, store_id)

    tokens = TokenStore(settings, acquire, policies_of(runtime.extras), runtime.environment)
    with runtime.resources.offer(entry.id, tokens):
        yield


def _length_bytes(value: object) -> int:
    if value is None or value == 0:
        return 32
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidError("token length must be positive")
    return value


async def _key(entry: Entry, runtime: Runtime) -> str:
    """The signing key: `token_key`, or the variable named by the older `token_key_env`, which wins where it is set."""
    data: Mapping[str, Any] = entry.data
    key = data.get("token_key") or ""
    if not isinstance(key, str):
        raise InvalidError("token_key must be a string")
    variable = data.get("token_key_env")
    if variable:
        try:
            return await env_of(runtime.extras).lookup(str(variable), entry.id.namespace) or key
        except NotFoundError:
            runtime.log.warn("token_key_env: variable not found", variable=str(variable), entry=str(entry.id))
    return key


def _store(runtime: Runtime, id: EntryId) -> KeyValueStore:
    try:
        store: Any = runtime.resources.get(id, object, "store")
    except LuaError as error:
        raise UnavailableError(f"failed to acquire backing store: {error}", retryable=False) from error
    if not all(callable(getattr(store, method, None)) for method in ("get", "set", "delete")):
        raise InvalidError(f"resource is not a key-value store: {id}")
    found: KeyValueStore = store
    return found


KINDS = (
    Kind("security.policy", open_policy, check=check_policy),
    Kind("security.policy.expr", open_expression_policy, check=check_expression_policy),
    Kind("security.token_store", open_token_store, references=("store",)),
)
