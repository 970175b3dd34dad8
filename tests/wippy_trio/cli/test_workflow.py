"""`workflow ...` against a node that runs in a process of its own, on both engines."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.services.temporal import wait_until
from wippy_trio.cli.workflow_text import render_history, render_list, render_replay, render_show

STARTER = """
- {name: processes, kind: process.host, lifecycle: {auto_start: true}}
- name: starter.service
  kind: process.service
  process: app:starter
  host: app:processes
  lifecycle: {auto_start: true}
- name: starter
  kind: process.lua
  source: |
    return function()
      local spawner = process.with_options({}):with_name("saga")
      local pid, err = spawner:spawn("app:order", "WORKER", { n = 2 })
      assert(pid, tostring(err))
      process.events():receive()
    end
- name: reserve
  kind: function.lua
  source: "return function(order) return { reserved = order.n } end"
  meta: {temporal: {activity: {worker: "WORKER"}}}
- name: order
  kind: workflow.lua
  modules: [funcs, time, workflow]
  source: |
    local funcs, time, workflow = require("funcs"), require("time"), require("workflow")
    return function(order)
      local got = funcs.call("app:reserve", order)
      time.sleep("10ms")
      workflow.expose("step", "waiting")
      local inbox = process.inbox()
      while true do
        local msg = inbox:receive()
        if msg:topic() == "finish" then return { got = got, by = msg:payload():data() } end
        process.send(msg:from(), "ack")
        process.send(msg:from(), "ok", { heard = msg:payload():data() })
      end
    end
  meta: {temporal: {workflow: {worker: "WORKER"}}}
