"""Trio tasks and Lua actors as equals: messages both ways, room, order, endings, names."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.abc
import trio.testing

from tests.conftest import OpenApp
from wippy_trio.actors.inspect import details, survey, why
from wippy_trio.actors.mailbox import CancelAsked, LinkDown, Mailbox, Message, ProcessExit
from wippy_trio.app.app import App
from wippy_trio.core.errors import AlreadyExistsError, InvalidError, LuaError, NotFoundError

ENTRIES = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: echo
  kind: process.lua
  source: |
    return function(to)
      local inbox = process.inbox()
      while true do
        local m = inbox:receive()
        local p = m:payload()
        if m:topic() == "end" then return p and p:data() end
        if m:topic() == "fail" then error("broken") end
        process.send(to or m:from(), "echo", { m:topic(), m:from(), p and p:data() })
      end
    end
- name: flood
  kind: process.lua
  source: |
    return function(to, count)
      for i = 1, count do
        local ok, err = process.send(to, "n", i)
        if not ok then return err:kind() end
      end
      return "sent"
    end
- name: slow
  kind: process.lua
  modules: [time]
  source: |
    return function(count)
      local inbox, seen = process.inbox(), {}
      for i = 1, count do
        require("time").sleep("1s")
        seen[i] = inbox:receive():payload():data()
      end
      return seen
    end
- name: watcher
  kind: process.lua
  source: |
    return function(to, how)
      process.set_options({trap_links = true})
      local events = process.events()
      assert(process[how](to))
      process.send(to, "ready")
      local event = events:receive()
      local result = event.result or {}
      return { event.kind, event.from, result.error and result.error:message() or "none" }
    end
- name: asker
  kind: process.lua
  source: |
    return function(to, verb)
      local ok, err = process[verb](to, "enough")
      return ok or err:kind()
    end
- name: loner
  kind: process.lua
  source: |
    return function(to)
      process.link(to)
      process.send(to, "ready")
      process.inbox():receive()
    end
"""


async def spawned(running: App, entry: str, *args: Any) -> str:
    return await running.spawn(f"app:{entry}", "app:host", *args)


async def test_messages_both_ways(app: OpenApp) -> None:
    async with app(ENTRIES) as running, running.mailbox("py") as mailbox:
        assert isinstance(mailbox, trio.abc.ReceiveChannel)
        pid = await spawned(running, "echo", "py")
        channel = mailbox.channel_to(pid, "hello")
        assert isinstance(channel, trio.abc.SendChannel)
        await channel.send({"n": 1})
        assert await mailbox.receive() == Message("echo", pid, (["hello", mailbox.pid, {"n": 1}],))
        await running.channel_to(pid, "anonymous").send([1, b"\xff", "x", None])
        assert (await mailbox.receive()).payload == ["anonymous", "", [1, b"\xff", "x"]]
        await mailbox.send(pid, "none")
        assert (await mailbox.receive()).payload == ["none", mailbox.pid]
        with pytest.raises(trio.WouldBlock):
            mailbox.receive_nowait()
        assert Message("t", "").payload is None


async def test_a_task_serves_actors(app: OpenApp) -> None:
    async def serve(mailbox: Mailbox) -> None:
        async for message in mailbox:
            await mailbox.send(message.source, "answer", message.payload * 2)

    asker = """
- name: client
  kind: process.lua
  source: |
    return function(n)
      local answers = process.listen("answer")
      process.send("doubler", "question", n)
      return answers:receive()
    end
"""
    async with app(ENTRIES + asker) as running, running.mailbox("doubler") as mailbox, trio.open_nursery() as nursery:
        nursery.start_soon(serve, mailbox)
        assert [await running.run("app:client", "app:host", n) for n in range(5)] == [0, 2, 4, 6, 8]
        nursery.cancel_scope.cancel()


