from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

from determinism.environment import seeded_environment
from wippy_trio.actors.restart import Lifecycle, RestartPolicy
from wippy_trio.actors.supervisor import Service, Supervisor, only_error
from wippy_trio.core.errors import CanceledError, InternalError, LuaError, NotFoundError, UnavailableError
from wippy_trio.core.ids import EntryId

Act = Callable[[int], Any]


def sid(name: str) -> EntryId:
    return EntryId("app", name)


class Life:
    """What a service's context manager yields: ends when told, or after a time."""

    def __init__(self, act: Any) -> None:
        self._act = act

    async def wait(self) -> object:
        if isinstance(self._act, tuple):
            await trio.sleep(self._act[0])
            if self._act[1] is not None:
                raise self._act[1]
            return None
        return await trio.sleep_forever()


class World:
    """A supervisor and a diary of what its services did."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.states: list[str] = []
        self.diary: list[str] = []
        self.supervisor = Supervisor(seeded_environment(3), self._report)
        self.supervisor.bind(nursery)

    def _report(self, service: Service) -> None:
        self.states.append(f"{service.id.name} {service.state}")

    def add(
        self,
        name: str,
        act: Act = lambda _life: None,
        *,
        needs: Iterable[str] = (),
        requires: Iterable[str] = (),
        start_s: float = 0.0,
        stop_s: float = 0.0,
        **lifecycle: Any,
    ) -> Service:
        """`act(n)` says what the n-th life does: raise an exception when opened, (seconds, error or None), or last."""
        lives = 0

        @asynccontextmanager
        async def open_() -> AsyncIterator[Life]:
            nonlocal lives
            lives += 1
            what = act(lives)
            self.diary.append(f"open {name}")
            await trio.sleep(start_s)
            if isinstance(what, BaseException):
                raise what
            try:
                yield Life(what)
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(stop_s)
                self.diary.append(f"close {name}")

        defaults: dict[str, Any] = {"auto_start": True, "restart": RestartPolicy(1.0, 8.0, 2.0, 0.0)}
        life = Lifecycle(requires=tuple(map(sid, requires)), **{**defaults, **lifecycle})
        opener: Callable[[], AbstractAsyncContextManager[Any]] = open_
        service = Service(sid(name), life, opener, frozenset(map(sid, needs)))
        self.supervisor.add(service)
        return service


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    async with trio.open_nursery() as nursery:
        made = World(nursery)
        yield made
        await made.supervisor.stop_all()
        nursery.cancel_scope.cancel()


async def test_dependencies_start_first_and_stop_last(autojump_clock: Any) -> None:
    async with world() as w:
        w.add("web", needs=["app"])
        w.add("app", requires=["db"], needs=["queue"])
        w.add("db", auto_start=False)
        w.add("queue", auto_start=False)
        w.add("alone", auto_start=False)
        assert await w.supervisor.start_wanted() == []
        assert sorted(w.diary[:2]) == ["open db", "open queue"]
        assert w.diary[2:] == ["open app", "open web"]
        w.diary.clear()
        await w.supervisor.stop_all()
        assert w.diary[:2] == ["close web", "close app"]
        assert sorted(w.diary[2:]) == ["close db", "close queue"]


async def test_services_of_one_level_start_side_by_side(autojump_clock: Any) -> None:
    async with world() as w:
        for name in "abc":
            w.add(name, start_s=5)
        w.add("last", needs=["a", "b", "c"], start_s=1)
        began = trio.current_time()
        await w.supervisor.start_wanted()
        assert trio.current_time() - began == 6


async def test_a_cycle_is_an_error(autojump_clock: Any) -> None:
    async with world() as w:
        w.add("a", needs=["b"])
        w.add("b", needs=["a"])
        with pytest.raises(UnavailableError, match="service dependency cycle: app:a -> app:b -> app:a"):
            await w.supervisor.start_wanted()
        w.supervisor._services.clear()


async def test_a_required_service_that_does_not_exist_blocks(autojump_clock: Any) -> None:
    async with world() as w:
        w.add("a", requires=["ghost"])
        w.add("b", requires=["a"])
        w.add("c", needs=["ghost"])
        failed = await w.supervisor.start_wanted()
        assert [(str(id_), "missing dependencies: app:ghost" in str(error)) for id_, error in failed] == [
            ("app:a", True),
            ("app:b", True),
        ]
        assert w.diary == ["open c"]
        with pytest.raises(NotFoundError):
            await w.supervisor.start(sid("ghost"))


async def test_a_failing_service_is_restarted_with_growing_pauses(autojump_clock: Any) -> None:
    async with world() as w:
        began = trio.current_time()
        moments: list[float] = []

        def act(life: int) -> Any:
            moments.append(trio.current_time() - began)
            return None if life > 5 else LuaError("no")

        service = w.add("s", act)
        [(_, error)] = await w.supervisor.start_wanted()
        assert str(error) == "no"
        await trio.sleep(60)
        assert moments == [0, 1, 3, 7, 15, 23]
        assert (service.state, service.restarts, service.failures, service.error) == ("running", 5, 5, None)


async def test_attempts_have_a_limit(autojump_clock: Any) -> None:
    async with world() as w:
        service = w.add("s", lambda _life: LuaError("no"), restart=RestartPolicy(1.0, 1.0, 1.0, 0.0, 3))
        await w.supervisor.start_wanted()
        await trio.sleep(60)
        assert w.diary == ["open s"] * 3
        assert (service.state, service.desired) == ("failed", "stopped")
        await w.supervisor.stop(sid("s"))
        with pytest.raises(LuaError, match="no"):
            await w.supervisor.start(sid("s"))  # may be tried by hand
        assert w.diary == ["open s"] * 4


async def test_a_service_that_was_stable_begins_anew(autojump_clock: Any) -> None:
    async with world() as w:
        crash = LuaError("crash")
        service = w.add("s", lambda _life: (6.0, crash), restart=RestartPolicy(1.0, 90.0, 2.0, 0.0, 2))
        began = trio.current_time()
        await w.supervisor.start_wanted()
        await trio.sleep(68)
        assert (service.failures, service.restarts) == (1, 9)
        assert trio.current_time() - began == 68
        restless = w.add("r", lambda _life: (4.0, crash), restart=RestartPolicy(1.0, 90.0, 2.0, 0.0, 2))
        await w.supervisor.start(sid("r"))
        await trio.sleep(68)
        assert (restless.state, restless.failures) == ("failed", 2)


async def test_stability_counts_from_the_first_moment_of_the_clock() -> None:
    """A service that began at time zero has begun."""
    service = Service(sid("s"), Lifecycle(), lambda: None)  # type: ignore[arg-type, return-value]
    supervisor = Supervisor(seeded_environment(1), lambda _service: None)
    assert not supervisor._was_stable(service)
    service.started_s = supervisor._environment.clock.monotonic_s() - 10
    assert supervisor._was_stable(service)


@pytest.mark.parametrize("error", [CanceledError("stop it"), LuaError("never", retryable=False)])
async def test_errors_that_are_final_end_the_service(autojump_clock: Any, error: LuaError) -> None:
    async with world() as w:
        service = w.add("s", lambda _life: (1.0, error))
        assert await w.supervisor.start_wanted() == []
        await trio.sleep(60)
        assert (service.state, service.error, w.diary) == ("exited", error, ["open s", "close s"])
        await w.supervisor.start_wanted()
        assert len(w.diary) == 2  # what has exited is left alone


async def test_a_peaceful_end_is_exited(autojump_clock: Any) -> None:
    async with world() as w:
        service = w.add("s", lambda _life: (1.0, None))
        await w.supervisor.start_wanted()
        await trio.sleep(60)
        assert (service.state, service.error, service.restarts) == ("exited", None, 0)


async def test_a_start_has_a_time_limit_that_counts_as_a_failure(autojump_clock: Any) -> None:
    async with world() as w:
        slow = w.add("s", start_s=99, start_timeout_s=2.0, restart=RestartPolicy(1.0, 1.0, 1.0, 0.0, 2))
        [(_, error)] = await w.supervisor.start_wanted()
        assert (error.kind, str(error)) == ("Timeout", "service app:s start timed out after 2 s")
        await trio.sleep(10)
        assert (slow.failures, w.diary) == (2, ["open s", "open s"])


async def test_what_is_no_error_of_lua_is_a_failed_start_too(autojump_clock: Any) -> None:
    async with world() as w:
        w.add("s", lambda life: OSError("port taken") if life == 1 else None)
        [(_, error)] = await w.supervisor.start_wanted()
        assert isinstance(error, InternalError)
        assert str(error) == "service app:s failed to start: port taken"
        assert isinstance(error.__cause__, OSError)


async def test_stopping_while_it_waits_to_be_restarted(autojump_clock: Any) -> None:
    async with world() as w:
        service = w.add("s", lambda _life: LuaError("no"), restart=RestartPolicy(50.0, 50.0, 1.0, 0.0))
        await w.supervisor.start_wanted()
        await trio.sleep(1)
        began = trio.current_time()
        await w.supervisor.stop(sid("s"))
        assert trio.current_time() == began
        assert (service.state, service.restarts, service.failures) == ("stopped", 0, 1)


async def test_stopping_waits_for_the_end_and_may_be_asked_twice(autojump_clock: Any) -> None:
    async with world() as w:
        service = w.add("s", stop_s=3)
        await w.supervisor.start_wanted()
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(w.supervisor.stop, sid("s"))
            nursery.start_soon(w.supervisor.stop, sid("s"))
        assert trio.current_time() - began == 3
        assert service.state == "stopped"
        await w.supervisor.stop(sid("s"))
        await w.supervisor.stop(sid("nobody"))
        await w.supervisor.start(sid("s"))
        assert service.state == "running"
        assert w.states == [
            "s starting", "s running", "s stopping", "s stopped", "s starting", "s running",
        ]  # fmt: skip


async def test_stopping_while_it_starts(autojump_clock: Any) -> None:
    async with world() as w:
        service = w.add("s", start_s=5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(w.supervisor.start_wanted)
            await trio.sleep(1)
            await w.supervisor.stop(sid("s"))
        assert (service.state, w.diary) == ("stopped", ["open s"])


async def test_changes_have_their_time(autojump_clock: Any) -> None:
    async with world() as w:
        service = w.add("s", lambda _life: (5.0, None))
        assert (service.started_s, service.changed_s) == (None, None)
        await w.supervisor.start_wanted()
        began = trio.current_time()
        assert (service.started_s, service.changed_s) == (began, began)
        await trio.sleep(9)
        assert (service.started_s, service.changed_s) == (began, began + 5)


async def test_a_removed_service_is_stopped_and_forgotten(autojump_clock: Any) -> None:
    async with world() as w:
        w.add("s")
        await w.supervisor.start_wanted()
        await w.supervisor.remove(sid("s"))
        await w.supervisor.remove(sid("s"))
        assert (w.diary, w.supervisor.get(sid("s")), w.supervisor.all()) == (["open s", "close s"], None, [])


def test_the_error_inside_groups_of_one() -> None:
    error = LuaError("x")
    assert only_error(ExceptionGroup("a", [ExceptionGroup("b", [error])])) is error
    pair = ExceptionGroup("a", [error, error])
    assert only_error(pair) is pair
    assert attrs.has(Service)
