"""How a running program stops: in a process of its own, for signals are the process's."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

ACTOR = """
- {{name: host, kind: process.host, lifecycle: {{auto_start: true}}}}
- {{name: actor.service, kind: process.service, process: app:actor, host: app:host, lifecycle: {{auto_start: true}}}}
- name: actor
  kind: process.lua
  modules: [logger, time]
  source: |
    local logger, time = require("logger"), require("time")
    return function()
      local events = process.events()
      logger:info("actor is up")
      events:receive()
      logger:info("actor was asked to stop")
      {last}
    end
"""
POLITE = ACTOR.format(last="return 0")
STUBBORN = ACTOR.format(last='while true do time.sleep("1s") end')

Wait = Callable[[str], None]
pytestmark = pytest.mark.slow


@contextmanager
def running() -> Iterator[tuple[subprocess.Popen[str], Wait]]:
    command = [sys.executable, "-m", "wippy_trio", "run"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None

        def wait_for(text: str) -> None:
            assert program.stderr is not None
            for line in program.stderr:
                if text in line:
                    return
            raise AssertionError(f"ended without saying {text!r}")

        try:
            wait_for("app is ready")
            yield program, wait_for
        finally:
            program.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_in_order(make_app, number: int) -> None:
    make_app(POLITE)
    with running() as (program, wait_for):
        program.send_signal(number)
        wait_for("shutting down")
        wait_for("actor was asked to stop")
        assert program.wait(10) == 0


def test_a_second_signal_does_not_wait(make_app) -> None:
    make_app(STUBBORN)
    with running() as (program, wait_for):
        program.send_signal(signal.SIGINT)
        wait_for("actor was asked to stop")
        program.send_signal(signal.SIGINT)
        wait_for("stopped at once")
        assert program.wait(5) == 1


def test_a_limit_ends_what_does_not_stop(make_app) -> None:
    make_app(STUBBORN, config="shutdown: {timeout: 100ms}\n")
    with running() as (program, wait_for):
        program.send_signal(signal.SIGTERM)
        wait_for("not everything stopped within 0.1 s (shutdown.timeout)")
        assert program.wait(5) == 1
