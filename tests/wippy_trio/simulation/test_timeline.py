"""The timeline of a life: what led to what, what the page holds, and that it may run nothing but its own script."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

from determinism.trace import TraceEvent
from sandbox.values import Handle, pack, pack_list
from tests.conftest import entries_of
from wippy_trio.simulation import timeline
from wippy_trio.simulation.causes import Link, cone_of, find_links, spans_of
from wippy_trio.simulation.loading import simulated_app
from wippy_trio.simulation.shown import decoded, shown_data
from wippy_trio.simulation.world import Life, LifeSpec, live

APP = """
- {name: host, kind: process.host, lifecycle: {auto_start: true}}
- {name: kv, kind: store.memory, lifecycle: {auto_start: true}}
- name: worker
  kind: process.lua
  method: main
  modules: [process, store]
  source: |
    return { main = function(parent)
      local job = process.inbox():receive():payload():data()
      require("store").get("app:kv"):set(job.key, "</script><b>&")
      process.send(parent, "done", job.key)
    end }
- name: double
  kind: function.lua
  method: main
  pool: {type: static}
  source: "return { main = function(n) return 2 * n end }"
- name: scenario
  kind: function.lua
  meta: {type: simulation}
  method: main
  modules: [process, store, time, funcs]
  source: |
    return { main = function()
      local inbox = process.inbox()
      local pid = process.spawn("app:worker", "app:host", process.pid())
      process.send(pid, "job", { key = "answer" })
      inbox:receive()
      require("time").sleep("90s")
      local value = require("store").get("app:kv"):get("answer")
      require("funcs").new():call("app:double", 21)
      error("it was " .. value)
    end }
