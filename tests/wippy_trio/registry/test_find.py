from __future__ import annotations

from typing import Any

import pytest

from wippy_trio.core.entry import Entry
from wippy_trio.core.ids import EntryId
from wippy_trio.registry.find import compile_criteria, matches_glob

ENTRIES = [
    Entry(
        EntryId("app", "get_user"), "function.lua", {"type": "api", "tags": ["a", "backend"], "order": 1, "on": True}
    ),
    Entry(EntryId("app.api", "list"), "http.endpoint", {"type": "api", "title": "List users", "order": 2.0}),
    Entry(EntryId("lib", "get_all"), "library.lua", {"a.b": "dotted", "a": {"b": "nested"}, "on": 1}),
]


def found(criteria: dict[str, Any]) -> list[str]:
    test, _ = compile_criteria(criteria)
    return [str(entry.id) for entry in ENTRIES if test(entry)]


EVERY = ["app:get_user", "app.api:list", "lib:get_all"]


@pytest.mark.parametrize(
    ("criteria", "ids"),
    [
        ({}, EVERY),
        ({".kind": "function.lua"}, ["app:get_user"]),
        ({".kind": "*.lua"}, ["app:get_user", "lib:get_all"]),
        ({".name": "get_*"}, ["app:get_user", "lib:get_all"]),
        ({".ns": "app"}, ["app:get_user"]),
        ({".id": "app*:list"}, ["app.api:list"]),
        ({".id": "app*:l*t"}, []),  # only the first star counts
        ({".other": "x", ".kind": 5}, EVERY),
        ({"meta.type": "api", ".ns": "app"}, ["app:get_user"]),
        ({"meta.type": "Api"}, []),
        ({"meta.order": 2}, ["app.api:list"]),
        ({"meta.on": True}, ["app:get_user"]),
        ({"meta.a.b": "dotted"}, ["lib:get_all"]),
        ({"meta.tags": ["backend", "a"]}, ["app:get_user"]),
        ({"meta.tags": ["backend", "x"]}, []),
        ({"meta.type": ["api"]}, []),
        ({"~meta.title": "^list (users|groups)$"}, []),
        ({"~meta.title": "(?i)^list (users|groups)$"}, ["app.api:list"]),
        ({"~meta.title": "user"}, ["app.api:list"]),
        ({"~meta.tags": "a"}, []),
        ({"*meta.title": "st us"}, ["app.api:list"]),
        ({"*meta.tags": "back"}, ["app:get_user"]),
        ({"*meta.order": "1"}, []),
        ({"^meta.title": "List"}, ["app.api:list"]),
        ({"^meta.missing": ""}, []),
        ({"$meta.title": "users"}, ["app.api:list"]),
        ({"^meta.title": 5}, EVERY),
        ({"type": "api"}, EVERY),
        ({"~meta.title": "("}, EVERY),
        ({"~meta.title": "(?=x)"}, EVERY),
    ],
)
def test_criteria(criteria: dict[str, Any], ids: list[str]) -> None:
    assert found(criteria) == ids


def test_what_is_passed_over_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    _, warnings = compile_criteria({"type": "x", "~meta.t": "(", "meta.ok": 1})
    assert [warning.partition(":")[0] for warning in warnings] == [
        "criterion 'type' is passed over",
        "criterion '~meta.t' is passed over",
    ]
    assert capfd.readouterr().err == ""


def test_globs() -> None:
    assert matches_glob("a*c", "abc")
    assert matches_glob("*", "")
    assert not matches_glob("ab*bc", "abc")
