"""The syntax tree: frozen nodes with the offsets they span.

Every node has `start` and `end`, character offsets into the source (end exclusive); `Chunk.position(offset)` gives the
1-based line and column. Nodes are tuples: they are made by the hundred thousand, and a frozen dataclass costs five
times as much. Source: ours; the grammar is that of docs page lua/types.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias, Union

from sandbox.types.lex import position
from sandbox.types.model_types import Annotation, MethodType, TypeExpr, TypeParams


class Constant(NamedTuple):
    """`nil`, `true` or `false`: `text` as written."""

    start: int
    end: int
    text: str


class Number(NamedTuple):
    """A number literal as written."""

    start: int
    end: int
    text: str


class String(NamedTuple):
    """A string literal as written, with its quotes."""

    start: int
    end: int
    text: str


class Vararg(NamedTuple):
    """`...`; `main` outside any function."""

    start: int
    end: int
    main: bool


class Name(NamedTuple):
    """A variable."""

    start: int
    end: int
    name: str


class Member(NamedTuple):
    """`object.name`."""

    start: int
    end: int
    object: Expr
    name: str


class Index(NamedTuple):
    """`object[key]`."""

    start: int
    end: int
    object: Expr
    key: Expr


class Call(NamedTuple):
    """`function(args)`."""

    start: int
    end: int
    function: Expr
    args: tuple[Expr, ...]


class Invoke(NamedTuple):
    """`object:name(args)`."""

    start: int
    end: int
    object: Expr
    name: str
    args: tuple[Expr, ...]


class Paren(NamedTuple):
    """`(inner)`."""

    start: int
    end: int
    inner: Expr


class Unary(NamedTuple):
    """`-x`, `not x`, `#x`, `~x`."""

    start: int
    end: int
    op: str
    operand: Expr


class Binary(NamedTuple):
    """`left op right`; every operator but `..`."""

    start: int
    end: int
    op: str
    left: Expr
    right: Expr


class Concat(NamedTuple):
    """`a .. b .. c`, flat; `dots` are the offsets of the operators."""

    start: int
    end: int
    operands: tuple[Expr, ...]
    dots: tuple[int, ...]


class Cast(NamedTuple):
    """`expr :: T` or `expr as T`."""

    start: int
    end: int
    expr: Expr
    type: TypeExpr


class NonNil(NamedTuple):
    """`expr!`."""

    start: int
    end: int
    expr: Expr


class TableItem(NamedTuple):
    """An item of a table: positional (`key` None), `name = value` (`key` a `Name`) or `[key] = value`."""

    start: int
    end: int
    key: Expr | None
    value: Expr
    bracketed: bool


class Table(NamedTuple):
    """`{...}`."""

    start: int
    end: int
    items: tuple[TableItem, ...]


class Param(NamedTuple):
    """A parameter; `...` is one named `...`."""

    start: int
    end: int
    name: str
    annotation: Annotation | None


class Function(NamedTuple):
    """From the type parameters or `(` to `end`."""

    start: int
    end: int
    generics: TypeParams | None
    params: tuple[Param, ...]
    returns: Annotation | None
    body: Block


Expr: TypeAlias = Union[  # noqa: UP007  the members refer to one another
    Constant, Number, String, Vararg, Name, Member, Index, Call, Invoke, Paren, Unary, Binary, Concat, Cast, NonNil,
    Table, Function,
]  # fmt: skip


class LocalName(NamedTuple):
    """A name of a `local`, or a control variable of a `for`; `attrib` is `const`, `close` or empty."""

    start: int
    end: int
    name: str
    attrib: str
    annotation: Annotation | None


class Local(NamedTuple):
    """`local a: T, b = values`."""

    start: int
    end: int
    names: tuple[LocalName, ...]
    values: tuple[Expr, ...]


class LocalFunction(NamedTuple):
    """`local function name ...`."""

    start: int
    end: int
    name: str
    function: Function


class FunctionStat(NamedTuple):
    """`function a.b.c ...` or `function a.b:c ...` (`method`)."""

    start: int
    end: int
    target: Name | Member
    method: bool
    function: Function


class Assign(NamedTuple):
    """`targets = values`."""

    start: int
    end: int
    targets: tuple[Expr, ...]
    values: tuple[Expr, ...]


class CallStat(NamedTuple):
    """A call for its effects."""

    start: int
    end: int
    call: Expr


class Do(NamedTuple):
    """`do ... end`."""

    start: int
    end: int
    body: Block


class While(NamedTuple):
    """`while condition do ... end`."""

    start: int
    end: int
    condition: Expr
    body: Block


class Repeat(NamedTuple):
    """`repeat ... until condition`."""

    start: int
    end: int
    body: Block
    condition: Expr


class Clause(NamedTuple):
    """`if` or `elseif` with its block."""

    start: int
    end: int
    condition: Expr
    body: Block


class If(NamedTuple):
    """The clauses in order and the block of `else`."""

    start: int
    end: int
    clauses: tuple[Clause, ...]
    orelse: Block | None


class NumericFor(NamedTuple):
    """`for i = bounds do ... end`; two or three bounds."""

    start: int
    end: int
    variable: LocalName
    bounds: tuple[Expr, ...]
    body: Block


class GenericFor(NamedTuple):
    """`for names in values do ... end`."""

    start: int
    end: int
    names: tuple[LocalName, ...]
    values: tuple[Expr, ...]
    body: Block


class Return(NamedTuple):
    """`return values`."""

    start: int
    end: int
    values: tuple[Expr, ...]


class Break(NamedTuple):
    """`break`."""

    start: int
    end: int


class Goto(NamedTuple):
    """`goto label`."""

    start: int
    end: int
    label: str


class Label(NamedTuple):
    """`::name::`."""

    start: int
    end: int
    name: str


class TypeDecl(NamedTuple):
    """`type N<P> = T`."""

    start: int
    end: int
    name: str
    params: TypeParams | None
    type: TypeExpr


class Interface(NamedTuple):
    """`interface N: A, B function m(...) ... end`."""

    start: int
    end: int
    name: str
    bases: tuple[str, ...]
    methods: tuple[MethodType, ...]


Stat: TypeAlias = Union[  # noqa: UP007  the members refer to one another
    Local, LocalFunction, FunctionStat, Assign, CallStat, Do, While, Repeat, If, NumericFor, GenericFor, Return, Break,
    Goto, Label, TypeDecl, Interface,
]  # fmt: skip


class Block(NamedTuple):
    """Statements; `start` is right behind the token that opens the block, `end` where the closing one begins.

    `types` are the type declarations among the statements.
    """

    start: int
    end: int
    body: tuple[Stat, ...]
    types: tuple[TypeDecl | Interface, ...]


class Chunk(NamedTuple):
    """A whole source."""

    name: str
    source: str
    body: Block
    lines: tuple[int, ...]

    def position(self, offset: int) -> tuple[int, int]:
        """The 1-based line and column of a character offset."""
        return position(self.lines, offset)


class CompiledSource(NamedTuple):
    """What the front end makes of a source: `lua` is for `load(lua, "@" .. chunk, "t")`, called as `f(env, rt, ...)`.

    Line n stays line n. `type_names` are the types declared at the top level, in order.
    """

    lua: str
    tree: Chunk
    type_names: tuple[str, ...]