"""


@pytest.fixture(scope="module")
def life() -> Life:
    return live(simulated_app(entries_of(APP)), LifeSpec("app:scenario", 1, "fifo", keep=True))


def told(life: Life) -> list[tuple[str, str, str, str, str]]:
    """Links as (kind, actor, event, actor, event), without what is unique in names."""
    log = life.log

    def name(at: int) -> tuple[str, str]:
        event = log[at]
        about = event.about.split(" ")[0]
        return event.actor.partition("|")[0], f"{event.what} {about}" if event.what in {"issue", "call"} else event.what

    return [(link.kind, *name(link.source), *name(link.target)) for link in find_links(log)]


def test_links_between_actors_are_found(life: Life) -> None:
    found = told(life)
    assert ("start", "app:scenario", "call process.spawn", "app:worker", "begin") in found
    assert ("message", "app:scenario", "call process.send", "app:worker", "message") in found
    assert ("message", "app:worker", "call process.send", "app:scenario", "message") in found
    assert ("call", "app:scenario", "issue funcs.call", "app:double", "begin") in found
    assert ("return", "app:double", "exit", "app:scenario", "answer") in found
    assert ("shared", "app:worker", "answer", "app:scenario", "issue store.key.get") in found


def test_the_cone_of_a_failure_has_what_led_to_it(life: Life) -> None:
    log = life.log
    failure = next(event.number for event in log if event.what == "failure")
    cone = cone_of(log, find_links(log), failure)
    sent = next(event.number for event in log if event.about.startswith("process.send"))
    assert {failure, sent} <= cone
    assert len(cone) < len(log)


def event(number: int, actor: str, what: str, about: str = "", data: bytes = b"") -> TraceEvent:
    return TraceEvent(number, 0, actor, what, about, data)


def test_a_message_inside_a_vm_leads_to_the_step_that_takes_it() -> None:
    log = [
        event(0, "app:b|0x2", "begin", "{n@app:host|0x2}"),
        event(1, "app:a|0x1", "sent", "hello to {n@app:host|0x2}"),
        event(2, "app:c|0x3", "step"),
        event(3, "app:b|0x2", "step"),
    ]
    assert find_links(log) == [Link(1, 3, "message")]


def test_faults_lead_to_the_endings_they_make() -> None:
    data = pack({"kind": "pid.exit", "from": "{n@app:host|0x2}", "result": "injected fault: actor_crash"})
    log = [
        event(0, "app:a|0x1", "step"),
        event(1, "app:b|0x2", "step"),
        event(2, "world", "fault", "actor_crash at app:b #0"),
        event(3, "app:a|0x1", "event", "", data),
        event(4, "world", "failure", "scenario: no"),
    ]
    assert find_links(log) == [Link(1, 3, "event"), Link(2, 3, "fault"), Link(3, 4, "failure")]
    assert cone_of(log, find_links(log), 4) == {0, 1, 2, 3, 4}


def test_operations_last_from_issue_to_answer(life: Life) -> None:
    spans = {
        life.log[begun].about.split(" ")[0]: life.log[done].at_ns - life.log[begun].at_ns
        for begun, done in spans_of(life.log)
    }
    assert spans["time.sleep"] == 90_000_000_000


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (pack(None), "nil"),
        (pack_list([1, True, "a\nb", b"\xff\x00", 0.5]), '1, true, "a\\nb", "�·", 0.5'),
        (pack_list([{"k": [1, {"deep": "x"}], "two words": 2}]), '{k = {1, {deep = "x"}}, ["two words"] = 2}'),
        (pack_list([Handle("store", 7), pack_list(["in", 1])]), '<store 7>, ("in", 1)'),
        (pack_list(["asked"]) + pack_list([[], "x" * 40]), '"asked" -> {}, "' + "x" * 40 + '"'),
        (pack("x" * 300)[:40], "�·," + "x" * 37 + " (cut off)"),
    ],
)  # fmt: skip
def test_data_is_shown_as_lua_would_write_it(data: bytes, text: str) -> None:
    assert shown_data(data) == text


def test_long_data_is_cut() -> None:
    assert len(shown_data(pack_list(["y" * 5000]))) == 600
    assert decoded(pack_list([1])[:1]) is None


def page_of(html: str, kind: str) -> str:
    found = re.search(rf"<{kind}[^>]*>(.*?)</{kind.partition(' ')[0]}>", html, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_page_holds_all_and_needs_nothing(life: Life) -> None:
    html = timeline.timeline_html(life)
    data = json.loads(page_of(html, "script id"))
    assert (data["scenario"], data["seed"], len(data["at"])) == ("app:scenario", 1, len(life.log))
    assert data["failure"]["message"].endswith("it was </script><b>&")
    assert data["actors"][data["actor"][0]] == life.log[0].actor
    assert data["texts"][data["about"][0]] == life.log[0].about
    assert len(data["links"]) == len(find_links(life.log))
    assert "@@" not in html.replace(json.dumps("@@"), "")
    assert not re.search(r"(src|href)=|url\(h|@import|https?://", html.split('<script id="life"')[0])


def test_the_policy_of_the_page_allows_only_its_own_script_and_style(life: Life) -> None:
    html = timeline.timeline_html(life)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    script = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(script) == 1
    for name, text in (("script", script[0]), ("style", page_of(html, "style"))):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy[1]
    assert policy[1].startswith("default-src 'none'")
    assert not re.search(r'\son\w+="|style="', html.split("<script")[0])


def test_of_a_long_life_the_last_events_are_drawn(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "MOST_EVENTS", 5)
    data = timeline.timeline_data(life)
    assert (len(data["at"]), data["left_out"], data["first"]) == (5, len(life.log) - 5, life.log[-5].number)


def test_a_list_follows_the_last_write_of_each_key_and_a_query_that_of_each_writer() -> None:
    log = [
        event(0, "app:a|0x1", "issue", "store.key.set 1", pack_list(["app:kv", "x", 1])),
        event(1, "app:a|0x1", "answer", "1"),
        event(2, "app:b|0x2", "call", "store.key.set", pack_list(["app:kv", "y", 1])),
        event(3, "app:c|0x3", "issue", "store.key.list 1", pack_list(["app:kv", "", "", 0])),
        event(4, "app:a|0x1", "call", "sql.execute", pack_list(["app:db", "INSERT"])),
        event(5, "app:a|0x1", "call", "sql.execute", pack_list(["app:db", "INSERT"])),
        event(6, "app:c|0x3", "issue", "sql.query 2", pack_list(["app:db", "SELECT 1"])),
    ]
    assert find_links(log) == [Link(1, 3, "shared"), Link(2, 3, "shared"), Link(5, 6, "shared")]


def test_what_is_delivered_follows_who_published_and_the_fault_that_doubled_it() -> None:
    log = [
        event(0, "app:a|0x1", "call", "queue.publish", pack_list(["app:orders", {"id": 1}])),
        event(1, "world", "fault", "message_duplicate at app:orders #0"),
        event(2, "app:charge|0x2", "begin", "{n@app:charge|0x2}"),
        event(3, "app:charge|0x3", "begin", "{n@app:charge|0x3}"),
    ]
    assert find_links(log) == [Link(0, 2, "shared"), Link(1, 2, "fault"), Link(0, 3, "shared")]
