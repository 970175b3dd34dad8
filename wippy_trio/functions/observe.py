"""Interceptors that watch function calls: metrics and spans. They are there only where the configuration asks.

Source: docs guides/configuration (metrics, otel), guides/observability.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from determinism.seams import Clock
from sandbox.values import Packed
from wippy_trio.actors.actor import real_failure
from wippy_trio.core.errors import LuaError
from wippy_trio.core.frame import TRACE, Frame
from wippy_trio.functions.intercept import Interceptor, Next
from wippy_trio.observability.metrics import Metrics
from wippy_trio.observability.trace import SpanKind, Tracer
from wippy_trio.storage.queues import Delivery

__all__ = ["CALLS", "DURATION", "ERRORS", "IN_FLIGHT", "measure", "trace_calls"]

CALLS: Final = "wippy_function_calls"
DURATION: Final = "wippy_function_duration"
IN_FLIGHT: Final = "wippy_function_in_flight"
#: Ours: the failed calls by the kind of their error.
ERRORS: Final = "wippy_function_errors"

_DELIVERY: Final = "queue.delivery"


def measure(metrics: Metrics, clock: Clock) -> Interceptor:
    """Count calls (by `status`), failures (by `kind`), their seconds, and those that run now; by `function_id`.

    Each try of a retried call counts.
    """

    async def intercept(step: Next, frame: Frame) -> Packed:
        labels = {"function_id": str(frame.entry)}
        metrics.gauge_add(IN_FLIGHT, 1, labels)
        begun_s = clock.monotonic_s()
        kind = "Internal"
        try:
            result = await step(frame)
            kind = ""
        except LuaError as error:
            kind = error.kind or "Unknown"
            raise
        except BaseException as problem:
            if real_failure(problem) is None:
                kind = "Canceled"
            raise
        finally:
            metrics.gauge_add(IN_FLIGHT, -1, labels)
            metrics.observe(DURATION, clock.monotonic_s() - begun_s, labels)
            metrics.counter_add(CALLS, 1, {**labels, "status": "error" if kind else "success"})
            if kind:
                metrics.counter_add(ERRORS, 1, {**labels, "kind": kind})
        return result

    return intercept


def trace_calls(tracer: Tracer) -> Interceptor:
    """A span for each call, below the caller's; what the call starts is below that.

    Without a caller in a trace a call is the root of one. The handler of a message is a `consumer`.
    """

    async def intercept(step: Next, frame: Frame) -> Packed:
        extras = frame.extras
        parent, delivery = extras.get(TRACE), extras.get(_DELIVERY)
        kind = SpanKind.SERVER if parent is None else SpanKind.INTERNAL
        if parent is not None and isinstance(delivery, Delivery):
            kind = SpanKind.CONSUMER
        with tracer.span(str(frame.entry), kind, parent) as span:
            if span.context.sampled:
                span.set(_attributes(frame, delivery))
            return await step(attrs.evolve(frame, extras={**extras, TRACE: span.context}))

    return intercept


def _attributes(frame: Frame, delivery: object) -> Mapping[str, Any]:
    told: dict[str, Any] = {"frame.id": str(frame.entry)}
    if frame.pid:
        told["process.pid"] = frame.pid
    if isinstance(delivery, Delivery):
        told["messaging.operation"] = "process"
        told["messaging.message.id"] = delivery.message.id
    told |= {f"ctx.{key}": value for key, value in frame.values.items()}
    return told | {f"opt.{key}": value for key, value in frame.options.items()}
