"""The model of actors: it is silent about the runtime as it is, and notices each of many ways to break it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from determinism.entropy import SeededEntropy
from fuzz.actors.living import Sabotage
from fuzz.actors.program import Program, Role, make_program, mutate_program
from fuzz.actors.search import Case, Found, Search, as_test, read_corpus, shrink_case, smallest_cover
from wippy_trio.app.app import App

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus" / "actors.txt"


def at_most(lives: int) -> Callable[[], bool]:
    counter = count()
    return lambda: next(counter) < lives


@pytest.mark.parametrize("part", range(6))
def test_kept_programs_hold(part: int) -> None:
    for case in read_corpus(CORPUS)[part::60]:
        assert case.run().message == ""


def test_a_short_search_finds_nothing() -> None:
    search = Search(1)
    search.go(at_most(6))
    assert not search.found
    assert search.lives >= 3
    assert search.features


def test_programs_are_drawn_from_a_seed_and_survive_text() -> None:
    for seed in range(50):
        program = make_program(SeededEntropy(seed))
        assert program == make_program(SeededEntropy(seed))
        changed = mutate_program(program, SeededEntropy(seed).fork("m"), program)
        assert Program.parse(changed.text()).data() == changed.data()
        case = Case(changed, seed, faults=True)
        assert Case.parse(case.line()).line() == case.line()


def test_one_case_is_one_life() -> None:
    case = Case(make_program(SeededEntropy(4)), 9)
    one, two = case.run(), case.run()
    assert (one.life.trace_hash, one.features) == (two.life.trace_hash, two.features)


# what is noticed ----------------------------------------------------------------------------------------------------
def patch(name: str, make: Callable[[Any, Callable[..., Any]], Callable[..., Any]]) -> Sabotage:
    def break_it(app: App) -> None:
        topology = app.runtime.processes
        setattr(topology, name, make(topology, getattr(topology, name)))

    return break_it


def names_stay(topology: Any, leave: Any) -> Any:
    def broken(pid: str, value: Any, error: Any) -> None:
        kept = {name: holder for name, holder in topology._names.items() if holder == pid}
        leave(pid, value, error)
        topology._names.update(kept)

    return broken


def told_twice(topology: Any, notify: Any) -> Any:
    def broken(pid: str, event: Any) -> None:
        notify(pid, dict(event))
        if event["kind"] == "pid.exit":
            notify(pid, dict(event))

    return broken


def never_told(topology: Any, notify: Any) -> Any:
    return lambda pid, event: notify(pid, event) if event["kind"] == "pid.cancel" else None


def stolen(topology: Any, register: Any) -> Any:
    def broken(name: str, pid: str) -> None:
        topology._names.pop(name, None)
        register(name, pid)

    return broken


def lost(topology: Any, offer: Any) -> Any:
    return lambda destination, topic, source, data: topic == "b" or offer(destination, topic, source, data)


def twice(topology: Any, offer: Any) -> Any:
    def broken(*args: Any) -> bool:
        offer(*args)
        return bool(offer(*args))

    return broken


def taken_by_the_dead(topology: Any, offer: Any) -> Any:
    def broken(*args: Any) -> bool:
        try:
            return bool(offer(*args))
        except Exception:  # noqa: BLE001 - the mistake that is made here
            return True

    return broken


def one_way(topology: Any, link: Any) -> Any:
    def broken(one: str, other: str) -> None:
        link(one, other)
        topology._of(other).links.pop(one, None)

    return broken


TRAP = Role((["trap", 1],))
SEND = Role((["send", 1, "a"], ["send", 1, "b"], ["send", 1, "c"], ["sleep", 20], ["send", 1, "a"]), "return")
WATCHER = (["spawn", "spawn_monitored", 2, "app:two", 0, ""], ["wait", 200, "events"])
LINKER = (["trap", 1], ["spawn", "spawn_linked", 2, "app:two", 0, ""], ["wait", 200, "events"])
NAMED = (["register", 0, -1], ["sleep", 5], ["sleep", 20], ["lookup", 0], ["register", 0, -1])
ENDS = Role((["sleep", 1],), "fail")


def program(*scripts: Any, hosts: str = "112") -> Program:
    roles = tuple(script if isinstance(script, Role) else Role(script) for script in scripts)
    names = {"1": "app:one", "2": "app:two"}
    return Program(roles, tuple((1 + at % len(roles), names[host]) for at, host in enumerate(hosts)))


BROKEN: list[tuple[str, Sabotage, Program, str]] = [
    ("names stay", patch("leave", names_stay), program(Role(NAMED[:2], "return"), NAMED, hosts="12"), "names"),
    ("told twice", patch("_notify", told_twice), program(WATCHER, ENDS, hosts="1"), "select order"),
    ("never told", patch("_notify", never_told), program(WATCHER, ENDS, hosts="1"), "select order"),
    ("no LINK_DOWN", patch("_notify", never_told), program(LINKER, ENDS, hosts="1"), "select order"),
    ("name stolen", patch("register", stolen), program(NAMED, NAMED), "names"),
    ("messages lost", patch("offer", lost), program(TRAP, SEND, hosts="12"), "order"),
    ("messages doubled", patch("offer", twice), program(SEND, hosts="21"), "once"),
    ("the dead take", patch("offer", taken_by_the_dead), program(ENDS, SEND, hosts="12"), "the dead"),
    ("links go one way", patch("link", one_way), program(LINKER, ENDS, hosts="1"), "select order"),
]


@pytest.mark.parametrize(("name", "sabotage", "broken", "rule"), BROKEN, ids=[case[0] for case in BROKEN])
def test_what_is_broken_is_noticed(name: str, sabotage: Sabotage, broken: Program, rule: str) -> None:
    rules = set()
    for seed in range(5):
        case = Case(broken, seed)
        assert case.run().message == ""
        rules.add(case.run(sabotage).rule)
        if rule in rules:
            return
    pytest.fail(f"{name}: {rules}")


@pytest.mark.slow
def test_a_finding_is_shrunk_and_printed_as_a_test() -> None:
    sabotage = patch("_notify", told_twice)
    case = Case(program((*WATCHER, ["send", 0, "a"], ["listen", "a"]), ENDS, SEND, hosts="11"), 3)
    outcome = case.run(sabotage)
    found = Found(case, outcome.rule, outcome.message)
    least, strikes, schedule = shrink_case(found, at_most(5), sabotage)
    assert least.case.program.size < case.program.size
    assert (least.rule, strikes) == (outcome.rule, ())
    text = as_test(least, strikes, schedule)
    compile(text, "test", "exec")
    assert least.case.line()[:30] in text


def test_a_corpus_is_the_smallest_that_shows_as_much() -> None:
    case = Case(program(TRAP), 1)
    kept = [(case, frozenset({("a",)})), (case, frozenset({("a",), ("b",)})), (case, frozenset({("b",)}))]
    assert len(smallest_cover(kept, 9)) == 1
