from __future__ import annotations

from typing import Any

from wippy_trio.core.frame import EMPTY_FRAME, SecurityActor
from wippy_trio.security.scope import Scope


async def test_what_is_sent_is_received_in_order(lua: Any) -> None:
    source = """
        local events = require('events')
        local sub = events.subscribe('orders.*', 'order.created')
        local everything = events.subscribe('**', '*')
        events.send('orders.eu', 'order.created', '/1', {id = 7, tags = {'a'}})
        events.send('orders.eu', 'order.paid', '/1')
        events.send('other', 'order.created', '/1')
        events.send('orders.us.east', 'order.created', '/2')
        local first, second = sub:channel():receive(), sub:channel():receive()
        local kinds = {}
        for i = 1, 4 do kinds[i] = everything:channel():receive().kind end
        return {first.system, first.kind, first.path, first.data.id, first.data.tags[1], second.path,
          second.data == nil, kinds}
    """
    result = await lua(source, modules=["events"])
    assert result[:7] == ["orders.eu", "order.created", "/1", 7, "a", "/2", True]
    assert result[7] == ["order.created", "order.paid", "order.created", "order.created"]


async def test_a_closed_subscription_hears_nothing(lua: Any) -> None:
    source = """
        local events = require('events')
        local sub = events.subscribe('s')
        local channel = sub:channel()
        local closed = sub:close() and sub:close()
        events.send('s', 'k', '/p')
        local event, ok = channel:receive()
        return {closed, event == nil, ok, tostring(sub), type(sub)}
    """
    result = await lua(source, modules=["events"])
    assert result == [True, True, False, "events.Subscription{}", "userdata"]


async def test_a_reader_far_behind_loses_the_newest(lua: Any) -> None:
    source = """
        local events = require('events')
        local sub = events.subscribe('s')
        for i = 1, 100 do events.send('s', 'k', '/' .. i) end
        sub:close()
        local n, last = 0, nil
        for i = 1, 100 do
          local event, ok = sub:channel():receive()
          if not ok then break end
          n, last = n + 1, event.path
        end
        return {n, last}
    """
    assert await lua(source, modules=["events"]) == [64, "/64"]


async def test_errors_and_denials_are_invalid(lua: Any) -> None:
    source = """
        local events = require('events')
        local function told(v, e) return tostring(v) .. ' ' .. e:kind() .. ' ' .. tostring(e) end
        return {told(events.subscribe('')), told(events.send('', 'k', 'p')), told(events.send('s', '', 'p')),
          told(events.send('s', 'k', ''))}
    """
    assert await lua(source, modules=["events"]) == [
        "nil Invalid system pattern is required",
        "nil Invalid system is required",
        "nil Invalid kind is required",
        "nil Invalid path is required",
    ]
    denied = """
        local events = require('events')
        local function told(v, e) return tostring(v) .. ' ' .. e:kind() .. ' ' .. tostring(e) end
        return {told(events.subscribe('s')), told(events.send('s', 'k', 'p'))}
    """
    nobody = EMPTY_FRAME.with_identity(SecurityActor("u"), Scope())
    assert await lua(denied, modules=["events"], frame=nobody) == [
        "nil Invalid not allowed to subscribe to events from system: s",
        "nil Invalid not allowed to send events to system: s",
    ]


async def test_subscriptions_end_with_the_call(app: Any) -> None:
    entries = """
  - name: f
    kind: function.lua
    method: main
    modules: [events]
    source: return function() require('events').subscribe('s') return true end
"""
    async with app(entries) as running:
        listeners = len(running.runtime.events)
        assert await running.call("app:f") is True
        assert len(running.runtime.events) == listeners
