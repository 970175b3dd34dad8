from __future__ import annotations

from dataclasses import replace
from typing import Any

import attrs
import pytest
import trio

from determinism.system import system_environment
from wippy_trio.core.errors import InternalError, InvalidError, LuaError, NotFoundError, UnavailableError
from wippy_trio.core.frame import SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.security.policy import parse_condition_policy
from wippy_trio.security.scope import PolicyRegistry, Scope
from wippy_trio.security.tokens import TokenSettings, TokenStore
from wippy_trio.storage.kv import MemoryStore

ACTOR = SecurityActor("user:1", {"role": "admin"})
RULE = parse_condition_policy(EntryId("app", "rule"), {"actions": "*", "resources": "*", "effect": "allow"})


class FakeStore(MemoryStore):
    """A store in memory that shows what it was given, and fails on demand."""

    def __init__(self) -> None:
        super().__init__(FakeClock())
        self.given: dict[str, tuple[Any, float]] = {}
        self.broken = False

    async def get(self, key: str) -> Any:
        await self._check()
        return await super().get(key)

    async def set(self, key: str, value: Any, ttl_s: float = 0.0) -> None:
        await self._check()
        self.given[key] = (value, ttl_s)
        await super().set(key, value, ttl_s)

    async def delete(self, key: str) -> bool:
        await self._check()
        return await super().delete(key)

    async def _check(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.broken:
            raise UnavailableError("gone")


class FakeClock:
    now_ns = 1_700_000_000_000_000_000

    def wall_ns(self) -> int:
        return self.now_ns

    def monotonic_s(self) -> float:
        return self.now_ns / 1e9

    def cpu_s(self) -> float:
        return 0.0

    def zone(self) -> str:
        return "UTC"


class FakeEntropy:
    """Counts, so that every token is known."""

    def __init__(self) -> None:
        self.draws = 0

    def random_bytes(self, count: int) -> bytes:
        self.draws += 1
        return bytes([self.draws]) * count

    def random(self) -> float:
        return 0.5

    def below(self, bound: int) -> int:
        return 0

    def fork(self, label: str) -> FakeEntropy:
        return self


@attrs.define
class World:
    store: FakeStore
    clock: FakeClock
    policies: PolicyRegistry

    def tokens(self, key: str = "", **settings: float) -> TokenStore:
        environment = replace(system_environment(), clock=self.clock, entropy=FakeEntropy())

        async def acquire() -> FakeStore:
            return self.store

        return TokenStore(TokenSettings(key=key, **settings), acquire, self.policies, environment)  # type: ignore[arg-type]


@pytest.fixture
def world() -> World:
    policies = PolicyRegistry()
    policies.put(RULE)
    return World(FakeStore(), FakeClock(), policies)


async def test_a_token_gives_back_actor_and_scope(world: World) -> None:
    tokens = world.tokens()
    token = await tokens.create(ACTOR, Scope.of([RULE]), meta={"device": "x"})
    assert token == "AQEB" * 10 + "AQE="
    assert await tokens.validate(token) == (ACTOR, Scope.of([RULE]))
    record, ttl_s = world.store.given[token]
    assert ttl_s == 24 * 3600.0
    assert record == {
        "actor_id": "user:1",
        "actor_meta": {"role": "admin"},
        "scope_policies": ["app:rule"],
        "created": "2023-11-14T22:13:20.000000000Z",
        "expires": "2023-11-15T22:13:20.000000000Z",
        "meta": {"device": "x"},
    }


async def test_policies_that_are_gone_are_left_out(world: World) -> None:
    tokens = world.tokens()
    token = await tokens.create(ACTOR, Scope.of([RULE]))
    world.policies.remove(RULE.id)
    assert await tokens.validate(token) == (ACTOR, Scope())


async def test_revoked_unknown_and_expired_tokens_are_not_found(world: World) -> None:
    tokens = world.tokens()
    token = await tokens.create(ACTOR, None, expiration_s=60)
    world.clock.now_ns += 60 * 10**9 - 1
    await tokens.validate(token)
    world.clock.now_ns += 1
    with pytest.raises(NotFoundError, match="token not found"):
        await tokens.validate(token)
    await tokens.revoke(token)
    for action in (tokens.validate, tokens.revoke):
        with pytest.raises(NotFoundError, match="token not found"):
            await action(token)
    with pytest.raises(InvalidError, match="invalid token format"):
        await tokens.validate("")


async def test_life_comes_from_the_call_then_the_store(world: World) -> None:
    tokens = world.tokens(default_expiration_s=10.0)
    for expiration_s, kept_s in ((0, 10.0), (5, 5), (-1, 0)):
        token = await tokens.create(ACTOR, None, expiration_s=expiration_s)
        assert world.store.given[token][1] == kept_s
    record = world.store.given[token][0]
    assert "expires" not in record


async def test_signed_tokens_carry_an_hmac(world: World) -> None:
    tokens = world.tokens(key="secret")
    token = await tokens.create(ACTOR, None)
    base, _, signature = token.partition(".")
    assert list(world.store.given) == [base]
    assert (await tokens.validate(token))[0] == ACTOR
    forged = signature[:-2] + ("A" if signature[-2] != "A" else "B") + signature[-1]
    for bad in (base, f"{base}.", f"{base}.{forged}", f"{base}.{signature}.x", f".{signature}", "é.\ud800"):
        with pytest.raises(InvalidError, match="invalid token format"):
            await tokens.validate(bad)
    await tokens.revoke(f"{base}.whatever")
    assert not await world.store.has(base)


async def test_failures_of_the_store_are_told_as_ours(world: World) -> None:
    tokens = world.tokens()
    token = await tokens.create(ACTOR, None)
    await world.store.set(token, "junk")
    with pytest.raises(InternalError, match="failed to unmarshal token data"):
        await tokens.validate(token)
    world.store.broken = True
    for attempt, message in (
        (tokens.create(ACTOR, None), "failed to store token: gone"),
        (tokens.validate(token), "failed to retrieve token: gone"),
        (tokens.revoke(token), "failed to delete token: gone"),
    ):
        with pytest.raises(LuaError, match=message):
            await attempt


def test_settings_are_checked() -> None:
    for wrong in (0, -1, 5000):
        with pytest.raises(InvalidError, match="token length must be"):
            TokenSettings(length_bytes=wrong)
    assert "secret" not in repr(TokenSettings(key="secret"))
