from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wippy_trio.core.entry import Entry
from wippy_trio.core.ids import EntryId
from wippy_trio.registry.changes import Change
from wippy_trio.registry.order import sort_changes
from wippy_trio.registry.references import References

REFERENCES = References()


def entry(name: str, *needs: str, kind: str = "k") -> Entry:
    return Entry(EntryId("app", name), kind, {"depends_on": list(needs)}, {})


def order(changes: list[Change], *state: Entry) -> list[str]:
    made = sort_changes(changes, {item.id: item for item in state}, REFERENCES)
    return [f"{change.operation.value.removeprefix('entry.')} {change.id.name}" for change in made]


def test_what_is_referred_to_comes_first() -> None:
    changes = [Change.create(entry("a", "c")), Change.create(entry("b")), Change.create(entry("c", "d", "outside"))]
    assert order([*changes, Change.update(entry("d"))], entry("d")) == ["create b", "update d", "create c", "create a"]


def test_deletions_run_the_other_way() -> None:
    a, b, c = entry("a"), entry("b", "a"), entry("c", "b")
    assert order([Change.delete(item.id) for item in (a, b, c)], a, b, c) == ["delete c", "delete b", "delete a"]


def test_an_importer_lets_go_before_a_deletion() -> None:
    a, b = entry("a"), entry("b", "a")
    assert order([Change.delete(a.id), Change.update(entry("b"))], a, b) == ["update b", "delete a"]


def test_an_id_is_free_before_it_is_taken_again() -> None:
    a = entry("a")
    assert order([Change.create(entry("a", kind="j")), Change.delete(a.id)], a) == ["delete a", "create a"]


def test_circles_are_cut_at_the_smallest_id() -> None:
    changes = [Change.create(entry("b", "a")), Change.create(entry("a", "b")), Change.create(entry("c", "a"))]
    assert order(changes) == ["create a", "create b", "create c"]


GRAPHS = st.dictionaries(st.sampled_from("abcdefgh"), st.lists(st.sampled_from("abcdefgh"), max_size=3))


@given(GRAPHS, st.data())
def test_any_input_order_gives_the_same_result(graph: dict[str, list[str]], data: st.DataObject) -> None:
    changes = [Change.create(entry(name, *needs)) for name, needs in graph.items()]
    before = order(changes)
    assert order(data.draw(st.permutations(changes))) == before
    assert sorted(before) == sorted(f"create {name}" for name in graph)


@given(GRAPHS)
def test_references_without_circles_are_kept(graph: dict[str, list[str]]) -> None:
    acyclic = {name: [need for need in needs if need > name] for name, needs in graph.items()}
    made = order([Change.create(entry(name, *needs)) for name, needs in acyclic.items()])
    for name, needs in acyclic.items():
        for need in needs:
            if need in acyclic:
                assert made.index(f"create {need}") < made.index(f"create {name}")
