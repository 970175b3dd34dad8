"""timeline and shrink: exit codes, what is written."""

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
    meta: {type: simulation, workload: {adders: 3}}
    method: main
    modules: [process, store]
    source: |
      return { main = function(work)
        local inbox, s = process.inbox(), require("store").get("app:kv")
        s:set("x", 0)
        for _ = 1, work.adders do process.spawn("app:inc", "app:host", process.pid()) end
        for _ = 1, work.adders do inbox:receive() end
        if s:get("x") ~= work.adders then error("lost update") end
      end }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "src").mkdir()
    (tmp_path / "wippy.lock").write_text("directories:\n  modules: .wippy\n  src: ./src\n")
    (tmp_path / "src" / "_index.yaml").write_text(f'version: "1.0"\nnamespace: app\nentries:{APP}')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def record(program, folder):
    """The record of a failure, not shrunk."""
    found = program("sim", "--seeds", "20", "--faults", "none", "--jobs", "1", "--no-shrink")
    assert found.code == 1
    return next((folder / ".wippy" / "sim").iterdir())


@pytest.mark.slow
def test_a_record_is_shrunk_and_drawn(program, folder, record) -> None:
    shrunk = program("shrink", str(record))
    assert shrunk.code == 1
    assert "0 faults, " in shrunk.out
    least = record.with_suffix(".min.json")
    data = json.loads(least.read_text())
    assert data["workload"] == {"adders": 2}
    assert (data["strikes"], len(data["schedule"]) <= 2) == ([], True)
    again = program("replay", str(least), "--json")
    assert (again.code, json.loads(again.out)["same"]) == (1, True)
    drawn = program("timeline", str(least))
    assert (drawn.code, "FAILED  app:broken  scenario" in drawn.out) == (1, True)
    assert "lost update" in (folder / least.with_suffix(".html").name).read_text()


def test_a_seed_is_drawn(program, folder) -> None:
    drawn = program("timeline", "--seed", "0", "--strategy", "fifo", "--faults", "none", "--out", "life.html")
    assert drawn.code == 1 or "everything held" in drawn.out
    assert (folder / "life.html").read_text().startswith("<!doctype html>")


def test_what_is_repaired_is_not_shrunk(program, folder, record) -> None:
    index = folder / "src" / "_index.yaml"
    index.write_text(index.read_text().replace("~= work.adders", "== nil"))
    shrunk = program("shrink", str(record))
    assert (shrunk.code, "does not fail any more" in shrunk.out) == (0, True)


@pytest.mark.parametrize("args", [["timeline"], ["timeline", "no.json"], ["shrink", "no.json"]])
def test_mistakes_end_with_2(program, folder, args: list[str]) -> None:
    assert program(*args).code == 2


def test_one_looks_inside_at_a_stop(program, folder, record) -> None:
    shown = program("replay", str(record), "--until", "12", "--inspect", "broken", "--store", "app:kv")
    assert shown.code == 0
    assert "actor app:broken|0x00001  " in shown.out
    assert "        work = {adders = 3}" in shown.out
    assert "store app:kv" in shown.out
    told = program("replay", str(record), "--until", "12", "--inspect", "all", "--json")
    data = json.loads(told.out)
    assert (told.code, data["failure"], data["seen"]["missing"]) == (0, None, [])
    assert [event["number"] for event in data["events"]] == list(range(13))


def test_a_changed_app_lives_on_and_the_first_difference_is_told(program, folder) -> None:
    found = program("sim", "--seeds", "20", "--faults", "none", "--jobs", "1", "--json", "found.json")
    record = json.loads((folder / "found.json").read_text())["failures"][0]["record"]
    assert found.code == 1
    index = folder / "src" / "_index.yaml"
    index.write_text(index.read_text().replace('error("lost update")', 'error("lost it")'))
    same = program("replay", record, "--until", "10")
    assert (same.code, "the same life as recorded so far" in same.out) == (0, True)
    index.write_text(index.read_text().replace('s:set("x", 0)', 's:set("x", 0) s:get("x")'))
    other = program("replay", record, "--json")
    differs = json.loads(other.out)["first_difference"]
    assert json.loads(other.out)["same"] is False
    assert json.loads(other.out)["events"][differs]["actor"].startswith("app:broken|")
    assert "NOT the life that was recorded; it differs first at:" in program("replay", record).out


def test_a_time_limit_is_a_duration(program, folder, record) -> None:
    ended = program("shrink", str(record), "--time-limit", "soon")
    assert (ended.code, "--time-limit" in ended.err) == (2, True)
