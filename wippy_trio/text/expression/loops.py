"""The builtins of the expression language that run a closure over a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wippy_trio.text.expression.evaluate import Step, compile_node, truth
from wippy_trio.text.expression.function_lists import SortKey, order_of
from wippy_trio.text.expression.nodes import Builtin, Node, children
from wippy_trio.text.expression.operators import ARITHMETIC, fail, format_value, type_name
from wippy_trio.text.expression.run import Run, Scope, loop_scope

__all__ = ["LOOPS"]

Value = Any


def _size(node: Node) -> int:
    """Nodes in a tree, found without recursion; what one turn of the loop may cost."""
    count, level = 0, [node]
    while level:
        count += len(level)
        level = [child for item in level for child in children(item)]
    return count


class _Loop:
    """A builtin with its list and its closure compiled."""

    __slots__ = ("body", "cost", "name", "option", "values")

    def __init__(self, node: Builtin) -> None:
        self.name = node.name
        self.values = compile_node(node.arguments[0])
        has_body = len(node.arguments) > 1
        self.body: Step | None = compile_node(node.arguments[1]) if has_body else None
        self.option: Step | None = compile_node(node.arguments[2]) if len(node.arguments) > 2 else None
        self.cost = _size(node.arguments[1]) if has_body else 1

    def list_of(self, run: Run) -> list[Value]:
        values = self.values(run)
        if type(values) is not list:
            fail(f"builtin {self.name} takes only array (got {type_name(values)})")
        return values

    def turns(self, run: Run, scope: Scope, values: list[Value], *, backwards: bool = False) -> Iterator[Value]:
        """Set the scope to each item in turn and give the closure's value (the item itself without one)."""
        order = range(len(values) - 1, -1, -1) if backwards else range(len(values))
        for index in order:
            run.spend_now(self.cost)
            scope.index, scope.item = index, values[index]
            yield scope.item if self.body is None else self.body(run)


def _over(fold: Callable[[_Loop, Run, Scope, list[Value]], Value]) -> Callable[[Builtin], Step]:
    def build(node: Builtin) -> Step:
        loop = _Loop(node)

        def step(run: Run) -> Value:
            values = loop.list_of(run)
            with loop_scope(run) as scope:
                return fold(loop, run, scope, values)

        return step

    return build


def _found(*, backwards: bool, want_index: bool) -> Callable[[_Loop, Run, Scope, list[Value]], Value]:
    def search(loop: _Loop, run: Run, scope: Scope, values: list[Value]) -> Value:
        for held in loop.turns(run, scope, values, backwards=backwards):
            if truth(held):
                return scope.index if want_index else scope.item
        return None

    return search


def _one(loop: _Loop, run: Run, scope: Scope, values: list[Value]) -> bool:
    return sum(truth(held) for held in loop.turns(run, scope, values)) == 1


def _count(loop: _Loop, run: Run, scope: Scope, values: list[Value]) -> int:
    return sum(truth(held) for held in loop.turns(run, scope, values))


def _filter(loop: _Loop, run: Run, scope: Scope, values: list[Value]) -> list[Value]:
    kept = [scope.item for held in loop.turns(run, scope, values) if truth(held)]
    run.grow_now(len(kept))
    return kept


def _map(loop: _Loop, run: Run, scope: Scope, values: list[Value]) -> list[Value]:
    run.grow_now(len(values))
    return list(loop.turns(run, scope, values))


def _sum(loop: _Loop, run: Run, scope: Scope, values: list[Value]) -> Value:
    total: Value = 0
    for held in loop.turns(run, scope, values):
        total = ARITHMETIC["+"](held, total)
    return total


def _group_by(loop: _Loop, run: Run, scope: Scope, values: list[Value]) -> dict[str, list[Value]]:
    groups: dict[str, list[Value]] = {}
    run.grow_now(len(values))
    for key in loop.turns(run, scope, values):
        if type(key) in (list, dict):
            fail(f"runtime error: hash of unhashable type {type_name(key)}")
        groups.setdefault(key if type(key) is str else format_value(key), []).append(scope.item)
    return groups


def _sort_by(loop: _Loop, run: Run, scope: Scope, values: list[Value]) -> list[Value]:
    descending = order_of(loop.option(run)) if loop.option is not None else False
    keyed = [(SortKey(key), scope.item) for key in loop.turns(run, scope, values)]
    run.grow_now(len(keyed))
    return [item for _, item in sorted(keyed, key=lambda pair: pair[0], reverse=descending)]


def _reduce(loop: _Loop, run: Run, scope: Scope, values: list[Value]) -> Value:
    start = 0
    if loop.option is not None:
        scope.accumulated = loop.option(run)
    elif values:
        scope.accumulated, start = values[0], 1
    else:
        fail("reduce of empty array with no initial value")
    body = loop.body
    assert body is not None
    for index in range(start, len(values)):
        run.spend_now(loop.cost)
        scope.index, scope.item = index, values[index]
        scope.accumulated = body(run)
    return scope.accumulated


#: Compilers of the builtins with a closure.
LOOPS: Mapping[str, Callable[[Builtin], Step]] = {
    "all": _over(lambda loop, run, scope, values: all(truth(held) for held in loop.turns(run, scope, values))),
    "any": _over(lambda loop, run, scope, values: any(truth(held) for held in loop.turns(run, scope, values))),
    "none": _over(lambda loop, run, scope, values: not any(truth(held) for held in loop.turns(run, scope, values))),
    "one": _over(_one),
    "count": _over(_count),
    "filter": _over(_filter),
    "map": _over(_map),
    "sum": _over(_sum),
    "find": _over(_found(backwards=False, want_index=False)),
    "findIndex": _over(_found(backwards=False, want_index=True)),
    "findLast": _over(_found(backwards=True, want_index=False)),
    "findLastIndex": _over(_found(backwards=True, want_index=True)),
    "groupBy": _over(_group_by),
    "sortBy": _over(_sort_by),
    "reduce": _over(_reduce),
}
