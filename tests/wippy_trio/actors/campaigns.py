"""Random programs for puppets: against the model, one order at a time; and all at once, against what always holds."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from typing import Any

import trio
import trio.testing
from hypothesis import strategies as st

from determinism.entropy import SeededEntropy
from tests.wippy_trio.actors import puppets
from tests.wippy_trio.actors.puppets import HOSTS, SPAWNS, Driver, Life, Model, settle
from wippy_trio.actors.host import terminated
from wippy_trio.core.ids import EntryId

VERBS = ("monitor", "link", "unmonitor", "unlink", "cancel", "terminate")
NAMES = ("ann", "bob", "cid")
ENDS = {"return": ("done", False), "error": ("Internal", True), "final": ("Conflict", True)}

#: One order: what, who (among those alive), whom (among all there ever were), and a choice.
Order = tuple[str, int, int, int]
#: Spans that outlast every program.
_LONG = "1h"
_number = st.integers(0, 63)
KINDS = (
    *(["start"] * 8),
    *(["relate"] * 6),
    *(["send"] * 3),
    *("exec", "end", "name", "unname", "trap", "upgrade", "sleep", "call", "tick", "quick", "kill"),
)
orders = st.tuples(st.sampled_from(KINDS), _number, _number, _number)


def random_program(seed: int, count: int) -> list[Order]:
    """A program of so many orders."""
    below = SeededEntropy(seed).below
    return [(KINDS[below(len(KINDS))], below(64), below(64), below(64)) for _ in range(count)]


def programs(most: int) -> st.SearchStrategy[list[Order]]:
    """Programs of so many orders at most."""
    return st.lists(orders, max_size=most)


def run(main: Any, *args: Any) -> Any:
    """Under the virtual clock, which never stands at zero."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    clock.jump(1.0)
    return trio.run(main, *args, clock=clock)


# against the model ----------------------------------------------------------------------------------------------
async def obeys_the_model(program: list[Order], *, stop: bool) -> None:
    """Carry out a program on one host; after each order all that was noted and all that is must be what should be."""
    async with puppets.stage() as driver:
        model, counter = Model(), itertools.count(1)
        pid = await driver.app.spawn("app:puppet", HOSTS[0], "p0", False)
        await settle()
        model.born(Life("p0", pid, deaf=False))
        _compare(driver, model, "birth")
        for order in program:
            if not model.alive():
                break
            await _carry_out(driver, model, order, counter)
            _compare(driver, model, order)
        await _clean(driver, stop=stop)


async def _carry_out(driver: Driver, model: Model, order: Order, counter: Any) -> None:
    what, who, whom, choice = order
    alive = model.alive()
    life = alive[who % len(alive)]
    target = list(model.lives.values())[whom % len(model.lives)].pid
    match what:
        case "start" | "exec":
            name, deaf = f"p{next(counter)}", choice % 4 == 0
            how = SPAWNS[whom % 4]
            driver.tell(life.pid, *(("start", how) if what == "start" else ("exec",)), name, deaf, HOSTS[0])
            await settle()
            child = Life(name, driver.pids[name], deaf)
            model.born(child)
            if what == "exec":
                child.executor = life
                life.executes[child.pid] = child
            else:
                model.note(life, "started", child.pid, how)
                if "monitored" in how:
                    child.watchers[life.pid] = life
                if "linked" in how:
                    child.links[life.pid], life.links[child.pid] = life, child
        case "relate":
            verb = VERBS[choice % len(VERBS)]
            model.relate(life, verb, target)
            driver.tell(life.pid, "relate", verb, target)
        case "send":
            model.send(life, target)
            driver.tell(life.pid, "send", target)
        case "name":
            model.name(life, NAMES[choice % 3], target)
            driver.tell(life.pid, "name", NAMES[choice % 3], target)
        case "unname":
            model.note(life, "unname", NAMES[choice % 3], model.names.pop(NAMES[choice % 3], None) is not None)
            driver.tell(life.pid, "unname", NAMES[choice % 3])
        case "trap":
            life.trap = choice % 2 == 0
            driver.tell(life.pid, "trap", life.trap)
        case "end":
            how = list(ENDS)[choice % 3]
            driver.tell(life.pid, "end", how)
            model.end(life, ENDS[how][0], failed=ENDS[how][1])
        case "kill":
            model.end(life, "Canceled", failed=True)
            process = driver.app.runtime.processes.find(life.pid)
            assert process is not None
            process.terminate_now(terminated())
        case "upgrade":
            model.upgrade(life)
            driver.tell(life.pid, "upgrade")
        case _:
            driver.tell(life.pid, what, _LONG)
    await settle()


