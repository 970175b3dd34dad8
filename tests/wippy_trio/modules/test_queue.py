from __future__ import annotations

import pytest
import trio

ENTRIES = """
- name: driver
  kind: queue.driver.memory
- name: tasks
  kind: queue.queue
  driver: driver
- name: log
  kind: store.memory
- name: handler
  kind: function.lua
  method: main
  modules: [queue, store]
  source: |
    local queue, log = require("queue"), require("store")
    return function(body)
      local s = log.get("app:log")
      local m, err = queue.message()
      local n = (s:get("l:count") or 0) + 1
      s:set("l:count", n)
      s:set("l:" .. n, {
        body = body, id = m:id(), headers = m:headers(), one = m:header("corr"), none = m:header("x") == nil,
        text = tostring(m) == "queue.Message{id=" .. m:id() .. "}",
      })
      if body.settle then
        local ok = m:ack()
        local _, again = m:ack()
        local _, other = m:nack()
        s:set("l:settled", {ok, again:kind(), again:message(), other:kind()})
      end
      if body.fail and n == 1 then error("broken") end
      if body.refuse and n == 1 then return false end
      if body.keep then kept = kept or m end
      return true
    end
- name: consumer
  kind: queue.consumer
  queue: tasks
  func: handler
  lifecycle:
    auto_start: true
- name: publish
  kind: function.lua
  method: main
  modules: [queue]
  source: |
    return function(body, headers)
      local ok, err = require("queue").publish("app:tasks", body, headers)
      return {ok, err and err:message()}
    end
- name: read
  kind: function.lua
  method: main
  modules: [store]
  source: return function(key) return (require("store").get("app:log"):get(key)) end
"""


@pytest.fixture
def published(app):
    """Publish, let the consumer work, and give the log's entries of these keys."""

    async def run(body: object, headers: object, *keys: str) -> list[object]:
        async with app(ENTRIES) as running:
            assert await running.call("app:publish", body, headers) == [True]
            await trio.sleep(1)
            return [await running.call("app:read", key) for key in keys]

    return run


async def test_a_message_reaches_its_handler(published, autojump_clock) -> None:
    headers = {"corr": "c1", "n": 9, "f": True, "table": {"a": 1}}
    first, count = await published({"a": [1, 2]}, headers, "l:1", "l:count")
    assert count == 1
    assert first["body"] == {"a": [1, 2]}
    assert first["headers"] == {"corr": "c1", "n": 9, "f": True}
    assert first["one"] == "c1"
    assert first["none"]
    assert first["text"]
    assert len(first["id"]) == 36


@pytest.mark.parametrize("body", [{"fail": True}, {"refuse": True}])
async def test_failure_and_false_bring_it_again(published, body, autojump_clock) -> None:
    first, second, count = await published(body, None, "l:1", "l:2", "l:count")
    assert count == 2
    assert first["id"] == second["id"]


async def test_settling_is_single_shot(published, autojump_clock) -> None:
    settled, count = await published({"settle": True}, None, "l:settled", "l:count")
    assert settled == [True, "Invalid", "queue.Message already settled", "Invalid"]
    assert count == 1


async def test_refusals(lua, autojump_clock) -> None:
    found = await lua(
        """local queue = require("queue")
        local function of(_, e) return e:kind() .. ": " .. e:message() end
        return {of(queue.publish("", {a = 1})), of(queue.publish("app:tasks", {})), of(queue.publish("app:tasks")),
            of(queue.publish("app:none", 1)), of(queue.message()), of(queue.info("")), of(queue.info("app:none"))}""",
        modules=["queue"],
        entries="",
    )
    assert found[:3] == [
        "Invalid: queue ID required",
        "Invalid: message data cannot be empty",
        "Invalid: message data required",
    ]
    assert [text.split(":")[0] for text in found[3:]] == ["Internal", "Invalid", "Invalid", "Internal"]


async def test_info(lua, autojump_clock) -> None:
    entries = """
- name: driver
  kind: queue.driver.memory
- name: tasks
  kind: queue.queue
  driver: driver
"""
    assert await lua(
        'local q = require("queue") q.publish("app:tasks", "x") return q.info("app:tasks")',
        modules=["queue"],
        entries=entries,
    ) == {"message_count": 1, "ready": 1}
