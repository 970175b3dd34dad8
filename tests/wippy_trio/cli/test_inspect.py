"""`ps`, `tree`, `inspect` and `why`: their text, and all of them against a program that runs."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from typing import Any

import pytest

from wippy_trio.cli.inspect import age, cpu, render_details, render_ps, render_tree, render_why, table

ROW = {
    "pid": "{local@app:host|0x00001}",
    "entry": "app:worker",
    "type": "process",
    "parent": "app:lone",
    "state": "waiting",
    "waits": "channel.receive (inbox)",
    "line": "app:worker:3",
    "mailbox": 12,
    "steps": 5,
    "restarts": 0,
    "age_s": 3.7,
    "cpu_s": 0.0123,
    "timers": 1,
}


def test_age() -> None:
    shown = [age(seconds) for seconds in (None, 0.4, 59.9, 125, 3_600, 90_000)]
    assert shown == ["-", "0s", "59s", "2m05s", "1h00m", "1d01h"]


def test_processor_time() -> None:
    assert [cpu(seconds) for seconds in (0.0, 0.0004, 0.25, 1.256, 125)] == [
        "0.0ms",
        "0.4ms",
        "250.0ms",
        "1.26s",
        "2m05s",
    ]


def test_a_table_has_numbers_to_the_right() -> None:
    assert table(["A", "N"], [["x", "1"], ["yy", "10"]]) == "A    N\nx    1\nyy  10"
    assert table(["A"], []) == "A"


def test_ps_as_text() -> None:
    call = {**ROW, "pid": "{local@app:f|0x2}", "type": "call", "state": "ready", "waits": "", "line": "", "age_s": None}
    told = {"node": "local", "total": 5, "processes": [ROW, call]}
    inbox = "channel.receive (inbox) at app:worker:3"
    assert render_ps(told).splitlines() == [
        "PID                       ENTRY              MAIL  STEPS  RESTARTS  CPU     TIMERS  AGE  WAITS ON",
        f"{'{local@app:host|0x00001}'}  app:worker           12      5         0  12.3ms       1  3s   {inbox}",
        "{local@app:f|0x2}         app:worker (call)    12      5         0  12.3ms       1  -    ready",
        "... and 3 more (--limit)",
    ]


def test_tree_as_text() -> None:
    child: dict[str, Any] = {**ROW, "pid": "{a}", "child": "a", "restarts": 2, "children": []}
    stopped: dict[str, Any] = {"child": "b", "state": "stopped", "restarts": 0, "error": "enough", "children": []}
    tree = {**ROW, "entry": "app:pool", "type": "supervisor", "pid": "{s}", "children": [child, stopped]}
    told = {
        "node": "local",
        "total": 9,
        "shown": 2,
        "trees": [
            {"service": "app:pool", "state": "running", "restarts": 1, "children": [tree]},
            {**ROW, "mailbox": 0, "children": []},
        ],
    }
    assert render_tree(told).splitlines() == [
        "local",
        "├─ app:pool (service, running, restarted 1 times)",
        "│  └─ app:pool (supervisor) {s}",
        "│     ├─ a: app:worker {a} (channel.receive (inbox) at app:worker:3, 12 messages, restarted 2 times)",
        "│     └─ b: stopped (enough)",
        "└─ app:worker {local@app:host|0x00001} (channel.receive (inbox) at app:worker:3)",
        "... and 7 more processes (--limit)",
    ]


def test_details_and_reasons_as_text() -> None:
    task = {"main": True, "state": "waiting", "waits": "time.sleep", "line": "app:worker:3", "trace": "stack:\n\tline"}
    told = {
        **ROW,
        "links": ["{x}", "{y}"],
        "names": [],
        "mailbox_limit": 100,
        "waiting_timers": [{"operation": "time.sleep", "due_s": 1.5}],
        "unread": 2,
        "task_count": 3,
        "tasks": [task],
        "children": [{"id": "a", "state": "stopped", "restarts": 1}],
        "summary": "it waits",
    }
    text = render_details(told)
    for line in (
        "  links: {x}, {y}",
        "  processor time: 12.3ms",
        "  timers: 1, the next (time.sleep) in 1.500 s",
        "  mailbox: 12 of 100, 2 of them nobody listens to",
        "  child a: stopped , restarted 1 times",
        "  main task: time.sleep at app:worker:3",
        "    stack:",
        "  ... and 2 more tasks",
    ):
        assert line in text.splitlines()
    assert "names" not in text
    assert render_why(told).splitlines()[:2] == ["it waits", "  main task: time.sleep at app:worker:3"]
    assert render_why({"summary": "gone", "stack": "stack:\n\tx"}) == "gone\n  stack:\n  \tx"


@pytest.mark.parametrize("command", [["ps"], ["tree"], ["inspect", "x"], ["why", "x", "--json"]])
def test_where_no_node_runs(make_app: Any, program: Any, command: list[str]) -> None:
    folder = make_app()
    ended = program(*command)
    assert ended.code == 1
    assert ended.err == (
        f"Error: no node with an admin socket runs in {folder} (start it with `wippy-trio run`; setting admin.socket)\n"
    )


ENTRIES = """
- {name: host, kind: process.host, lifecycle: {auto_start: true}}
- name: lone
  kind: process.service
  process: worker
  host: host
  lifecycle: {auto_start: true, stop_timeout: 10ms}
- name: worker
  kind: process.lua
  modules: [logger]
  source: |
    return function()
      process.registry.register("clerk")
      require("logger"):info("up")
      process.inbox():receive()
    end
"""


@pytest.mark.slow
def test_a_running_program_is_asked(make_app: Any, program: Any) -> None:
    folder = make_app(ENTRIES)
    command = [sys.executable, "-m", "wippy_trio", "run"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            for line in running.stderr:
                if "app is ready" in line:
                    break
            for _ in range(100):  # the socket opens right after
                ended = program("ps", "--json")
                if ended.code == 0:
                    break
            rows = json.loads(ended.out)["processes"]
            assert [(row["entry"], row["parent"], row["line"]) for row in rows] == [
                ("app:worker", "app:lone", "app:worker:4")
            ]
            assert "app:lone (service, running)\n   └─ app:worker" in program("tree").out.replace("│  ", "   ")
            assert "names: clerk" in program("inspect", "clerk", "--project", str(folder)).out
            assert re.search(r"waits on channel\.receive \(inbox\) at app:worker:4", program("why", rows[0]["pid"]).out)
            assert program("why", "nobody").err.startswith("Error: no process nobody")
        finally:
            running.send_signal(signal.SIGTERM)
    assert program("ps").code == 1


@pytest.mark.slow
def test_the_socket_can_be_switched_off(make_app: Any, program: Any) -> None:
    folder = make_app(ENTRIES, config="admin: {socket: false}\n")
    command = [sys.executable, "-m", "wippy_trio", "run"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            for line in running.stderr:
                if "up" in line:
                    break
            assert program("ps").code == 1
            assert not (folder / ".wippy").exists()
        finally:
            running.send_signal(signal.SIGTERM)
