"""An actor that is fed without end: it is no runaway for serving, and it does not keep the others waiting."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.sandbox.kernel_base import LOOK_S, Bench

MESSAGE = b"\x91\x01"
SERVERS = {
    "inbox": "local inbox = t.inbox()\n while n < COUNT do inbox:receive() n = n + 1 WORK end return n",
    "listened topic": "local m = t.listen('m')\n while n < COUNT do m:receive() n = n + 1 WORK end return n",
    "select": """
      local inbox, events = t.inbox(), t.events()
      while n < COUNT do
        channel.select { inbox:case_receive(), events:case_receive() }
        n = n + 1 WORK
      end
      return n
    """,
    "select with a default": """
      local inbox = t.inbox()
      while n < COUNT do
        local got = channel.select { inbox:case_receive(), default = true }
        if got.channel == inbox then n = n + 1 end
        WORK
      end
      return n
    """,
    "beside another task": """
      coroutine.spawn(function() local e = t.events() while true do e:receive() end end)
      local inbox = t.inbox()
      while n < COUNT do inbox:receive() n = n + 1 WORK end
      return n
    """,
    "source": """
      local ch, id = t.source(2000)
      t.begin(id)
      while n < COUNT do ch:receive() n = n + 1 WORK end
      return n
    """,
}
WORK = "for i = 1, 4000 do end"


def source(body: str, count: int = 600) -> str:
    return "local n = 0 " + body.replace("COUNT", str(count)).replace("WORK", WORK)


@pytest.mark.parametrize("how", SERVERS)
def test_who_serves_what_comes_from_outside_is_no_runaway(how: str) -> None:
    bench = Bench(cpu_s=0.006, mailbox=2_000)
    server = bench.start(source(SERVERS[how]))
    while server not in bench.ended:
        while bench.vm.deliver(server, b"m", b"", MESSAGE) == 0:
            pass
        while bench.vm.feed(server, 1, b"\x01") == 0:
            pass
        bench.turn()
    assert bench.ended[server] == (True, 600)
    assert bench.looks * LOOK_S > 3 * bench.cpu_s


@pytest.mark.parametrize(
    "body",
    [
        "local inbox = t.inbox() while true do t.send(t.pid(), 'm', 1) inbox:receive() WORK end",
        "local inbox = t.inbox() inbox:receive() while true do WORK end",
        "local ch = channel.new(1) while true do ch:send(1) ch:receive() WORK end",
    ],
)
def test_who_feeds_itself_or_stops_serving_is_one(body: str) -> None:
    bench = Bench(cpu_s=0.02)
    actor = bench.start(source(body))
    for _ in range(2_000):
        bench.vm.deliver(actor, b"x", b"", MESSAGE) if "inbox:receive() while" in body else None
        bench.turn()
        if actor in bench.ended:
            break
    assert "CPU limit exceeded" in bench.ended[actor][1].message


def test_servers_that_are_fed_without_end_do_not_starve_the_others() -> None:
    bench = Bench(cpu_s=0.8)
    looks: list[int] = []
    bench.now = lambda *_: looks.append(bench.looks)
    servers = [
        bench.start(source(SERVERS[how], 10**9)) for how in ("inbox", "select", "listened topic") for _ in range(5)
    ]
    bench.start("while true do t.now() coroutine.yield() end")
    while len(looks) < 60:
        for server in servers:
            while bench.vm.deliver(server, b"m", b"", MESSAGE) == 0:
                pass
        bench.turn()
    gaps = [(after - before) * LOOK_S for before, after in pairwise(looks)]
    assert max(gaps) < 0.25
    assert not bench.ended


def test_a_flood_inside_a_vm_does_not_starve_the_others() -> None:
    bench = Bench(cpu_s=0.8)
    looks: list[int] = []
    bench.now = lambda *_: looks.append(bench.looks)
    server = bench.start(source(SERVERS["inbox"], 10**9))
    for _ in range(20):
        bench.start(f"while true do t.send('{{p|{server}}}', 'm', {{1, 2, 3}}) end")
    bench.start("while true do t.now() coroutine.yield() end")
    while len(looks) < 60:
        bench.turn()
    gaps = [(after - before) * LOOK_S for before, after in pairwise(looks)]
    assert max(gaps) < 0.25
    assert not bench.ended
