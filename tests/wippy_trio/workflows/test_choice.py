from __future__ import annotations

import pytest

from sandbox.errors import LuaError
from tests.wippy_trio.workflows.machines import workflow_entry
from wippy_trio.app.config import Config
from wippy_trio.workflows.choice import Engine, engine_of, uses_server


def config(value=None):
    return Config(sections={} if value is None else {"workflows": {"engine": value}})


@pytest.mark.parametrize(
    ("value", "engine", "server"),
    [
        (None, Engine.AUTO, True),
        ("auto", Engine.AUTO, True),
        ("temporal", Engine.TEMPORAL, True),
        ("embedded", Engine.EMBEDDED, False),
    ],
)
def test_the_setting(value, engine, server):
    assert (engine_of(config(value)), uses_server(config(value))) == (engine, server)


def test_an_unknown_engine():
    with pytest.raises(LuaError, match="unknown engine 'cadence'; known are embedded, temporal, auto"):
        engine_of(config("cadence"))


WORKER = """
- name: client
  kind: temporal.client
  address: nowhere:1
  lifecycle: { auto_start: true }
- name: worker
  kind: temporal.worker
  client: client
  task_queue: orders
  lifecycle: { auto_start: true }
"""


async def test_an_app_for_temporal_runs_without_a_server(app):
    entry = workflow_entry("return workflow.info()", ["workflow"])
    settings = {"workflows": {"engine": "embedded"}}
    async with app(WORKER, extra=[entry], settings=settings) as running:
        host = running.runtime.extras["workflow_hosts"]["app:worker"]
        from wippy_trio.actors.host import SpawnOptions
        from wippy_trio.core.frame import Frame

        info = await host.execute(entry.id, (), Frame(), SpawnOptions(name="one"))
        assert (info["workflow_id"], info["task_queue"], info["namespace"]) == ("one", "orders", "default")


async def test_temporal_alone_runs_nothing_here(app):
    settings = {"workflows": {"engine": "temporal"}}
    async with app(extra=[workflow_entry("return 1")], settings=settings) as running:
        assert "workflow_hosts" not in running.runtime.extras or not running.runtime.extras["workflow_hosts"]
