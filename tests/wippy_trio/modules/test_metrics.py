from __future__ import annotations

from typing import Any

import pytest

from wippy_trio.core.errors import InternalError
from wippy_trio.modules.metrics import MODULE


async def test_everything_is_counted(app: Any) -> None:
    entries = """
  - name: f
    kind: function.lua
    method: main
    modules: [metrics]
    source: |
      return function()
        local m = require('metrics')
        return {m.counter_inc('c'), m.counter_add('c', 2.5, {a = 'x', n = 3, b = true}), m.counter_inc('c', 'ignored'),
          m.gauge_set('g', '7'), m.gauge_inc('g'), m.gauge_dec('g'), m.gauge_dec('g'), m.histogram('h', 0.2, {})}
      end
"""
    async with app(entries) as running:
        assert await running.call("app:f") == [True] * 8
        metrics = running.runtime.metrics
        assert metrics.value("c") == 2
        assert metrics.value("c", {"a": "x"}) == 2.5
        assert metrics.value("g") == 6
        assert "h_count 1" in metrics.render()


async def test_wrong_arguments_are_raised(lua: Any) -> None:
    source = """
        local m = require('metrics')
        return {select(2, pcall(m.counter_inc)), select(2, pcall(m.gauge_set, 'g', {}))}
    """
    result = await lua(source, modules=["metrics"])
    assert "bad argument #1 to counter_inc (string expected, got nil)" in result[0]
    assert "bad argument #2 to gauge_set (number expected, got table)" in result[1]


def test_without_a_collector_it_says_so() -> None:
    class Bare:
        class runtime:  # noqa: N801 - stands for an instance
            metrics = None

    with pytest.raises(InternalError, match="metrics collector not available"):
        MODULE.operations["metrics.gauge_add"].handler(Bare(), "x", 1)
