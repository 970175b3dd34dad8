"""The tree of an expression: frozen values, each with the offset (`at`) its messages point to."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ArrayOf",
    "Binary",
    "Builtin",
    "Call",
    "Chain",
    "Condition",
    "Constant",
    "Let",
    "MapOf",
    "Member",
    "Name",
    "Node",
    "Pointer",
    "Predicate",
    "Sequence",
    "SliceOf",
    "Unary",
    "children",
]


@dataclass(frozen=True, slots=True)
class Node:
    """Any part of an expression."""

    at: int


@dataclass(frozen=True, slots=True)
class Constant(Node):
    """nil, a bool, an integer, a float, a string or bytes."""

    value: bool | int | float | str | bytes | None


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A variable of the environment or of `let`; `$env` is the environment itself."""

    name: str


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`not`, `!`, `-` or `+`."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """A binary operator, spelled as in the text (`&&` is `and`, `||` is `or`, `^` is `**`)."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """The extent of `?.`: a nil met at an optional member makes the whole chain nil."""

    body: Node


@dataclass(frozen=True, slots=True)
class Member(Node):
    """`base.name`, `base[index]` and their optional forms."""

    base: Node
    key: Node
    optional: bool = False


@dataclass(frozen=True, slots=True)
class SliceOf(Node):
    """`base[start:stop]`."""

    base: Node
    start: Node | None
    stop: Node | None


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A call of something that is not a builtin: a method of a time or a duration."""

    target: Node
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Builtin(Node):
    """A call of a builtin function."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Predicate(Node):
    """The closure argument of a builtin such as `filter`."""

    body: Node


@dataclass(frozen=True, slots=True)
class Pointer(Node):
    """`#` (the current item), `#index` or `#acc`."""

    name: str


@dataclass(frozen=True, slots=True)
class Let(Node):
    """`let name = value; body`."""

    name: str
    value: Node
    body: Node


@dataclass(frozen=True, slots=True)
class Sequence(Node):
    """Expressions separated by `;`; the last one is the value."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Condition(Node):
    """`test ? then : otherwise`, `test ?: otherwise` or `if test { then } else { otherwise }`."""

    test: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True, slots=True)
class ArrayOf(Node):
    """`[a, b]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapOf(Node):
    """`{name: value, "text": value, (expression): value}`."""

    pairs: tuple[tuple[Node, Node], ...]


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below `node`, in the order of the text."""
    match node:
        case Unary(operand=inner) | Chain(body=inner) | Predicate(body=inner):
            return (inner,)
        case Binary(left=left, right=right):
            return (left, right)
        case Member(base=base, key=key):
            return (base, key)
        case SliceOf(base=base, start=start, stop=stop):
            return tuple(item for item in (base, start, stop) if item is not None)
        case Call(target=target, arguments=arguments):
            return (target, *arguments)
        case Builtin(arguments=items) | Sequence(items=items) | ArrayOf(items=items):
            return items
        case Let(value=value, body=body):
            return (value, body)
        case Condition(test=test, then=then, otherwise=otherwise):
            return (test, then, otherwise)
        case MapOf(pairs=pairs):
            return tuple(item for pair in pairs for item in pair)
        case _:
            return ()
