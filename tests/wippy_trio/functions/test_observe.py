"""Metrics and spans of calls, and what carries a trace on: calls, processes, messages."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.conftest import OpenApp
from wippy_trio.app.app import App
from wippy_trio.core.errors import LuaError
from wippy_trio.core.frame import Frame
from wippy_trio.observability.trace import Span, tracer_of

OTEL = {"otel": {"enabled": True, "exporter": "none"}}
METRICS = {"metrics": {"interceptor.enabled": True}}
ENTRIES = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: f
  kind: function.lua
  modules: [time]
  source: |
    return function(how)
      if how == "fail" then return nil, errors.new({kind = errors.CONFLICT, message = "no"}) end
      if how == "raise" then error("boom") end
      require("time").sleep(how or "100ms")
      return how
    end
- name: outer
  kind: function.lua
  modules: [funcs]
  source: |
    local funcs = require("funcs")
    return function(how)
      funcs.call("app:f", how)
      funcs.new():with_context({tenant = "t1"}):call("app:f", how)
      return true
    end
- name: starter
  kind: function.lua
  modules: [funcs, time]
  source: |
    return function()
      local pid = process.spawn("app:child", "app:host")
      process.exec("app:child", "app:host")
      require("time").sleep("1s")
      return pid
    end
- name: child
  kind: process.lua
  modules: [funcs]
  source: |
    return function()
      return require("funcs").call("app:f", "10ms")
    end
- name: hosted
  kind: process.lua
  meta: {default_host: "app:host"}
  source: return function() return 5 end
- {name: memory, kind: queue.driver.memory}
- {name: mail, kind: queue.queue, driver: memory}
- {name: reader, kind: queue.consumer, queue: mail, func: handle, lifecycle: {auto_start: true}}
- name: handle
  kind: function.lua
  modules: [queue]
  source: return function(body) return require("queue").message() ~= nil end
- name: publish
  kind: function.lua
  modules: [queue]
  source: return function() return require("queue").publish("app:mail", {n = 1}, {kind = "test"}) end
"""


def spans(running: App) -> list[Span]:
    tracer = tracer_of(running.runtime.extras)
    assert tracer is not None
    return tracer.spans()


def named(running: App, name: str) -> Span:
    [found] = [span for span in spans(running) if span.name == name]
    return found


async def test_metrics_of_calls(app: OpenApp) -> None:
    async with app(ENTRIES, settings=METRICS) as running:
        metrics = running.runtime.metrics
        labels = {"function_id": "app:f"}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.call, "app:outer", "200ms")
            await trio.sleep(0.1)
            assert metrics.value("wippy_function_in_flight", labels) == 1
            assert metrics.value("wippy_function_in_flight", {"function_id": "app:outer"}) == 1
        for how in ("fail", "raise"):
            with pytest.raises(LuaError):
                await running.call("app:f", how)
        with trio.move_on_after(0.01):
            await running.call("app:f", "1h")
        assert await running.call("app:hosted") == 5
        assert metrics.value("wippy_function_in_flight", labels) == 0
        assert metrics.value("wippy_function_calls", {**labels, "status": "success"}) == 2
        assert metrics.value("wippy_function_calls", {**labels, "status": "error"}) == 3
        assert metrics.value("wippy_function_calls", {"function_id": "app:hosted", "status": "success"}) == 1
        for kind in ("Conflict", "Internal", "Canceled"):
            assert metrics.value("wippy_function_errors", {**labels, "kind": kind}) == 1
        text = metrics.render()
        assert 'wippy_function_duration_sum{function_id="app:f"} 0.4' in text
        assert 'wippy_function_duration_count{function_id="app:f"} 5' in text


async def test_nothing_is_measured_unless_asked_for(app: OpenApp) -> None:
    async with app(ENTRIES) as running:
        assert await running.call("app:outer", "1ms") is True
        assert "wippy_function" not in running.runtime.metrics.render()
        assert tracer_of(running.runtime.extras) is None
        assert not running.runtime.functions.observed


