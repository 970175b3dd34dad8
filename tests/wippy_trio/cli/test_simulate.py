"""sim and replay: exit codes, JSON, what is printed for a failure."""

from __future__ import annotations

import json

import pytest

APP = """
  - {name: host, kind: process.host, lifecycle: {auto_start: true}}
  - {name: kv, kind: store.memory, lifecycle: {auto_start: true}}
  - name: inc
    kind: process.lua
    method: main
    modules: [process, store]
    source: |
      return { main = function(parent)
        local s = require("store").get("app:kv")
        s:set("x", (s:get("x") or 0) + 1)
        process.send(parent, "done", 1)
      end }
  - name: broken
    kind: function.lua
    meta: {type: simulation}
    method: main
    modules: [process, store]
    source: |
      return { main = function()
        local inbox, s = process.inbox(), require("store").get("app:kv")
        s:set("x", 0)
        for _ = 1, 2 do process.spawn("app:inc", "app:host", process.pid()) end
        for _ = 1, 2 do inbox:receive() end
        if s:get("x") ~= 2 then error("lost update") end
      end }
  - name: sound
    kind: function.lua
    meta: {type: simulation}
    method: main
    source: "return { main = function() return true end }"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "wippy.lock").write_text("directories:\n  modules: .wippy\n  src: ./src\n")
    (tmp_path / "src" / "_index.yaml").write_text(f'version: "1.0"\nnamespace: app\nentries:{APP}')
    return tmp_path


def test_a_failure_is_found_shrunk_and_replayed(program, folder) -> None:
    args = ["--seeds", "20", "--faults", "none", "--jobs", "1"]
    found = program("sim", str(folder), *args, "--json", str(folder / "out.json"))
    assert found.code == 1
    data = json.loads((folder / "out.json").read_text())
    assert data["seeds"] == 20
    assert sorted(data["trace_hashes"]) == sorted(f"app:{name}/{n}" for name in ("broken", "sound") for n in range(20))
    (failure,) = data["failures"]
    assert (failure["scenario"], failure["kind"], failure["faults"]) == ("app:broken", "scenario", 0)
    assert failure["shrunk"]["faults"] == 0
    assert 1 <= failure["shrunk"]["preemptions"] <= 2
    assert failure["shrunk"]["replay"] in found.out
    again = program("replay", str(folder / failure["record"]), "--json")
    assert again.code == 1
    replayed = json.loads(again.out)
    assert replayed["same"]
    assert replayed["failure"]["message"] == failure["message"]
    by_seed = program(
        "replay", "--seed", str(failure["seed"]), "--scenario", "app:broken", "--faults", "none", str(folder)
    )
    assert by_seed.code == 1
    assert f"trace {failure['trace_hash']}" in by_seed.out


def test_what_holds_ends_with_0(program, folder) -> None:
    held = program("sim", str(folder), "--scenario", "sound", "--seeds", "3", "--jobs", "1")
    assert (held.code, "3/3 lives" in held.out) == (0, True)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--strategy", "luck"], "--strategy: unknown strategy 'luck'"),
        (["--faults", "disc"], "--faults: unknown fault 'disc'; there are: all, none"),
        (["--time-limit", "soon"], "--time-limit:"),
        (["--seeds", "3", "--seed", "3"], "exclude one another"),
        (["--scenario", "nobody"], "no scenario nobody"),
    ],
)
def test_mistakes_end_with_2(program, folder, args: list[str], text: str) -> None:
    ended = program("sim", str(folder), *args)
    assert (ended.code, text in ended.err) == (2, True)


def test_a_folder_that_is_not_there_ends_with_2(program, tmp_path) -> None:
    assert program("sim", str(tmp_path / "nowhere")).code == 2


def test_a_trace_that_is_none_ends_with_2(program, tmp_path) -> None:
    (tmp_path / "x.json").write_text("{}")
    ended = program("replay", str(tmp_path / "x.json"))
    assert (ended.code, "cannot read the trace" in ended.err) == (2, True)


def test_all_orders_of_a_small_world(program, folder) -> None:
    one = ["--strategy", "dfs", "--jobs", "1", "--no-shrink", "--json", str(folder / "out.json")]
    assert program("sim", str(folder), "--scenario", "sound", *one).code == 0
    covered = json.loads((folder / "out.json").read_text())["coverage"]["app:sound"]
    assert covered["exhausted"]
    assert program("sim", str(folder), "--scenario", "broken", *one).code == 1
    (failure,) = json.loads((folder / "out.json").read_text())["failures"]
    assert program("replay", str(folder / failure["record"])).code == 1