async def test_lua_waits_for_room_in_python(app: OpenApp) -> None:
    async with app(ENTRIES) as running, running.mailbox(capacity=3) as mailbox:
        senders = [await spawned(running, "flood", mailbox.pid, 10) for _ in range(3)]
        for pid in senders:
            mailbox.monitor(pid)
        await trio.sleep(1)
        assert mailbox.waiting_count == 3
        seen: dict[str, list[int]] = {pid: [] for pid in senders}
        for _ in range(30):
            message = await mailbox.receive()
            seen[message.source].append(message.payload)
            await trio.sleep(0.01)
        assert seen == {pid: list(range(1, 11)) for pid in senders}, "each sender's order"
        ended = {await mailbox.events.receive() for _ in senders}
        assert ended == {ProcessExit(pid, "sent") for pid in senders}


async def test_python_waits_for_room_in_lua(app: OpenApp) -> None:
    async with app(ENTRIES, settings={"lua": {"mailbox_size": 2}}) as running:
        pid = await spawned(running, "slow", 8)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def send(first: int) -> None:
                async with running.channel_to(pid, "n") as channel:
                    for number in range(first, first + 4):
                        await channel.send(number)

            process = running.runtime.processes.find(pid)
            nursery.start_soon(send, 0)
            nursery.start_soon(send, 100)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.WouldBlock):
                running.channel_to(pid, "n").send_nowait(7)
        assert trio.current_time() - began >= 5
        await process.ended.wait()
        assert sorted(process.value) == [0, 1, 2, 3, 100, 101, 102, 103]
        assert [number for number in process.value if number < 100] == [0, 1, 2, 3]


async def test_a_task_may_wait_for_its_own_mailbox(app: OpenApp) -> None:
    async with app() as running, running.mailbox(capacity=1) as mailbox, trio.open_nursery() as nursery:
        channel = mailbox.channel_to(mailbox.pid, "self")
        await channel.send(1)
        nursery.start_soon(channel.send, 2)
        await trio.sleep(1)
        assert [(await mailbox.receive()).payload for _ in range(2)] == [1, 2]


async def test_a_receiver_that_is_gone_breaks_the_channel(app: OpenApp) -> None:
    async with app(ENTRIES, settings={"lua": {"mailbox_size": 1}}) as running:
        pid = await spawned(running, "slow", 2)
        channel = running.channel_to(pid, "n")
        await channel.send(1)
        await channel.send(2)  # when one was taken, after a second
        with pytest.raises(trio.BrokenResourceError, match="process not found"):
            await channel.send(3)
        with pytest.raises(trio.BrokenResourceError):
            channel.send_nowait(4)
        with pytest.raises(trio.BrokenResourceError, match="could not resolve: nobody"):
            await running.channel_to("nobody", "n").send(1)


async def test_a_channel_to_a_name_follows_it(app: OpenApp) -> None:
    async with app() as running:
        channel = running.channel_to("post", "n")
        for number in range(2):
            async with running.mailbox("post") as mailbox:
                await channel.send(number)
                assert (await mailbox.receive()).payload == number
            with pytest.raises(trio.BrokenResourceError):
                await channel.send(9)


async def test_closing_a_channel(app: OpenApp) -> None:
    async with app() as running, running.mailbox(capacity=1) as mailbox, trio.open_nursery() as nursery:
        channel = running.channel_to(mailbox.pid, "n")
        other = running.channel_to(mailbox.pid, "n")
        await channel.send(1)

        async def waits() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await channel.send(2)

        nursery.start_soon(waits)
        nursery.start_soon(other.send, 3)
        await trio.testing.wait_all_tasks_blocked()
        await channel.aclose()
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.ClosedResourceError):
            channel.send_nowait(4)
        assert [(await mailbox.receive()).payload for _ in range(2)] == [1, 3], "one's closing is not the other's"
        for topic in ("", "@pid/events"):
            with pytest.raises(InvalidError):
                running.channel_to(mailbox.pid, topic)


