"""Counters, gauges and histograms, and their text form as Prometheus reads it.

Bounded: metrics per registry, label sets per metric, labels per set and the length of a label's value. What goes
over a bound is counted, not kept. Source: docs lua/system/metrics, guides/observability.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Final

import attrs

__all__ = ["BUCKETS", "Histogram", "MetricKind", "Metrics", "Sample"]

#: Upper bounds of histogram buckets, in the unit of what is observed (usually seconds). Prometheus' own defaults.
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_MAX_METRICS: Final = 2_000
_MAX_SERIES: Final = 1_000
_MAX_LABELS: Final = 16
_MAX_LABEL_CHARACTERS: Final = 256
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_:]")
_FORBIDDEN_LABEL = re.compile(r"[^A-Za-z0-9_]")
_NO_LABELS: Mapping[str, str] = {}

LabelSet = tuple[tuple[str, str], ...]


class MetricKind(Enum):
    """What a metric counts; the value is its Prometheus name."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@attrs.define(slots=True)
class Histogram:
    """Observations and their sum. `counts[i]` are those in `BUCKETS[i]` and no lower one; the last, above all."""

    counts: list[int] = attrs.field(factory=lambda: [0] * (len(BUCKETS) + 1))
    sum: float = 0.0

    @property
    def count(self) -> int:
        """How many were observed."""
        return sum(self.counts)


@attrs.frozen(slots=True)
class Sample:
    """One series: a metric with one set of labels, and its value now."""

    name: str
    kind: MetricKind
    labels: LabelSet
    value: float | Histogram


@attrs.define(slots=True)
class _Family:
    kind: MetricKind
    numbers: dict[LabelSet, float] = attrs.field(factory=dict)
    histograms: dict[LabelSet, Histogram] = attrs.field(factory=dict)


class Metrics:
    """A node's metrics. All calls are immediate and never fail: measuring must not break what is measured.

    `dropped_count` counts updates that were not taken: a name used as two kinds, a counter that should fall, a value
    that is no number, or a bound.
    """

    def __init__(self) -> None:
        self._families: dict[str, _Family] = {}
        self.dropped_count = 0

    def counter_add(self, name: str, delta: float = 1.0, labels: Mapping[str, str] = _NO_LABELS) -> None:
        """Let a counter rise by `delta` (0 or more)."""
        if not delta >= 0:
            self.dropped_count += 1
            return
        self._add(name, MetricKind.COUNTER, delta, labels)

    def gauge_set(self, name: str, value: float, labels: Mapping[str, str] = _NO_LABELS) -> None:
        """Set a gauge."""
        family = self._family(name, MetricKind.GAUGE)
        key = self._key(family, labels)
        if family is not None and key is not None:
            family.numbers[key] = float(value)

    def gauge_add(self, name: str, delta: float = 1.0, labels: Mapping[str, str] = _NO_LABELS) -> None:
        """Let a gauge rise by `delta`, or fall where it is negative."""
        self._add(name, MetricKind.GAUGE, delta, labels)

    def observe(self, name: str, value: float, labels: Mapping[str, str] = _NO_LABELS) -> None:
        """Put an observation into a histogram."""
        if math.isnan(value):
            self.dropped_count += 1
            return
        family = self._family(name, MetricKind.HISTOGRAM)
        key = self._key(family, labels)
        if family is None or key is None:
            return
        histogram = family.histograms.get(key)
        if histogram is None:
            histogram = family.histograms[key] = Histogram()
        histogram.counts[bisect_left(BUCKETS, value)] += 1
        histogram.sum += value

    def _add(self, name: str, kind: MetricKind, delta: float, labels: Mapping[str, str]) -> None:
        family = self._family(name, kind)
        key = self._key(family, labels)
        if family is not None and key is not None:
            family.numbers[key] = family.numbers.get(key, 0.0) + delta

    def _family(self, name: str, kind: MetricKind) -> _Family | None:
        family = self._families.get(name)
        if family is None:
            if len(self._families) >= _MAX_METRICS or not name or len(name) > _MAX_LABEL_CHARACTERS:
                self.dropped_count += 1
                return None
            family = self._families[name] = _Family(kind)
        if family.kind is not kind:
            self.dropped_count += 1
            return None
        return family

    def _key(self, family: _Family | None, labels: Mapping[str, str]) -> LabelSet | None:
        if family is None:
            return None
        if not labels:
            key: LabelSet = ()
        elif len(labels) > _MAX_LABELS:
            self.dropped_count += 1
            return None
        else:
            key = tuple(sorted((name, value[:_MAX_LABEL_CHARACTERS]) for name, value in labels.items()))
        held = family.histograms if family.kind is MetricKind.HISTOGRAM else family.numbers
        if key not in held and len(held) >= _MAX_SERIES:
            self.dropped_count += 1
            return None
        return key

    def value(self, name: str, labels: Mapping[str, str] = _NO_LABELS) -> float:
        """A counter's or gauge's value now; 0 where it has none."""
        family = self._families.get(name)
        return family.numbers.get(tuple(sorted(labels.items())), 0.0) if family is not None else 0.0

    def samples(self) -> Iterator[Sample]:
        """All series, sorted by name and labels."""
        for name, family in sorted(self._families.items()):
            held: Mapping[LabelSet, float | Histogram] = (
                family.histograms if family.kind is MetricKind.HISTOGRAM else family.numbers
            )
            for labels, value in sorted(held.items(), key=lambda item: item[0]):
                yield Sample(name, family.kind, labels, value)

    def render(self) -> str:
        """The Prometheus text exposition (format 0.0.4). Characters it does not know in names become `_`.

        Where two names become one so, the second is left out: a page with a name twice would be refused whole.
        """
        lines: list[str] = []
        owners: dict[str, str] = {}
        for sample in self.samples():
            name = _FORBIDDEN.sub("_", sample.name)
            if name[0].isdigit():
                name = f"_{name}"
            if name not in owners:
                owners[name] = sample.name
                lines.append(f"# TYPE {name} {sample.kind.value}")
            if owners[name] == sample.name:
                lines.extend(_render_sample(name, sample))
        return "".join(f"{line}\n" for line in lines)


def _render_sample(name: str, sample: Sample) -> Iterator[str]:
    if not isinstance(sample.value, Histogram):
        yield f"{name}{_render_labels(sample.labels)} {_render_number(sample.value)}"
        return
    total = 0
    for bound, count in zip((*BUCKETS, math.inf), sample.value.counts, strict=True):
        total += count
        yield f"{name}_bucket{_render_labels((*sample.labels, ('le', _render_number(bound))))} {total}"
    yield f"{name}_sum{_render_labels(sample.labels)} {_render_number(sample.value.sum)}"
    yield f"{name}_count{_render_labels(sample.labels)} {total}"


def _render_labels(labels: LabelSet) -> str:
    if not labels:
        return ""
    pairs = []
    for name, value in labels:
        escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
        safe = _FORBIDDEN_LABEL.sub("_", name) or "_"
        pairs.append(f'{"_" if safe[0].isdigit() else ""}{safe}="{escaped}"')
    return "{" + ",".join(pairs) + "}"


def _render_number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