async def test_spans_of_calls_in_calls(app: OpenApp) -> None:
    async with app(ENTRIES, settings=OTEL) as running:
        await running.call("app:outer", "10ms", frame=Frame(pid="{local@x|1}", values={"user": 7}))
        outer = named(running, "app:outer")
        first, second = (span for span in spans(running) if span.name == "app:f")
        assert (outer.kind, outer.parent_id, outer.status) == ("server", "", "ok")
        for inner in (first, second):
            assert (inner.kind, inner.trace_id, inner.parent_id) == ("internal", outer.trace_id, outer.span_id)
            assert inner.duration_s == pytest.approx(0.01)
        assert outer.attributes == {"frame.id": "app:outer", "process.pid": "{local@x|1}", "ctx.user": 7}
        assert "ctx.tenant" not in first.attributes
        assert second.attributes["ctx.tenant"] == "t1"
        assert second.attributes["process.pid"].startswith("{local@app:outer|")


async def test_a_failed_call_is_a_failed_span_and_every_try_is_one(app: OpenApp) -> None:
    async with app(ENTRIES, settings=OTEL) as running:
        with pytest.raises(LuaError):
            await running.runtime.functions.call(_id("f"), ["fail"], Frame(), retry={"max_attempts": 3})
        assert [(span.status, span.message) for span in spans(running)] == [("error", "no")] * 3
        with trio.move_on_after(0.01):
            await running.call("app:f", "1h")
        assert (spans(running)[-1].status, spans(running)[-1].message) == ("error", "canceled")


def _id(name: str) -> Any:
    from wippy_trio.core.ids import EntryId

    return EntryId("app", name)


async def test_processes_stay_in_the_trace_of_who_started_them(app: OpenApp) -> None:
    async with app(ENTRIES, settings=OTEL) as running:
        pid = await running.call("app:starter")
        starter = named(running, "app:starter")
        below = [span for span in spans(running) if span.parent_id == starter.span_id]
        assert sorted(span.name for span in below) == [
            *["app:child.started"] * 2,
            *["app:child.terminated"] * 2,
            *["app:f"] * 2,
        ]
        assert {span.trace_id for span in spans(running)} == {starter.trace_id}
        ended = [
            span for span in below if span.name == "app:child.terminated" and span.attributes["process.pid"] == pid
        ]
        assert ended[0].attributes["termination.reason"] == "completed"
        assert ended[0].attributes["process.source"] == "app:child"
        count = len(spans(running))
        await running.run("app:child", "app:host")
        assert [span.name for span in spans(running)[count:]] == ["app:f"], "nobody in a trace started it"


async def test_a_message_carries_its_trace_to_the_consumer(app: OpenApp) -> None:
    async with app(ENTRIES, settings=OTEL) as running:
        assert await running.call("app:publish") is True
        await trio.sleep(1)
        caller, sent, handled = (
            named(running, "app:publish"),
            named(running, "app:mail.publish"),
            named(running, "app:handle"),
        )
        assert (sent.kind, sent.parent_id) == ("producer", caller.span_id)
        assert (handled.kind, handled.parent_id, handled.trace_id) == ("consumer", sent.span_id, caller.trace_id)
        assert sent.attributes["messaging.destination.name"] == "app:mail"
        assert handled.attributes["messaging.operation"] == "process"


@pytest.mark.parametrize(
    ("section", "absent"),
    [
        ({"queue.enabled": False}, "app:mail.publish"),
        ({"process.enabled": False}, "app:child.started"),
        ({"interceptor.enabled": False}, "app:publish"),
    ],
)
async def test_parts_can_be_switched_off(app: OpenApp, section: dict[str, Any], absent: str) -> None:
    async with app(ENTRIES, settings={"otel": {**OTEL["otel"], **section}}) as running:
        await running.call("app:publish")
        await running.call("app:starter")
        await trio.sleep(1)
        found = {span.name for span in spans(running)}
        assert found
        assert absent not in found


async def test_with_both_the_trace_goes_on_through_the_short_way(app: OpenApp) -> None:
    async with app(ENTRIES, settings={**OTEL, **METRICS}) as running:
        await running.call("app:outer", "10ms")
        assert len(spans(running)) == 3
        assert running.runtime.metrics.value("wippy_function_calls", {"function_id": "app:f", "status": "success"}) == 2
