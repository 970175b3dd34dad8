"""process.host and process.service: limits, restarts, and the end."""

from typing import Any

import attrs
import pytest
import trio

from sandbox.errors import LuaError
from tests.conftest import OpenApp
from wippy_trio.actors.host import ProcessHost
from wippy_trio.core.ids import EntryId
from wippy_trio.registry.changes import Change

IDLE = """
- name: idle
  kind: process.lua
  source: return function() process.inbox():receive() end
"""


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("host: {workers: 0}", "workers must be greater than 0"),
        ("host: {queue_size: 0}", "queue size must be greater than 0"),
        ("host: {local_queue_size: x}", "local queue size must be greater than 0"),
        ("host: [1]", "host must be a map"),
        ("lifecycle: {start_timeout: soon}", "start_timeout"),
    ],
)
async def test_a_host_that_makes_no_sense(app: OpenApp, fields: str, message: str) -> None:
    with pytest.raises(LuaError) as caught:
        async with app(f"- {{name: host, kind: process.host, {fields}}}") as running:
            await running.supervisor.start(running.supervisor.all()[0].id)
    assert message in str(caught.value)


async def test_a_host_has_a_greatest_number_of_processes(app: OpenApp) -> None:
    host = "- {name: host, kind: process.host, host: {max_processes: 2}, lifecycle: {auto_start: true}}"
    async with app(host + IDLE) as running:
        await running.spawn("app:idle", "app:host")
        await running.spawn("app:idle", "app:host")
        with pytest.raises(LuaError) as caught:
            await running.spawn("app:idle", "app:host")
    assert caught.value.kind in {"Unavailable", "RateLimited"}


SERVICE = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: worker
  kind: process.lua
  modules: [time]
  source: |
    return function(what)
      if what == "crash" then require("time").sleep("1s") error("crashed") end
      if what == "leave" then return "done" end
      process.events():receive()
    end
- name: service
  kind: process.service
  process: worker
  host: host
  input: [WHAT]
  lifecycle: {auto_start: true, restart: {initial_delay: 1s, max_attempts: 3}}
"""


async def test_a_crashing_process_is_restarted_until_it_is_too_much(app: OpenApp) -> None:
    async with app(SERVICE.replace("WHAT", "crash")) as running:
        service = next(item for item in running.supervisor.all() if item.id.name == "service")
        assert str(service.state) == "running"
        await trio.sleep(120)
        assert str(service.state) != "running"
        assert "crashed" in str(service.error)


async def test_a_process_that_ends_by_itself_is_left(app: OpenApp) -> None:
    async with app(SERVICE.replace("WHAT", "leave")) as running:
        await trio.sleep(5)
        service = next(item for item in running.supervisor.all() if item.id.name == "service")
        assert (str(service.state), service.error) == ("exited", None)


async def test_stopping_a_service_asks_its_process(app: OpenApp) -> None:
    async with app(SERVICE.replace("WHAT", "stay")) as running:
        host = running.runtime.resources.get("app:host", ProcessHost)
        service = next(item for item in running.supervisor.all() if item.id.name == "service")
        assert len(host.processes) == 1
        start = trio.current_time()
        await running.supervisor.stop(service.id)
        assert not host.processes
        assert trio.current_time() - start < 1


@pytest.mark.parametrize("missing", ["process: worker", "host: host"])
async def test_a_service_names_process_and_host(app: OpenApp, missing: str) -> None:
    text = SERVICE.replace("WHAT", "stay").replace(f"  {missing}\n", "")
    with pytest.raises(LuaError, match="is required"):
        async with app(text):
            pass


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"host": {"workers": 4, "max_processes": 2}}, ""),
        ({"host": {"queue_size": 9}}, "host.queue_size cannot be changed"),
        ({"host": {"local_queue_size": 9}}, "host.local_queue_size cannot be changed"),
        ({"lifecycle": {"auto_start": True, "stop_timeout": "1s"}}, "lifecycle cannot be changed"),
        ({"host": {"workers": 0}}, "workers must be greater than 0"),
    ],
)
async def test_a_running_host_takes_new_limits_and_keeps_its_processes(
    app: OpenApp, change: dict[str, Any], message: str
) -> None:
    text = "- {name: host, kind: process.host, lifecycle: {auto_start: true}}"
    async with app(text + IDLE) as running:
        pid = await running.spawn("app:idle", "app:host")
        old = running.registry.get(EntryId("app", "host"))
        assert old is not None
        update = Change.update(attrs.evolve(old, data={**old.data, **change}))
        if message:
            with pytest.raises(LuaError, match=message):
                await running.registry.apply([update])
        else:
            await running.registry.apply([update])
            await running.spawn("app:idle", "app:host")
            with pytest.raises(LuaError, match="holds 2"):
                await running.spawn("app:idle", "app:host")
        assert running.runtime.processes.find(pid) is not None
        await running.supervisor.stop(EntryId("app", "host"))
        await running.supervisor.start(EntryId("app", "host"))
        host = running.runtime.resources.get("app:host", ProcessHost)
        assert host.limits.max_processes == (100_000 if message else 2), "its next start is of the new version"


async def test_a_host_that_does_not_run_is_made_anew(app: OpenApp) -> None:
    async with app("- {name: host, kind: process.host}" + IDLE) as running:
        id_ = EntryId("app", "host")
        old = running.registry.get(id_)
        assert old is not None
        changed = attrs.evolve(old, data={"host": {"queue_size": 9, "max_processes": 1}, "lifecycle": {}})
        await running.registry.apply([Change.update(changed)])
        await running.supervisor.start(id_)
        assert running.runtime.resources.get("app:host", ProcessHost).limits.max_processes == 1


async def test_an_updated_service_goes_on_and_starts_anew_with_what_is_new(app: OpenApp) -> None:
    async with app(SERVICE.replace("WHAT", "stay")) as running:
        id_ = EntryId("app", "service")
        host = running.runtime.resources.get("app:host", ProcessHost)
        [before] = host.processes
        old = running.registry.get(id_)
        assert old is not None
        update = Change.update(attrs.evolve(old, data={**old.data, "input": ["leave"]}))
        await running.registry.apply([update])
        assert list(host.processes) == [before]
        await running.supervisor.stop(id_)
        await running.supervisor.start(id_)
        await trio.sleep(1)
        service = running.supervisor.get(id_)
        assert service is not None
        assert str(service.state) == "exited", "the new input makes it leave at once"


async def test_a_service_acts_as_its_lifecycle_says(app: OpenApp) -> None:
    text = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: all
  kind: security.policy
  policy: {actions: "*", resources: "*", effect: allow}
- name: tells
  kind: process.lua
  modules: [security, events]
  source: |
    return function()
      local security = require("security")
      local allowed = security.can("read", "book")
      require("events").send("test", "told", "/", { security.actor():id(), security.actor():meta().team, allowed })
    end
- name: service
  kind: process.service
  process: tells
  host: host
  lifecycle:
    auto_start: true
    security: {actor: {id: clerk, meta: {team: blue}}, policies: [all, nobody_knows]}
"""
    heard: list[Any] = []
    async with app(text) as running:
        running.runtime.events.listen("test", "", lambda event: heard.append(event.data))
        await running.supervisor.stop(EntryId("app", "service"))
        await running.supervisor.start(EntryId("app", "service"))
        await trio.sleep(1)
    assert heard == [["clerk", "blue", True]]
