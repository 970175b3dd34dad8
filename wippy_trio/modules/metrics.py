"""The `metrics` module: counters, gauges, histograms. Source: docs lua/system/metrics."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.values import as_text
from wippy_trio.core.errors import InternalError
from wippy_trio.module import Call, Module, ModuleClass
from wippy_trio.observability.metrics import Metrics

__all__ = ["MODULE"]

MODULE = Module("metrics", classes={ModuleClass.IO, ModuleClass.NONDETERMINISTIC}, prelude="metrics.lua")


def _metrics(call: Call) -> Metrics:
    metrics = call.runtime.metrics
    if not isinstance(metrics, Metrics):
        raise InternalError("metrics collector not available", retryable=False)
    return metrics


def _labels(value: object) -> dict[str, str]:
    """Labels of texts; whatever else a caller put there is left out, as the reference does."""
    if not isinstance(value, Mapping):
        return {}
    return {
        as_text(key): as_text(label)
        for key, label in value.items()
        if isinstance(key, str | bytes) and isinstance(label, str | bytes)
    }


@MODULE.immediate("metrics.counter_add")
def counter_add(call: Call, name: object, delta: float, labels: object = None) -> bool:
    """Let a counter rise."""
    _metrics(call).counter_add(as_text(name), delta, _labels(labels))
    return True


@MODULE.immediate("metrics.gauge_set")
def gauge_set(call: Call, name: object, value: float, labels: object = None) -> bool:
    """Set a gauge."""
    _metrics(call).gauge_set(as_text(name), value, _labels(labels))
    return True


@MODULE.immediate("metrics.gauge_add")
def gauge_add(call: Call, name: object, delta: float, labels: object = None) -> bool:
    """Let a gauge rise or fall."""
    _metrics(call).gauge_add(as_text(name), delta, _labels(labels))
    return True


@MODULE.immediate("metrics.histogram")
def histogram(call: Call, name: object, value: float, labels: object = None) -> bool:
    """Put an observation into a histogram."""
    _metrics(call).observe(as_text(name), value, _labels(labels))
    return True
