from __future__ import annotations

from typing import Any

import pytest

from wippy_trio.core.entry import Entry
from wippy_trio.core.ids import EntryId
from wippy_trio.registry.references import References, Universe


def entry(id: str, kind: str = "k", meta: dict[str, Any] | None = None, **data: Any) -> Entry:
    return Entry(EntryId.parse(id), kind, meta or {}, data)


def found(item: Entry, references: References | None = None) -> list[str]:
    return sorted(str(id) for id in (references or References()).declared(item).ids)


@pytest.mark.parametrize(
    ("item", "ids"),
    [
        (entry("app:x", meta={"router": "api"}), ["app:api"]),
        (entry("app:x", meta={"server": "web:gw", "parent": "p"}), ["app:p", "web:gw"]),
        (entry("app:x", meta={"depends_on": ["a", "b:c"]}), ["app:a", "b:c"]),
        (entry("app:x", meta={"depends_on": "a"}), ["app:a"]),
        (entry("app:x", meta={"temporal": {"activity": {"worker": "w"}}}), ["app:w"]),
        (entry("app:x", imports={"one": "lib", "two": "l:two"}), ["app:lib", "l:two"]),
        (entry("app:x", lifecycle={"requires": ["db"], "depends_on": ["q"]}), ["app:db", "app:q"]),
        (entry("app:x", lifecycle={"security": {"groups": ["g"], "policies": ["p:p"]}}), ["app:g", "p:p"]),
        (entry("app:x", contracts=[{"contract": "c", "methods": {"m": "f"}}]), ["app:c", "app:f"]),
        (entry("app:x", dead_letter={"queue": "dlq"}, queue="q", driver="d"), ["app:d", "app:dlq", "app:q"]),
        (entry("app:x", tls={"cert_env": "cert", "mode": "no"}, dsn_env="e:dsn"), ["app:cert", "e:dsn"]),
        (entry("app:x", storages=["m", "o"], storage="s"), ["app:m", "app:o", "app:s"]),
        (entry("app:x", host="x"), []),  # itself
        (entry("app:x", title="a:b", func=5, fs=None, set="", server="web:"), []),
        (entry("app:x", url="http://${env:app.env:host}/${env:PORT|80}"), ["app.env:host"]),
    ],
)
def test_direct_references(item: Entry, ids: list[str]) -> None:
    assert found(item) == ids


def test_groups_namespaces_and_variables() -> None:
    item = entry("app:x", meta={"depends_on": ["group:backend", "ns:lib"]}, dsn="${env:DSN}-${USER|u}-$${env:NOT}")
    declared = References().declared(item)
    assert (sorted(declared.groups), sorted(declared.namespaces)) == (["backend"], ["lib"])
    assert declared.variables == {"DSN", "USER"}
    universe = Universe(
        [
            entry("a:one", meta={"groups": ["backend"]}),
            entry("lib:two"),
            entry("env:dsn", "env.variable", variable="DSN"),
            entry("env:other", variable="USER"),
            entry("z:last"),
        ]
    )
    assert [str(id) for id in universe.targets(item, declared)] == ["a:one", "env:dsn", "lib:two"]


def test_kinds_and_functions_add_references() -> None:
    references = References(("meta.up",), lambda item: [EntryId("fixed", item.id.name)]).with_patterns(["database"])
    item = entry("app:x", meta={"up": "u"}, database="db", func="not asked for")
    assert found(item, references) == ["app:db", "app:u", "fixed:x"]


def test_data_of_any_shape() -> None:
    odd = Entry(EntryId("app", "x"), "k", {}, ["${env:app:a}", 5])  # type: ignore[arg-type]  # a `data:` list
    assert found(odd) == ["app:a"]
    user = entry("app:y", func="x")
    assert Universe([odd]).targets(user, References().declared(user)) == [odd.id]
