"""Syntax tree nodes of types. `model` holds the rest and gives these names on; see there.

A type may hold an expression (`typeof(e)`, the arguments of a validator). Here it is a `Located`, since the two modules
must not import each other; it is an `Expr` of `model`.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias, Union


class Located(Protocol):
    """Anything that spans offsets of the source."""

    @property
    def start(self) -> int:
        """First character."""

    @property
    def end(self) -> int:
        """Behind the last character."""


class NameType(NamedTuple):
    """`number`, `User`, `time.Time`, `Box<string>`; `parts` are the names between dots."""

    start: int
    end: int
    parts: tuple[str, ...]
    args: tuple[TypeExpr, ...]


class LiteralType(NamedTuple):
    """`"a"`, `3`, `-1`, `true`, `nil`: `text` as written."""

    start: int
    end: int
    text: str


class OptionalType(NamedTuple):
    """`T?`."""

    start: int
    end: int
    inner: TypeExpr


class UnionType(NamedTuple):
    """`A | B`."""

    start: int
    end: int
    members: tuple[TypeExpr, ...]


class IntersectionType(NamedTuple):
    """`A & B`."""

    start: int
    end: int
    members: tuple[TypeExpr, ...]


class ArrayType(NamedTuple):
    """`{T}` or `T[]`."""

    start: int
    end: int
    element: TypeExpr
    readonly: bool


class FieldType(NamedTuple):
    """A field of a record."""

    start: int
    end: int
    name: str
    type: TypeExpr
    optional: bool
    readonly: bool


class RecordType(NamedTuple):
    """`{a: T, b?: U, [K]: V}`; a map has an indexer and no fields, `{}` has neither."""

    start: int
    end: int
    fields: tuple[FieldType, ...]
    indexer: tuple[TypeExpr, TypeExpr] | None
    readonly: bool


class ParamType(NamedTuple):
    """A parameter of a function type; `name` may be empty, `variadic` is `...T`."""

    start: int
    end: int
    name: str
    type: TypeExpr
    optional: bool
    variadic: bool


class FunctionType(NamedTuple):
    """`(A, b: B) -> R` or `fun(a: A): R`; several returns are a `TupleType`."""

    start: int
    end: int
    params: tuple[ParamType, ...]
    returns: TypeExpr | None


class TupleType(NamedTuple):
    """`(A, B)` as the returns of a function; `()` is nothing at all."""

    start: int
    end: int
    members: tuple[TypeExpr, ...]


class TypeofType(NamedTuple):
    """`typeof(expression)`."""

    start: int
    end: int
    expr: Located


class KeyofType(NamedTuple):
    """`keyof(T)`."""

    start: int
    end: int
    inner: TypeExpr


class IndexType(NamedTuple):
    """`T[K]`."""

    start: int
    end: int
    object: TypeExpr
    key: TypeExpr


class ConditionalType(NamedTuple):
    """`A extends B ? X : Y`."""

    start: int
    end: int
    subject: TypeExpr
    bound: TypeExpr
    yes: TypeExpr
    no: TypeExpr


class AssertsType(NamedTuple):
    """`asserts x is T` as a return type."""

    start: int
    end: int
    name: str
    type: TypeExpr | None


class Validator(NamedTuple):
    """`@min(0)`."""

    start: int
    end: int
    name: str
    args: tuple[Located, ...]


class AnnotatedType(NamedTuple):
    """`T @min(0) @max(9)`."""

    start: int
    end: int
    inner: TypeExpr
    validators: tuple[Validator, ...]


class MethodType(NamedTuple):
    """A method of an interface."""

    start: int
    end: int
    name: str
    type: FunctionType


class TypeParam(NamedTuple):
    """`T` or `T: Bound` between angle brackets."""

    start: int
    end: int
    name: str
    bound: TypeExpr | None


class TypeParams(NamedTuple):
    """`<T, U: C>`."""

    start: int
    end: int
    params: tuple[TypeParam, ...]


class Annotation(NamedTuple):
    """`: T` behind a name or parameter list; `start` is where the mark (`:`, `?`, `?:`) begins."""

    start: int
    end: int
    type: TypeExpr | None
    optional: bool


TypeExpr: TypeAlias = Union[  # noqa: UP007  the members refer to one another
    NameType, LiteralType, OptionalType, UnionType, IntersectionType, ArrayType, RecordType, FunctionType, TupleType,
    TypeofType, KeyofType, IndexType, ConditionalType, AssertsType, AnnotatedType,
]  # fmt: skip
