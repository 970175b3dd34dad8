"""Nodes that are killed, and runs that are put out of the cache: workflows on a real server go on as if nothing was."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from sandbox.values import pack_list
from tests.services.temporal import TemporalServer, wait_until
from tests.wippy_trio.workflows.temporal_app import activity, function, queue, temporal_app, workflow
from wippy_trio.workflows import temporal_worker
from wippy_trio.workflows.history import RunQuery, Status

pytestmark = [pytest.mark.service, pytest.mark.slow]

INDEX = """
namespace: app
entries:
  - {name: client, kind: temporal.client, address: "ADDRESS", lifecycle: {auto_start: true}}
  - name: worker
    kind: temporal.worker
    client: client
    task_queue: killed
    worker_options: {sticky_schedule_to_start_timeout: 1s}
    lifecycle: {auto_start: true}
  - {name: data, kind: fs.directory, directory: data, auto_init: true}
  - name: step
    kind: function.lua
    method: main
    modules: [fs, time]
    source: |
      return { main = function(name, pause)
        local file = require("fs").get("app:data"):open("steps.log", "a")
        file:write(name .. "\\n")
        file:close()
        if pause then require("time").sleep(pause) end
        return name
      end }
    meta: {temporal: {activity: {worker: worker}}}
  - name: order
    kind: workflow.lua
    method: main
    modules: [funcs, time, uuid]
    source: |
      local funcs, time, uuid = require("funcs"), require("time"), require("uuid")
      return { main = function(order)
        local id, began = uuid.v4(), time.now()
        local careful = funcs.new():with_options({ ["activity.heartbeat_timeout"] = "1s",
          ["activity.retry_policy"] = { initial_interval = 1 } })
        local first = careful:call("app:step", "first", "1500ms")
        time.sleep("2s")
        local second = funcs.call("app:step", "second")
        local by = process.inbox():receive():payload():data()
        local third = funcs.call("app:step", "third")
        local late = time.now():unix() > began:unix()
        return { steps = { first, second, third }, by = by, n = order.n, id = #id, late = late }
      end }
    meta: {temporal: {workflow: {worker: worker}}}
"""


@contextmanager
def node(project: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "wippy_trio", "run"]
    with subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        try:
            for line in program.stderr:
                if "app is ready" in line:
                    break
            else:
                raise AssertionError("the node did not start")
            yield program
        finally:
            program.send_signal(signal.SIGKILL)


def wait_for(server: TemporalServer, workflow_id: str, event: str) -> None:
    """Wait until the history holds it."""
    wait_until(lambda: event in server.command("workflow", "show", "-w", workflow_id, "-o", "json"))


def test_killed_nodes(temporal_server, tmp_path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "_index.yaml").write_text(INDEX.replace("ADDRESS", temporal_server.address))
    (tmp_path / "wippy.lock").write_text("directories:\n  modules: .wippy\n  src: ./src\n")
    steps = tmp_path / "data" / "steps.log"
    with node(tmp_path):
        start = ["workflow", "start", "--type", "app:order", "--task-queue", "killed", "-w", "killed"]
        temporal_server.command(*start, "--input", '{"n": 7}')
        wait_until(lambda: steps.exists() and steps.read_text() == "first\n")
    # Killed in an activity: it is run again. Then in a timer.
    with node(tmp_path):
        wait_for(temporal_server, "killed", "EVENT_TYPE_TIMER_STARTED")
    temporal_server.command("workflow", "signal", "-w", "killed", "--name", "go", "--input", '"bob"')
    with node(tmp_path):
        told = json.loads(temporal_server.command("workflow", "result", "-w", "killed", "-o", "json"))
    assert told["result"] == {"steps": ["first", "second", "third"], "by": "bob", "n": 7, "id": 36, "late": True}
    done = steps.read_text().split()
    assert (done.count("second"), done.count("third")) == (1, 1)
    assert done.count("first") >= 2, "at least once: the first attempt died with its node"


BUSY = """
    local funcs, time, uuid, workflow = require("funcs"), require("time"), require("uuid"), require("workflow")
    local out = { ids = { uuid.v4() } }
    local inbox = process.inbox()
    coroutine.spawn(function() time.sleep("1ms") out.timer = true end)
    for i = 1, 3 do
      out[#out + 1] = funcs.call("app:echo", i)
      out.ids[#out.ids + 1] = uuid.v4()
      out.version = workflow.version("v" .. i, 1, i)
      out.heard = (out.heard or "") .. inbox:receive():payload():data()
    end
    out.child = workflow.exec("app:child", out[3])
    out.sum = out[1] + out[2] + out[3]
    return { sum = out.sum, ids = out.ids, heard = out.heard, child = out.child, version = out.version }
"""


async def test_nothing_is_lost_without_a_cache(temporal_server, monkeypatch) -> None:
    """With no cache every step begins with the whole history: a machine made anew after each event."""
    settings = temporal_worker.worker_settings
    monkeypatch.setattr(
        temporal_worker, "worker_settings", lambda options: settings(options) | {"max_cached_workflows": 0}
    )
    child = workflow("child", "require('time').sleep('1ms') return ... * 10")
    start = function("start", "return process.with_options({}):with_name('busy'):spawn('app:busy', 'app:worker')")
    echo = activity("echo", "return ...")
    async with temporal_app(temporal_server, workflow("busy", BUSY), child, echo, start) as app:
        await app.call("start")
        for letter in "abc":
            await app.host.signal("busy", "go", pack_list([letter]))
        found = await app.host.outcome("busy")
        assert (found["sum"], found["heard"], found["child"], found["version"]) == (6, "abc", 30, 3)
        assert len(set(found["ids"])) == 4


async def test_a_node_for_every_event(temporal_server, monkeypatch) -> None:
    """A node lives until the history has grown, then is gone; the next one goes on, and nothing is missing."""
    settings = temporal_worker.worker_settings
    monkeypatch.setattr(
        temporal_worker, "worker_settings", lambda options: settings(options) | {"max_cached_workflows": 0}
    )
    child = workflow("child", "require('time').sleep('1ms') return ... * 10")
    start = function("start", "return process.with_options({}):with_name('often'):spawn('app:busy', 'app:worker')")
    echo = activity("echo", "return ...")
    careful = BUSY.replace("funcs.call(", 'funcs.new():with_options({ ["activity.heartbeat_timeout"] = "1s" }):call(')
    entries = (workflow("busy", careful), child, echo, start)
    name, nodes, length = queue(), 0, 0
    async with temporal_app(temporal_server, *entries, name=name) as app:
        await app.call("start")
        for letter in "abc":
            await app.host.signal("often", "go", pack_list([letter]))
    with trio.fail_after(90):
        while True:
            nodes += 1
            async with temporal_app(temporal_server, *entries, name=name) as app:
                (info,) = await app.host.runs(RunQuery(workflow_id="often", limit=1))
                while info.length <= length and info.status is Status.OPEN:
                    await trio.sleep(0.005)
                    (info,) = await app.host.runs(RunQuery(workflow_id="often", limit=1))
                length = info.length
                if info.status is not Status.OPEN:
                    found = await app.host.outcome("often")
                    break
    assert (found["sum"], found["heard"], found["child"], found["version"]) == (6, "abc", 30, 3)
    assert nodes > 5