async def test_a_cancelled_sender_sends_nothing_and_loses_no_room(app: OpenApp) -> None:
    async with app() as running, running.mailbox(capacity=1) as mailbox:
        channel = running.channel_to(mailbox.pid, "n")
        await channel.send(1)
        with trio.move_on_after(1) as scope:
            await channel.send(2)
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.send, 3)
            await trio.sleep(1)
            assert [(await mailbox.receive()).payload for _ in range(2)] == [1, 3]


async def test_leaving_the_block_is_an_ending(app: OpenApp) -> None:
    async with app(ENTRIES) as running:
        processes = running.runtime.processes
        async with running.mailbox("py") as mailbox:
            watchers = [await spawned(running, "watcher", "py", how) for how in ("monitor", "link")]
            flooded = await spawned(running, "flood", "py", 10_000)
            for _ in watchers:
                await mailbox.receive()
            await trio.sleep(1)
            assert mailbox.waiting_count == mailbox.capacity
            found = [processes.find(pid) for pid in (*watchers, flooded)]
        assert (processes.find(mailbox.pid), processes.lookup("py")) == (None, None)
        with pytest.raises(trio.ClosedResourceError):
            await mailbox.receive()
        await trio.sleep(1)
        assert found[0].value == ["pid.exit", mailbox.pid, "none"]
        assert not found[1].ended.is_set(), "a good end is nothing to a link"
        assert found[2].value == "NotFound", "who waited for room is told"
        assert why(running.runtime, mailbox.pid)["summary"].startswith(f"{mailbox.pid} (py) returned")


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (ValueError("bad"), "ValueError: bad"),
        (LuaError("mine", kind="Conflict"), "mine"),
        (None, "the task of the mailbox was canceled"),
    ],
)
async def test_an_exception_that_leaves_the_block_is_a_failure(app: OpenApp, problem: Any, told: str) -> None:
    async with app(ENTRIES) as running:
        found, left = [], None
        with trio.CancelScope() as scope:
            try:
                async with running.mailbox("py") as mailbox:
                    for how in ("monitor", "link"):
                        found.append(running.runtime.processes.find(await spawned(running, "watcher", "py", how)))
                        await mailbox.receive()
                    if problem is None:
                        scope.cancel()
                        await trio.sleep_forever()
                    raise problem
            except (ValueError, LuaError) as raised:
                left = raised
        assert left is problem
        await trio.sleep(1)
        assert [process.value for process in found] == [
            ["pid.exit", mailbox.pid, told],
            ["pid.link.down", mailbox.pid, told],
        ]


async def test_a_failed_mailbox_takes_its_links_along(app: OpenApp) -> None:
    async def fails(running: App) -> Any:
        async with running.mailbox("py") as mailbox:
            process = running.runtime.processes.find(await spawned(running, "loner", "py"))
            await mailbox.receive()
            raise ValueError(process)

    async with app(ENTRIES) as running:
        with pytest.raises(ValueError, match="Process") as raised:
            await fails(running)
        process = raised.value.args[0]
        await trio.sleep(1)
        assert str(process.error) == "linked process failed"


async def test_events_of_others(app: OpenApp) -> None:
    async with app(ENTRIES) as running, running.mailbox("py") as mailbox:
        first, second, third = [await spawned(running, "echo") for _ in range(3)]
        running.runtime.processes.register("first", first)
        mailbox.monitor("first")
        mailbox.link(second)
        mailbox.monitor(third)
        mailbox.unmonitor(third)
        mailbox.link(third)
        mailbox.unlink(third)
        for pid, topic in ((first, "end"), (second, "fail"), (third, "fail")):
            await running.channel_to(pid, topic).send(5)
        exited, down = [await mailbox.events.receive() for _ in range(2)]
        assert exited == ProcessExit(first, 5)
        assert isinstance(down, LinkDown)
        assert (down.pid, down.error is not None and "broken" in str(down.error)) == (second, True)
        assert await running.run("app:asker", "app:host", "py", "cancel") is True
        event = await mailbox.events.receive()
        assert isinstance(event, CancelAsked)
        assert event.reason == "enough"
        await trio.sleep(1)
        assert mailbox.events.statistics().current_buffer_used == 0
        with pytest.raises(NotFoundError):
            mailbox.monitor(first)
        assert details(running.runtime, mailbox.pid)["names"] == ["py"]


