from __future__ import annotations

import pytest
import trio

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.core.ids import EntryId
from wippy_trio.kinds.queue import check_consumer, check_queue
from wippy_trio.storage.queues import QueueHandle, QueueMessage


@pytest.mark.parametrize(
    ("check", "data", "problem"),
    [
        (check_queue, {}, "driver ID is required"),
        (check_queue, {"driver": "d", "codec": "xml"}, "unknown payload codec: xml"),
        (check_queue, {"driver": "d", "driver_options": 5}, "driver_options must be a map"),
        (check_consumer, {"func": "f"}, "queue ID is required"),
        (check_consumer, {"queue": "q"}, "function ID is required"),
        (check_consumer, {"queue": "q", "func": "f", "concurrency": 1001}, "concurrency 1001 exceeds maximum 1000"),
        (check_consumer, {"queue": "q", "func": "f", "prefetch": "x"}, "prefetch must be an integer"),
    ],
)
def test_bad_entries_are_refused(check, data, problem) -> None:
    with pytest.raises(InvalidError, match=problem):
        check(Entry(EntryId("app", "q"), "queue", {}, data))


ENTRIES = """
- name: tasks
  kind: queue.queue
  driver: driver
  queue_name: app_tasks
  codec: json/plain
  driver_options: {memory: {max_length: 2}}
  dead_letter: {queue: app:dead, max_attempts: 5}
- name: driver
  kind: queue.driver.memory
  lifecycle: {auto_start: true}
"""


async def test_a_queue_is_declared_with_its_settings(app, autojump_clock) -> None:
    async with app(ENTRIES) as running:
        queue = running.runtime.resources.get("app:tasks", QueueHandle)
        assert (queue.config.name, queue.config.dead_letter_max_attempts_count) == ("app_tasks", 5)
        await queue.publish(QueueMessage(1), QueueMessage(2))
        with pytest.raises(LuaError, match="queue is full"):
            await queue.publish(QueueMessage(3))


async def test_a_consumer_acts_with_the_identity_of_its_lifecycle(app, autojump_clock) -> None:
    entries = (
        ENTRIES
        + """
- name: policy
  kind: security.policy
  policy: {actions: "*", resources: "*", effect: allow}
- name: consumer
  kind: queue.consumer
  queue: tasks
  func: handler
  concurrency: 2
  lifecycle:
    auto_start: true
    security:
      actor: {id: worker}
      policies: [policy]
- name: log
  kind: store.memory
- name: handler
  kind: function.lua
  method: main
  modules: [security, store]
  source: |
    return function(body)
      require("store").get("app:log"):set("l:1", require("security").actor():id() .. body)
    end
- name: read
  kind: function.lua
  method: main
  modules: [store]
  source: return function() return (require("store").get("app:log"):get("l:1")) end
"""
    )
    async with app(entries) as running:
        await running.runtime.resources.get("app:tasks", QueueHandle).publish(QueueMessage("!"))
        await trio.sleep(1)
        assert await running.call("app:read") == "worker!"


async def test_a_driver_that_is_not_built_is_named_when_used(app, autojump_clock) -> None:
    entries = """
- name: driver
  kind: queue.driver.sqs
- name: tasks
  kind: queue.queue
  driver: driver
"""
    async with app(entries) as running:
        with pytest.raises(LuaError, match=r"kind queue\.driver\.sqs is not built yet"):
            await running.runtime.resources.get("app:tasks", QueueHandle).publish(QueueMessage(1))