def _compare(driver: Driver, model: Model, order: object) -> None:
    model.finish()
    noted = Counter(driver.take())
    missing, surplus = model.due - noted, noted - model.due - model.may
    assert not missing, (order, "not noted", missing, noted)
    assert not surplus, (order, "noted too much", surplus)
    model.due.clear()
    model.may.clear()
    topology = driver.app.runtime.processes
    running = {pid for pid in topology.pids() if "@app:one|" in pid}  # calls of functions have PIDs, too
    assert running == {life.pid for life in model.alive()}, order
    assert {name: pid for name, pid in topology._names.items() if name != "log"} == model.names, order
    for life in model.lives.values():
        known = topology._relations.get(life.pid)
        links, monitors = (set(known.links), set(known.monitors)) if known is not None else (set(), set())
        expected = (set(life.links), set(life.watchers)) if life.alive else (set(), set())
        assert (links, monitors) == expected, order


# all at once ----------------------------------------------------------------------------------------------------
async def keeps_the_rules(program: list[Order], *, stop: bool, bursts: int = 5) -> None:
    """Carry out a program on two hosts in bursts, without waiting for consequences; then look at what was noted."""
    async with puppets.stage() as driver:
        await burst_of(driver, program, bursts)
        check_notes(driver)
        await _clean(driver, stop=stop)


async def burst_of(driver: Driver, program: list[Order], bursts: int) -> None:
    """Tell puppets to do all that, without waiting for more than a few steps."""
    for number in range(4):
        await driver.app.spawn("app:puppet", HOSTS[number % 2], f"p{number}", False)
    await settle()
    counter = itertools.count(4)
    for what, who, whom, choice in program:
        alive = [pid for pid in driver.pids.values() if driver.is_alive(pid)]
        if not alive:
            break
        pid = alive[who % len(alive)]
        target = list(driver.pids.values())[whom % len(driver.pids)]
        name, deaf, host = f"p{next(counter)}", choice % 4 == 0, HOSTS[choice % 2]
        match what:
            case "start":
                driver.tell(pid, "start", SPAWNS[whom % 4], name, deaf, host)
            case "exec":
                driver.tell(pid, "exec", name, deaf, host)
            case "relate":
                driver.tell(pid, "relate", VERBS[choice % len(VERBS)], target)
            case "send":
                for _ in range(1 + choice % 8):
                    driver.tell(pid, "send", target)
            case "name":
                driver.tell(pid, "name", NAMES[choice % 3], target)
            case "unname":
                driver.tell(pid, "unname", NAMES[choice % 3])
            case "trap":
                driver.tell(pid, "trap", choice % 2 == 0)
            case "end":
                driver.tell(pid, "end", list(ENDS)[choice % 3])
            case "kill":
                process = driver.app.runtime.processes.find(pid)
                assert process is not None
                process.terminate_now(terminated())
            case "sleep" if choice == 0:
                puppets.collapse(puppets.shards_of(driver.app)[who % 2])
            case _:
                driver.tell(pid, what, _LONG)
        for _ in range(choice % bursts):
            await trio.lowlevel.checkpoint()
    await settle()


def check_notes(driver: Driver) -> None:
    """EXIT at most once, and once where it is owed; what arrived is what was sent, in order from the first."""
    exits: Counter[tuple[str, str]] = Counter()
    owed: set[tuple[str, str]] = set()
    arrived: dict[tuple[str, str], int] = defaultdict(int)
    for pid, what, *rest in driver.take():
        if what == "event" and rest[0] == "pid.exit":
            exits[pid, rest[1]] += 1
            owed.discard((pid, rest[1]))
        elif (what == "monitor" and rest[1] in {"ok", "AlreadyExists"}) or (
            what == "started" and "monitored" in rest[1] and rest[0].startswith("{")
        ):
            owed.add((pid, rest[0]))
        elif what == "unmonitor":
            owed.discard((pid, rest[0]))
        elif what == "data":
            arrived[rest[0], pid] += 1
            assert rest[1] == arrived[rest[0], pid], (rest[0], pid)
    assert not [pair for pair, count in exits.items() if count > 1]
    owed -= set(exits)
    late = [(watcher, target) for watcher, target in owed if driver.is_alive(watcher) and not driver.is_alive(target)]
    assert not late, "an ending was not told"


async def _clean(driver: Driver, *, stop: bool) -> None:
    """End everything, by stopping the hosts or process by process; nothing may be left."""
    app = driver.app
    shards, hosts = puppets.shards_of(app), puppets.hosts_of(app)
    if stop:
        for name in HOSTS:
            await app.supervisor.stop(EntryId.parse(name))
    else:
        end_all(driver)
    await settle()
    left = puppets.leftovers(app, shards, () if stop else hosts)
    assert not left, left


def end_all(driver: Driver) -> None:
    """End every process without asking it."""
    for host in puppets.hosts_of(driver.app):
        for process in list(host.processes.values()):
            process.terminate_now(terminated())
