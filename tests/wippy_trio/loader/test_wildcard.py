from __future__ import annotations

import pytest

from wippy_trio.loader.wildcard import matches


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("app", "app", True),
        ("app", "app.a", False),
        ("*", "app", True),
        ("*", "app.a", False),
        ("*", "", False),
        ("app.*", "app", False),
        ("app.*", "app.a", True),
        ("app.*", "app.a.b", False),
        ("app.**", "app", True),
        ("app.**", "app.a.b", True),
        ("**", "a.b", True),
        ("**.test", "a.b.test", True),
        ("**.test", "test", True),
        ("**.test", "a.test.b", False),
        ("a.**.z", "a.z", True),
        ("a.**.b.**.z", "a.1.b.2.3.z", True),
        ("(a|b).c", "b.c", True),
        ("(a|b).c", "c.c", False),
        ("app*", "apple", False),
        ("app*", "app*", True),
        ("", "", False),
    ],
)
def test_wildcards(pattern: str, text: str, fits: bool) -> None:
    assert matches(pattern, text) is fits


def test_many_double_stars_stay_quick() -> None:
    assert not matches(".".join(["**", "a"] * 30), ".".join(["a"] * 29 + ["b"] * 200))