"""
TEMPORAL = """
- {name: client, kind: temporal.client, address: "ADDRESS", lifecycle: {auto_start: true}}
- {name: worker, kind: temporal.worker, client: client, task_queue: cli, lifecycle: {auto_start: true}}
"""


@contextmanager
def node() -> Iterator[None]:
    command = [sys.executable, "-m", "wippy_trio", "run"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            for line in running.stderr:
                if "app is ready" in line:
                    break
            yield
        finally:
            running.send_signal(signal.SIGTERM)


def the_tour(folder: Path, program: Any) -> None:
    """Everything the commands do, on a workflow that waits for `finish`."""
    wait_until(lambda: '"waiting"' in program("workflow", "query", "saga", "step").out)
    (run,) = json.loads(program("workflow", "list", "--json").out)["runs"]
    assert (run["workflow_id"], run["name"], run["status"]) == ("saga", "app:order", "open")
    assert "saga  app:order  open" in program("workflow", "list").out
    shown = program("workflow", "show", "saga").out
    assert '"step":"waiting"' in shown
    assert "task: channel.receive (inbox) at app:order:8" in shown, "where the code waits"
    assert json.loads(program("workflow", "update", "saga", "ask", '{"a": 1}').out) == {"heard": {"a": 1}}
    assert program("workflow", "signal", "saga", "finish", "bob").out == "recorded: finish for saga\n"
    wait_until(lambda: "completed" in program("workflow", "list").out)
    compact = program("workflow", "history", "saga").out
    assert "activity" in compact
    assert "activity app:reserve" in program("workflow", "history", "saga", "--as", "timeline").out
    assert "app:reserve" in program("workflow", "history", "saga", "--as", "full").out
    assert program("workflow", "export", "saga", "-o", "saga.json").code == 0
    ended = program("workflow", "replay", "saga.json")
    assert (ended.code, ended.out.startswith("same: app:order, ")) == (0, True), ended
    source = (folder / "src" / "_index.yaml").read_text()
    (folder / "src" / "_index.yaml").write_text(source.replace('funcs.call("app:reserve", order)', "nil"))
    ended = program("workflow", "replay", "saga.json")
    assert ended.code == 1
    assert "app:order:4" in ended.out, ended.out
    assert json.loads(program("workflow", "replay", "saga.json", "--json").out)["same"] is False
    again = program("workflow", "reset", "saga", "--reason", "test")
    assert (again.code, again.out.startswith("new run of saga: ")) == (0, True), again
    wait_until(lambda: '"waiting"' in program("workflow", "query", "saga", "step").out)
    assert "open" in program("workflow", "show", "saga").out
    assert program("workflow", "show", "nobody").err == "Error: workflow not found: nobody\n"
    (folder / "other.json").write_text("[1]")
    assert program("workflow", "replay", "other.json").code == 2
    assert program("workflow", "replay", "missing.json").code == 2


@pytest.mark.slow
def test_on_the_embedded_engine(make_app, program) -> None:
    folder = make_app(STARTER.replace("WORKER", "wippy:workflows").replace('{worker: "wippy:workflows"}', "{}"))
    with node():
        the_tour(folder, program)


@pytest.mark.slow
@pytest.mark.service
def test_on_a_temporal_server(make_app, program, temporal_server) -> None:
    text = TEMPORAL.replace("ADDRESS", temporal_server.address) + STARTER.replace("WORKER", "app:worker")
    folder = make_app(text)
    with node():
        the_tour(folder, program)


@pytest.mark.slow
def test_a_workflow_is_stopped(make_app, program) -> None:
    make_app(STARTER.replace("WORKER", "wippy:workflows").replace('{worker: "wippy:workflows"}', "{}"))
    with node():
        wait_until(lambda: '"waiting"' in program("workflow", "query", "saga", "step").out)
        assert program("workflow", "cancel", "saga", "--reason", "enough").out == "asked to stop: saga\n"
        assert program("workflow", "terminate", "saga").out == "terminated: saga\n"
        assert "terminated" in program("workflow", "list", "--status", "terminated").out
        assert program("workflow", "list", "--status", "open").out == "no workflows\n"
        assert "unknown status 'odd'" in program("workflow", "list", "--status", "odd").err


RUN = {
    "workflow_id": "a",
    "name": "app:order",
    "status": "failed",
    "started_ns": 1_700_000_000_000_000_000,
    "closed_ns": 1_700_000_075_000_000_000,
    "length": 7,
}
OURS: dict[str, Any] = {
    "format": "wippy_trio workflow history 1",
    "name": "app:order",
    "records": [
        {"at_ns": 10**18, "record": {"kind": "started", "name": "app:order", "input": {"value": [{"n": 1}]}}},
        {
            "at_ns": 10**18,
            "record": {"kind": "schedule_activity", "seq": 1, "name": "app:a", "line": "app:order:3"},
        },
        {
            "at_ns": 10**18 + 10**9,
            "record": {"kind": "activity_resolved", "seq": 1, "failure": {"message": "no", "kind": "Invalid"}},
        },
        {"at_ns": 10**18 + 10**9, "record": {"kind": "start_timer", "seq": 2, "delay_ns": 5 * 10**9}},
    ],
}


def test_texts() -> None:
    assert render_list([]) == "no workflows"
    assert render_list([RUN]).splitlines()[1] == "a   app:order  failed  2023-11-14 22:13:20Z  1m15s        7"
    waiting = {"waits": "time.sleep", "line": "app:order:3", "state": "waiting"}
    shown = render_show({**RUN, "tasks": [waiting]})
    assert shown.endswith("  task: time.sleep at app:order:3")
    assert render_show({**RUN, "result": None, "error": {"message": "no"}}).splitlines() == [
        "a  app:order  failed",
        "  length: 7",
        "  started: 2023-11-14 22:13:20Z",
        "  closed: 2023-11-14 22:14:35Z",
        '  error: {"message":"no"}',
    ]
    compact = render_history(OURS, "compact").splitlines()
    assert compact[1] == "    2   +0ms      schedule_activity        app:a  (app:order:3)"
    assert compact[2] == "    3 ! +1s       activity_resolved        Invalid: no"
    timeline = render_history(OURS, "timeline").splitlines()
    assert timeline[0] == "2001-09-09 01:46:40Z, 1s, 4 records"
    assert timeline[1] == f"activity app:a |{'x' * 40}| 1s"
    assert timeline[2] == f"timer 5s       |{' ' * 39}>| open"
    assert render_replay({"same": True, "name": "app:order", "count": 3}) == "same: app:order, 3 records"
