"""`registry list` and `registry show`."""

import json

import pytest
import yaml

APP = """
- name: get
  kind: function.lua
  meta: {type: api, title: Get a user, level: 3, tags: [a, b]}
  source: |
    return function()
      return 1
    end
  pool: {size: 4}
- name: get.endpoint
  kind: http.endpoint
  meta: {type: route, title: Route of get}
  method: GET
- name: worker
  kind: process.lua
  meta: {enabled: true}
  source: "return 1"
"""


def ids(out: str) -> list[str]:
    return [row["id"].removeprefix("app:") for row in json.loads(out)]


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ([], ["get", "get.endpoint", "worker"]),
        (["--kind", "function.*"], ["get"]),
        (["-k", "*.lua"], ["get", "worker"]),
        (["--ns", "app*", "--name", "get*"], ["get", "get.endpoint"]),
        (["-n", "other"], []),
        (["--meta", "type=api"], ["get"]),
        (["--meta", "level=3"], ["get"]),
        (["--meta", "enabled=true"], ["worker"]),
        (["--meta", "title~^Get.*user$"], ["get"]),
        (["--meta", "title*of"], ["get.endpoint"]),
        (["--meta", "tags*b"], ["get"]),
        (["--meta", "title^Get"], ["get"]),
        (["--meta", "title$get"], ["get.endpoint"]),
        (["--meta", "title*e", "--meta", "type=route"], ["get.endpoint"]),
    ],
)
def test_filters(make_app, program, args: list[str], found: list[str]) -> None:
    make_app(APP)
    assert ids(program("registry", "list", "--json", *args).out) == found


def test_a_table_and_yaml(make_app, program) -> None:
    make_app(APP)
    out = program("registry", "list").out
    assert out.splitlines()[2] == "app:get           function.lua"
    assert out.endswith("\nTotal: 3 entries\n")
    rows = yaml.safe_load(program("registry", "list", "--yaml").out)
    assert rows[2] == {"id": "app:worker", "kind": "process.lua", "meta": {"enabled": True}}
    assert program("registry", "list", "--name", "zzz").out == "No entries found\n"


def test_one_entry(make_app, program) -> None:
    make_app(APP)
    shown = json.loads(program("registry", "show", "app:get", "--json").out)
    assert (shown["id"], shown["kind"], shown["meta"]["level"]) == ("app:get", "function.lua", 3)
    assert shown["data"]["pool"] == {"size": 4}
    assert yaml.safe_load(program("registry", "show", "get", "--yaml").out) == shown
    text = program("registry", "show", "get").out
    assert text.startswith("ID:   app:get\nKind: function.lua\nFile: src/_index.yaml:5:3\n\nMetadata:\n")
    assert "  source: |\n    return function()\n" in text


def test_one_field(make_app, program) -> None:
    make_app(APP)
    source = "return function()\n  return 1\nend\n"
    assert program("registry", "show", "get", "-f", "source").out == source
    assert program("registry", "show", "worker", "-f", "source", "--raw").out == "return 1"
    assert json.loads(program("registry", "show", "get", "-f", "source", "--json").out) == source
    assert program("registry", "show", "get", "-f", "pool").out == "size: 4\n"
    assert program("registry", "show", "get", "-f", "pool.size", "--raw").out == "4"


@pytest.mark.parametrize(
    ("args", "err"),
    [
        (["show", "gone"], "error: entry not found: gone\n  hint: `registry list`"),
        (["show", "get", "-f", "no"], 'Error: field "no" not found in entry data; fields: pool, source\n'),
        (["list", "--meta", "what"], "error: --meta 'what' is no filter\n  hint: filters are FIELD=VALUE"),
        (["list", "--meta", "title~("], "error: --meta 'title~(': "),
    ],
)
def test_mistakes_are_answered(make_app, program, args: list[str], err: str) -> None:
    make_app(APP)
    ended = program("registry", *args)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(err)


def test_a_name_of_two_entries_is_ambiguous(make_app, program) -> None:
    path = make_app(APP)
    (path / "src" / "two.yaml").write_text("namespace: two\nentries: [{name: get, kind: x}]\n", encoding="utf-8")
    assert program("registry", "show", "get").err.startswith('error: ambiguous entry name "get", use full ID')
    assert program("registry", "show", "two:get").code == 0


def test_overrides_count(make_app, program) -> None:
    make_app(APP)
    assert program("registry", "show", "-o", "app:get:pool.size=9", "get", "-f", "pool").out == "size: 9\n"