async def test_requests_to_cancel_are_bounded_and_endings_are_not(app: OpenApp) -> None:
    async with app(ENTRIES) as running, running.mailbox("py") as mailbox:
        for _ in range(2_000):
            running.runtime.processes.cancel(mailbox.pid, "", "x")
        assert mailbox.events.statistics().current_buffer_used == 1_024
        pid = await spawned(running, "echo")
        mailbox.monitor(pid)
        await running.channel_to(pid, "end").send(1)
        await trio.sleep(1)
        assert mailbox.events.statistics().current_buffer_used == 1_025
        for _ in range(1_025):
            mailbox.events.receive_nowait()
        running.runtime.processes.cancel(mailbox.pid, "", "x")
        assert mailbox.events.receive_nowait() == CancelAsked("", "x")


async def test_ended_from_outside(app: OpenApp) -> None:
    async with app(ENTRIES) as running, running.mailbox("py") as mailbox:
        await running.channel_to("py", "n").send(1)
        assert await running.run("app:asker", "app:host", "py", "terminate") is True
        assert [message.payload async for message in mailbox] == [1]
        assert [event async for event in mailbox.events] == []
        assert str(mailbox.error) == "process terminated"
        with pytest.raises(trio.BrokenResourceError):
            await mailbox.channel_to("py", "n").send(1)


async def test_names(app: OpenApp) -> None:
    async with app(ENTRIES) as running, running.mailbox("py"):
        second = running.mailbox("py")
        with pytest.raises(AlreadyExistsError):
            async with second:
                raise AssertionError("not reached")
        assert running.runtime.processes.find(second.pid) is None
        third = running.mailbox("{looks|like}")
        with pytest.raises(InvalidError):
            async with third:
                raise AssertionError("not reached")
        for capacity in (0, -1):
            with pytest.raises(InvalidError, match="at least one message"):
                running.mailbox(capacity=capacity)


async def test_closing_wakes_who_reads(app: OpenApp) -> None:
    async with app() as running, running.mailbox() as mailbox, trio.open_nursery() as nursery:

        async def reads() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await mailbox.receive()

        nursery.start_soon(reads)
        await trio.testing.wait_all_tasks_blocked()
        await mailbox.aclose()


async def test_it_is_in_the_table(app: OpenApp) -> None:
    async with app(ENTRIES) as running, running.mailbox("py") as mailbox:
        await mailbox.channel_to("py", "n").send(1)
        await trio.sleep(2)
        [row] = await survey(running.runtime)
        assert (row.type, row.entry, row.mailbox) == ("mailbox", "py", 1)
        assert row.age_s is not None
        assert math.isclose(row.age_s, 2)


async def test_the_example_of_the_guide(app: OpenApp) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "actors.md").read_text(encoding="utf-8")
    section = guide[guide.index("## Tasks in Python") :]
    [python], lua = (
        re.findall(r"```python\n(.*?)```", section, re.DOTALL),
        re.findall(r"```lua\n(.*?)```", section, re.DOTALL),
    )
    space: dict[str, Any] = {}
    exec(python, space)
    source = "".join(f"    {line}\n" for line in f"{lua[0]}\nreturn client".splitlines())
    async with app(f"{ENTRIES}\n- name: client\n  kind: process.lua\n  source: |\n{source}") as running:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(space["serve_totals"], running)
            await trio.testing.wait_all_tasks_blocked()
            assert await running.run("app:client", "app:host", 3, 4, 5) == 12
            nursery.cancel_scope.cancel()
        assert running.runtime.processes.lookup("totals") is None
