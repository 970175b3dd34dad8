from __future__ import annotations

import math

import pytest

from wippy_trio.observability import metrics as metrics_module
from wippy_trio.observability.metrics import Histogram, Metrics


def test_counters_gauges_and_their_labels() -> None:
    metrics = Metrics()
    metrics.counter_add("c")
    metrics.counter_add("c", 2.5, {"b": "1", "a": "2"})
    metrics.counter_add("c", 1, {"a": "2", "b": "1"})
    metrics.gauge_set("g", 5)
    metrics.gauge_add("g")
    metrics.gauge_add("g", -3)
    assert metrics.value("c") == 1
    assert metrics.value("c", {"a": "2", "b": "1"}) == 3.5
    assert metrics.value("g") == 3
    assert metrics.value("nothing") == 0
    assert [(sample.name, sample.labels) for sample in metrics.samples()] == [
        ("c", ()),
        ("c", (("a", "2"), ("b", "1"))),
        ("g", ()),
    ]


def test_what_makes_no_sense_is_dropped_and_counted() -> None:
    metrics = Metrics()
    metrics.counter_add("c")
    for mistake in (
        lambda: metrics.counter_add("c", -1),
        lambda: metrics.counter_add("c", math.nan),
        lambda: metrics.gauge_set("c", 1),
        lambda: metrics.observe("c", 1),
        lambda: metrics.observe("h", math.nan),
        lambda: metrics.gauge_set("", 1),
        lambda: metrics.gauge_set("n" * 300, 1),
        lambda: metrics.gauge_set("g", 1, {f"l{number}": "" for number in range(17)}),
    ):
        before = metrics.dropped_count
        mistake()
        assert metrics.dropped_count == before + 1
    assert metrics.value("c") == 1


def test_series_and_metrics_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "_MAX_SERIES", 3)
    monkeypatch.setattr(metrics_module, "_MAX_METRICS", 2)
    metrics = Metrics()
    for number in range(5):
        metrics.counter_add("c", 1, {"user": str(number)})
        metrics.observe("h", 1, {"user": str(number)})
    metrics.counter_add("c", 1, {"user": "0"})
    metrics.gauge_set("one too many", 1)
    assert metrics.value("c", {"user": "0"}) == 2
    assert metrics.dropped_count == 2 + 2 + 1
    metrics.counter_add("c", 1, {"user": "0" * 999})
    assert all(len(value) <= 256 for sample in metrics.samples() for _, value in sample.labels)


def test_histograms_count_into_buckets() -> None:
    metrics = Metrics()
    for value in (0.005, 0.0051, 9, 11, math.inf):
        metrics.observe("h", value)
    (sample,) = metrics.samples()
    assert isinstance(sample.value, Histogram)
    assert sample.value.counts[:2] == [1, 1]
    assert sample.value.counts[-2:] == [1, 2]
    assert sample.value.count == 5


def test_the_text_for_prometheus() -> None:
    metrics = Metrics()
    metrics.counter_add("requests.total", 3, {"path": 'a"b\\c\nd', "9x": "y"})
    metrics.counter_add("requests_total", 8)
    metrics.gauge_set("1g", 0.5)
    metrics.gauge_set("inf", -math.inf)
    metrics.gauge_set("nan", math.nan)
    metrics.observe("h", 0.2, {"k": "v"})
    lines = metrics.render().splitlines()
    assert lines[:3] == ["# TYPE _1g gauge", "_1g 0.5", "# TYPE h histogram"]
    assert 'h_bucket{k="v",le="0.1"} 0' in lines
    assert 'h_bucket{k="v",le="0.25"} 1' in lines
    assert 'h_bucket{k="v",le="+Inf"} 1' in lines
    assert lines[lines.index('h_sum{k="v"} 0.2') + 1] == 'h_count{k="v"} 1'
    assert lines[-2:] == ["# TYPE requests_total counter", 'requests_total{_9x="y",path="a\\"b\\\\c\\nd"} 3']
    assert "inf -Inf" in lines
    assert "nan NaN" in lines
    assert Metrics().render() == ""
