from __future__ import annotations

import pytest

from determinism.environment import seeded_environment
from sandbox.errors import LuaError
from tests.wippy_trio.workflows.machines import workflow_entry
from wippy_trio.actors.host import SpawnOptions
from wippy_trio.app.app import open_app
from wippy_trio.app.config import Config
from wippy_trio.core.frame import Frame
from wippy_trio.core.ids import EntryId
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
        info = await host.execute(entry.id, (), Frame(), SpawnOptions(name="one"))
        assert (info["workflow_id"], info["task_queue"], info["namespace"]) == ("one", "orders", "default")


async def test_temporal_alone_runs_nothing_here(app):
    settings = {"workflows": {"engine": "temporal"}}
    async with app(extra=[workflow_entry("return 1")], settings=settings) as running:
        assert "workflow_hosts" not in running.runtime.extras or not running.runtime.extras["workflow_hosts"]


async def test_an_app_s_runs_are_recorded_in_its_folder(tmp_path, autojump_clock):
    source = tmp_path / "src"
    source.mkdir()
    (tmp_path / "wippy.lock").write_text("directories: { src: ./src }\n")
    (source / "_index.yaml").write_text(
        "version: '1.0'\nnamespace: app\nentries:\n"
        "  - name: flow\n    kind: workflow.lua\n    source: file://flow.lua\n    modules: [time]\n"
    )
    (source / "flow.lua").write_text("return function(n) time.sleep('1h') return n + 1 end")
    for life in range(2):
        async with open_app(str(tmp_path), environment=seeded_environment(life), env={}) as running:
            host = running.runtime.extras["workflow_hosts"]["wippy:workflows"]
            if life == 0:
                await host.spawn(EntryId("app", "flow"), (1,), Frame(), SpawnOptions(name="one"))
            else:
                assert await host.outcome("one") == 2
        assert (tmp_path / ".wippy" / "workflows.db").exists()
