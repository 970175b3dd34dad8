"""Tree to closures, and the bounded run of them.

Every node becomes one function of the run's state. A tree holds at most `parse.MAX_NODES` nodes, so that only loops of
builtins can take long: each turn of a loop costs the size of its body in steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wippy_trio.text.expression.function_times import METHODS
from wippy_trio.text.expression.functions import FUNCTIONS
from wippy_trio.text.expression.lex import ExpressionError
from wippy_trio.text.expression.nodes import (
    ArrayOf,
    Binary,
    Builtin,
    Call,
    Chain,
    Condition,
    Constant,
    Let,
    MapOf,
    Member,
    Name,
    Node,
    Pointer,
    Predicate,
    Sequence,
    SliceOf,
    Unary,
)
from wippy_trio.text.expression.operators import (
    BINARY,
    as_int,
    fail,
    fetch,
    is_number,
    pattern_of,
    slice_of,
    type_name,
)
from wippy_trio.text.expression.run import Run
from wippy_trio.text.gonumbers import wrap_int64
from wippy_trio.text.gotime import Duration, Time

__all__ = ["Step", "compile_node", "truth"]

Value = Any
Step = Callable[[Run], Value]


def truth(value: Value) -> bool:
    """`value`, which has to be a bool."""
    if value is True or value is False:
        return bool(value)
    return fail(f"interface conversion: interface {{}} is {type_name(value).strip('<>')}, not bool")


def compile_node(node: Node) -> Step:
    """The function that computes `node`; a failure in it carries the offset of the innermost node that failed."""
    step = _COMPILERS[type(node)](node)
    if type(node) in _SAFE:
        return step
    at = node.at

    def located(run: Run) -> Value:
        try:
            return step(run)
        except ExpressionError as error:
            if error.at is None:
                error.at = at
            raise

    return located


def _constant(node: Constant) -> Step:
    value = node.value
    return lambda _: value


def _name(node: Name) -> Step:
    name = node.name
    if name == "$env":
        return lambda run: run.environment

    def load(run: Run) -> Value:
        if name in run.variables:
            return run.variables[name]
        if run.environment is None:
            fail(f"cannot fetch {name} from <nil>")
        return run.environment.get(name)

    return load


def _unary(node: Unary) -> Step:
    operand = compile_node(node.operand)
    if node.operator in ("not", "!"):
        return lambda run: not truth(operand(run))
    if node.operator == "+":
        return operand

    def negated(run: Run) -> Value:
        value = operand(run)
        if isinstance(value, Duration):
            return Duration(wrap_int64(-value.ns))
        if not is_number(value):
            fail(f"invalid operation: - {type_name(value)}")
        return wrap_int64(-value) if type(value) is int else -value

    return negated


# ------------------------------------------------------------------------------------------------ binary operators
def _binary(node: Binary) -> Step:
    operator = node.operator
    left, right = compile_node(node.left), compile_node(node.right)
    if operator in ("and", "&&"):
        return lambda run: truth(left(run)) and truth(right(run))
    if operator in ("or", "||"):
        return lambda run: truth(left(run)) or truth(right(run))
    if operator == "??":
        return _coalesce(left, right)
    if operator == "matches":
        return _matches(node, left, right)
    if operator == "..":
        return _range(left, right)
    apply = BINARY[operator]
    return lambda run: apply(left(run), right(run))


def _coalesce(left: Step, right: Step) -> Step:
    def choose(run: Run) -> Value:
        value = left(run)
        return right(run) if value is None else value

    return choose


def _range(left: Step, right: Step) -> Step:
    def span(run: Run) -> list[int]:
        first, last = as_int(left(run)), as_int(right(run))
        run.grow_now(max(last - first + 1, 0))
        return list(range(first, last + 1))

    return span


def _matches(node: Binary, left: Step, right: Step) -> Step:
    fixed = pattern_of(node.right.value) if isinstance(node.right, Constant) and type(node.right.value) is str else None

    def match(run: Run) -> bool:
        text, pattern = left(run), right(run)
        if text is None or pattern is None:
            return False
        if type(pattern) is not str or type(text) not in (str, bytes):
            wrong = pattern if type(pattern) is not str else text
            fail(f"interface conversion: interface {{}} is {type_name(wrong)}, not string")
        source = text.encode("utf-8", "surrogateescape") if type(text) is str else text
        return (fixed or pattern_of(pattern)).search(source) is not None

    return match


# --------------------------------------------------------------------------------------------- members and chains
class _CutError(Exception):
    """A nil at `?.`: the chain around it is nil."""


def _chain(node: Chain) -> Step:
    body = compile_node(node.body)

    def follow(run: Run) -> Value:
        try:
            return body(run)
        except _CutError:
            return None

    return follow


def _member(node: Member) -> Step:
    base, key, optional = compile_node(node.base), compile_node(node.key), node.optional

    def get(run: Run) -> Value:
        owner = base(run)
        if optional and owner is None:
            raise _CutError
        return fetch(owner, key(run))

    return get


def _slice(node: SliceOf) -> Step:
    base = compile_node(node.base)
    start = compile_node(node.start) if node.start else None
    stop = compile_node(node.stop) if node.stop else None

    def cut(run: Run) -> Value:
        whole = base(run)
        last = stop(run) if stop else None
        return slice_of(whole, start(run) if start else None, last)

    return cut


def _call(node: Call) -> Step:
    arguments = [compile_node(argument) for argument in node.arguments]
    target = node.target
    if not (isinstance(target, Member) and isinstance(target.key, Constant)):
        text = target.name if isinstance(target, Name) else "value"
        return lambda _: fail(f"invalid operation: cannot call {text}, which is not a function")
    base, name, optional = compile_node(target.base), str(target.key.value), target.optional

    def invoke(run: Run) -> Value:
        owner = base(run)
        if optional and owner is None:
            raise _CutError
        method = METHODS.get(type(owner), {}).get(name)
        if method is None:
            return fail(f"type {type_name(owner)} has no method {name}")
        given = [argument(run) for argument in arguments]
        if len(given) + 1 != method.__code__.co_argcount if hasattr(method, "__code__") else given:
            fail(f"invalid number of arguments to {name}: got {len(given)}")
        return method(owner, *given)

    return invoke


# --------------------------------------------------------------------------------------------- builtins and loops
def _builtin(node: Builtin) -> Step:
    from wippy_trio.text.expression.loops import LOOPS  # the loops compile their bodies with this module

    if node.name in LOOPS:
        return LOOPS[node.name](node)
    arguments = [compile_node(argument) for argument in node.arguments]
    if node.name == "now":
        return _now(arguments)
    low, high, function = FUNCTIONS[node.name]
    if not low <= len(arguments) <= high:
        fail(f"{'not enough' if len(arguments) < low else 'too many'} arguments to call {node.name}")

    def call(run: Run) -> Value:
        made = function(*[argument(run) for argument in arguments])
        if type(made) is list:
            run.grow_now(len(made))
            run.spend_now(len(made))
        return made

    return call


def _now(arguments: list[Step]) -> Step:
    if len(arguments) > 1:
        fail(f"invalid number of arguments (expected 0, got {len(arguments)})")

    def now(run: Run) -> Time:
        if run.now is None:
            fail("now() is not available here")
        at = run.now()
        return at.shown_in(arguments[0](run)) if arguments else at

    return now


def _pointer(node: Pointer) -> Step:
    name = node.name

    def point(run: Run) -> Value:
        scope = run.scope
        assert scope is not None
        return scope.item if not name else scope.index if name == "index" else scope.accumulated

    if name not in ("", "index", "acc"):
        raise ExpressionError(f"unknown pointer #{name}")
    return point


# ----------------------------------------------------------------------------------------------------- structures
def _let(node: Let) -> Step:
    name, value, body = node.name, compile_node(node.value), compile_node(node.body)

    def bind(run: Run) -> Value:
        run.variables[name] = value(run)
        try:
            return body(run)
        finally:
            del run.variables[name]

    return bind


def _sequence(node: Sequence) -> Step:
    *before, last = [compile_node(item) for item in node.items]

    def each(run: Run) -> Value:
        for step in before:
            step(run)
        return last(run)

    return each


def _condition(node: Condition) -> Step:
    test, then, otherwise = compile_node(node.test), compile_node(node.then), compile_node(node.otherwise)
    return lambda run: then(run) if truth(test(run)) else otherwise(run)


def _array(node: ArrayOf) -> Step:
    items = [compile_node(item) for item in node.items]

    def build(run: Run) -> list[Value]:
        run.grow_now(len(items))
        return [item(run) for item in items]

    return build


def _mapping(node: MapOf) -> Step:
    pairs = [(compile_node(key), compile_node(value)) for key, value in node.pairs]

    def build(run: Run) -> dict[str, Value]:
        run.grow_now(len(pairs))
        made: dict[str, Value] = {}
        for key, value in pairs:
            name = key(run)
            if type(name) is not str:
                fail(f"interface conversion: interface {{}} is {type_name(name)}, not string")
            made[name] = value(run)
        return made

    return build


_COMPILERS: Mapping[type[Node], Callable[[Any], Step]] = {
    Constant: _constant,
    Name: _name,
    Unary: _unary,
    Binary: _binary,
    Chain: _chain,
    Member: _member,
    SliceOf: _slice,
    Call: _call,
    Builtin: _builtin,
    Predicate: lambda node: compile_node(node.body),
    Pointer: _pointer,
    Let: _let,
    Sequence: _sequence,
    Condition: _condition,
    ArrayOf: _array,
    MapOf: _mapping,
}
_SAFE = frozenset({Constant, Predicate, Pointer, Let, Sequence, Chain, ArrayOf})
