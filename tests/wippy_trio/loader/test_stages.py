from __future__ import annotations

from typing import Any

import pytest

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import ConfigError
from wippy_trio.core.ids import EntryId
from wippy_trio.loader.stages import DisableRules, disable, last_wins, link, normalize, override


def entry(id: str, kind: str = "k", meta: dict[str, Any] | None = None, **data: Any) -> Entry:
    return Entry(EntryId.parse(id), kind, meta or {}, data)


def requirement(id: str, *targets: tuple[str, str], meta: dict[str, Any] | None = None, **more: Any) -> Entry:
    listed = [{"entry": target, "path": path} for target, path in targets]
    return entry(id, "ns.requirement", meta, targets=listed, **more)


def dependency(id: str, component: str, meta: dict[str, Any] | None = None, **parameters: Any) -> Entry:
    listed = [{"name": name.replace("__", ":"), "value": value} for name, value in parameters.items()]
    return entry(id, "ns.dependency", meta, component=component, version="*", parameters=listed)


def ids(entries: tuple[Entry, ...]) -> list[str]:
    return [str(item.id) for item in entries]


# --------------------------------------------------------------------------------------------------------- override


def test_overrides() -> None:
    found = override(
        [entry("app.v2:gate.way", addr=":80"), entry("app:db", "db.sql.sqlite")],
        {
            "app.v2:gate.way:addr": ":81",
            "app.v2:gate.way:tls.mode": "auto",
            "app.v2:gate.way:meta.x": 1,
            "app:db:kind": " db.sql.postgres ",
            "app:db:data.kind": "custom",
            "app:db:a:b": "path keeps the rest",
        },
    )
    assert found[0] == entry("app.v2:gate.way", meta={"x": 1}, addr=":81", tls={"mode": "auto"})
    assert found[1].kind == "db.sql.postgres"
    assert found[1].data == {"kind": "custom", "a:b": "path keeps the rest"}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("", 1, "empty key"),
        ("app", 1, "missing first ':' separator (expected namespace:entry:path)"),
        (":a:b", 1, "empty namespace"),
        ("app:", 1, "missing entry name and path"),
        ("app::b", 1, "empty entry name"),
        ("app:a", 1, "empty path"),
        ("app:gone:x", 1, "no entry found for app:gone"),
        ("app:a:kind", 1, "kind override must be a string, got int"),
        ("app:a:kind", " ", "kind override must not be empty"),
        ("app:a:data", 1, "cannot replace entire data field"),
    ],
)
def test_wrong_overrides(key: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override([entry("app:a")], {key: value})
    assert str(caught.value) == f"override errors: {key}: {message}"


# ---------------------------------------------------------------------------------------------------------- disable


def test_disabling() -> None:
    entries = [
        entry("app:a"),
        entry("app.test:b"),
        entry("app.test.deep:c"),
        entry("lib:x.one"),
        entry("lib:y", meta={"type": "demo"}),
        entry("lib:z", meta={"type": ["demo"]}),
    ]
    rules = DisableRules(("app.test.**", ""), ("lib:x.*",), {"type": ("demo",)})
    assert ids(disable(entries, rules)) == ["app:a", "lib:z"]
    assert disable(entries, DisableRules()) == tuple(entries)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("lib", "missing ':' separator (expected namespace:name)"),
        (":x", "empty namespace"),
        ("lib:", "empty name"),
    ],
)
def test_wrong_patterns(pattern: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        disable([], DisableRules((), (pattern,)))
    assert str(caught.value) == f"invalid entry pattern '{pattern}': {problem}"


# ------------------------------------------------------------------------------------------------------------- link


def linked(*entries: Entry) -> dict[str, Any]:
    loaded = link(entries, strict=True)
    return {str(item.id): item.data for item in loaded.entries if item.kind == "k"}


def test_a_parameter_reaches_every_target() -> None:
    found = link(
        [
            requirement("acme.jobs:db", ("store", ".db"), ("acme.jobs.sub:m", ".meta.target_db"), default="app:x"),
            dependency("app:dep", "acme/jobs", db="app:db"),
            entry("acme.jobs:store"),
            entry("acme.jobs.sub:m"),
        ]
    )
    assert not found.problems
    assert found.entries[2].data == {"db": "app:db"}
    assert found.entries[3].meta == {"target_db": "app:db"}


def test_defaults() -> None:
    assert linked(requirement("m:db", ("s", "db"), default="d"), entry("m:s")) == {"m:s": {"db": "d"}}
    assert linked(requirement("m:db", ("s", "db"), default=""), entry("m:s")) == {"m:s": {"db": ""}}


def test_values_keep_placeholders() -> None:
    found = linked(requirement("a.m:k", ("s", "key")), dependency("app:d", "a/m", k="${env:KEY}"), entry("a.m:s"))
    assert found == {"a.m:s": {"key": "${env:KEY}"}}


def test_appending_to_a_list() -> None:
    found = linked(
        requirement("m:one", ("r", ".middleware+="), default="cors"),
        requirement("m:two", ("r", ".middleware +="), default="auth"),
        entry("m:r", middleware=["cors"]),
    )
    assert found == {"m:r": {"middleware": ["cors", "auth"]}}


def test_which_requirements_a_parameter_suits() -> None:
    target = entry("m.x:s")
    by_module = requirement("m.x:db", ("s", "db"), meta={"module": "acme/jobs"})
    assert linked(by_module, dependency("app:d", "acme/jobs", db="bare"), target) == {"m.x:s": {"db": "bare"}}
    exact = dependency("app:d", "other/mod", None, **{"m.x__db": "exact"})
    assert linked(by_module, exact, target) == {"m.x:s": {"db": "exact"}}
    mounted = dependency("app:d", "acme/jobs", None, **{"acme.jobs__db": "mounted"})
    assert linked(by_module, mounted, target) == {"m.x:s": {"db": "mounted"}}
    stranger = dependency("app:d", "other/mod", db="no")
    assert len(link([by_module, stranger, target]).problems) == 1


def test_own_dependencies_beat_those_of_modules() -> None:
    found = linked(
        requirement("a.m:k", ("s", "key")),
        dependency("lib:d", "a/m", meta={"module": "acme/lib"}, k="theirs"),
        dependency("app:d", "a/m", k="ours"),
        entry("a.m:s"),
    )
    assert found == {"a.m:s": {"key": "ours"}}


def problems(*entries: Entry) -> list[str]:
    return [str(problem) for problem in link(entries).problems]


def test_unresolved_requirements_are_problems() -> None:
    assert problems(requirement("m:db", ("s", "db")), entry("m:s")) == [
        "requirement m:db: no value available: no dependency parameter found and no default value specified"
    ]
    assert problems(requirement("m:db", default="x")) == [
        "requirement m:db: no targets defined in requirement definition"
    ]
    assert problems(requirement("m:db", ("s", "db"), default="x")) == [
        "requirement m:db: target m:s: no matching entries found"
    ]
    assert problems(requirement("m:db", ("s", "a+="), default="x"), entry("m:s", a=1)) == [
        "requirement m:db: cannot append to non-array at path: a"
    ]


def test_conflicts() -> None:
    same = [dependency("app:d1", "a/m", k="1"), dependency("app:d2", "a/m", k="1")]
    different = [*same, dependency("app:d3", "a/m", k="2")]
    needed = requirement("a.m:k", ("s", "key"))
    assert problems(needed, *same, entry("a.m:s")) == []
    (problem,) = problems(needed, *different, entry("a.m:s"))
    assert problem == (
        "requirement a.m:k: parameter conflict: multiple dependencies define different values: "
        "k=1 (from app:d1), k=1 (from app:d2), k=2 (from app:d3)"
    )
    with pytest.raises(ConfigError, match=r"unresolved requirements: requirement a\.m:k"):
        link([needed, *different, entry("a.m:s")], strict=True)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (dependency("app:d", "acme"), "dependency app:d: invalid component 'acme': expected org/module"),
        (dependency("app:d", "a/b", k=1), "app:d: parameters[0].value must be a text"),
        (requirement("m:r", default=5), "requirement m:r: default must be a text"),
        (entry("m:r", "ns.requirement", targets=5), "m:r: targets must be a list of mappings"),
    ],
)
def test_wrong_declarations(item: Entry, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        link([item])
    assert str(caught.value) == message


# -------------------------------------------------------------------------------------------------------- all of it


def test_overrides_beat_requirements_and_feed_them() -> None:
    entries = [requirement("m:db", ("s", "db"), ("t", "db"), default="d"), entry("m:s"), entry("m:t")]
    found = normalize(entries, {"m:db:default": "changed", "m:t:db": "final"}, DisableRules())
    assert [dict(item.data) for item in found.entries[1:]] == [{"db": "changed"}, {"db": "final"}]


def test_an_override_of_a_disabled_entry_is_passed_over() -> None:
    entries = [entry("app:a"), entry("old:b")]
    assert ids(normalize(entries, {"old:b:x": 1}, DisableRules(("old",))).entries) == ["app:a"]
    with pytest.raises(ConfigError, match="no entry found for app:zzz"):
        normalize(entries, {"app:zzz:x": 1}, DisableRules(("old",)))


def test_the_last_definition_of_an_id_wins() -> None:
    loaded = last_wins([entry("app:a", x=1), entry("app:b"), entry("app:a", x=2)])
    assert loaded.entries == (entry("app:b"), entry("app:a", x=2))
    assert [str(problem) for problem in loaded.problems] == [
        "entry app:a is defined twice; this definition wins over the first"
    ]
