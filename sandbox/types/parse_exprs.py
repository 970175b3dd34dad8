"""The grammar of expressions: Lua 5.3 with casts (`e :: T`, `e as T`) and the non-nil mark (`e!`)."""

from __future__ import annotations

from typing import Final

from sandbox.types import model as m
from sandbox.types.cursor import MAX_DEPTH
from sandbox.types.parse_types import TypeParser

__all__ = ["ExprParser"]

_BINARY: Final = {
    "or": (1, 1), "and": (2, 2),
    "<": (3, 3), ">": (3, 3), "<=": (3, 3), ">=": (3, 3), "~=": (3, 3), "==": (3, 3),
    "|": (4, 4), "~": (5, 5), "&": (6, 6), "<<": (7, 7), ">>": (7, 7), "..": (9, 9),
    "+": (10, 10), "-": (10, 10), "*": (11, 11), "/": (11, 11), "//": (11, 11), "%": (11, 11), "^": (14, 13),
}  # fmt: skip
_UNARY: Final = frozenset(("not", "-", "#", "~"))
_UNARY_LIMIT: Final = 12
_CONSTANTS: Final = frozenset(("nil", "true", "false"))


class FunctionState:
    """What is known of the function being parsed: its loops, labels and gotos."""

    __slots__ = ("gotos", "labels", "locals", "loops", "main", "vararg")

    def __init__(self, *, vararg: bool, main: bool) -> None:
        self.vararg = vararg
        self.main = main
        self.loops = 0
        self.locals = 0  # how many are visible
        self.gotos: list[tuple[str, int, int]] = []  # label, offset, locals visible; those not yet resolved
        self.labels: list[str] = []  # those visible


class ExprParser(TypeParser):
    """Expressions. Function bodies need statements: `block` comes from the subclass."""

    __slots__ = ("function",)

    def __init__(self, source: str, chunk: str) -> None:
        super().__init__(source, chunk)
        self.function = FunctionState(vararg=True, main=True)

    def function_block(self) -> m.Block:
        """The statements of a function, up to its `end`; the subclass knows how."""
        raise NotImplementedError

    def expr(self, limit: int = 0) -> m.Expr:
        """An expression whose binary operators bind tighter than `limit`."""
        depth = self.depth = self.depth + 1
        if depth > MAX_DEPTH:
            self.depth -= 1
            self.deeper()
        i = self.i
        kinds = self.kinds
        start = self.starts[i]
        left: m.Expr
        if kinds[i] in _UNARY:
            op = kinds[i]
            self.i = i + 1
            operand = self.expr(_UNARY_LIMIT)
            left = m.Unary(start, self.ends[self.i - 1], op, operand)
        else:
            left = self.operand()
        kind = kinds[self.i]
        if kind == "::" or kind == "!" or (kind == "name" and self.texts[self.i] == "as"):  # noqa: PLR1714
            left = self.cast(left)
            kind = kinds[self.i]
        priority = _BINARY.get(kind)
        while priority is not None and priority[0] > limit:
            if kind == "..":
                left = self.concat(left)
            else:
                self.i += 1
                right = self.expr(priority[1])
                left = m.Binary(start, self.ends[self.i - 1], kind, left, right)
            kind = kinds[self.i]
            if kind == "::" or kind == "!" or (kind == "name" and self.texts[self.i] == "as"):  # noqa: PLR1714
                left = self.cast(left)
                kind = kinds[self.i]
            priority = _BINARY.get(kind)
        self.depth -= 1
        return left

    def concat(self, first: m.Expr) -> m.Expr:
        """`first .. b .. c`: right associative, hence one flat node.

        It takes a level more than the operands themselves, since it becomes a call with a parenthesis in it.
        """
        self.deeper()
        operands = [first]
        dots: list[int] = []
        while self.kinds[self.i] == "..":
            dots.append(self.starts[self.i])
            self.i += 1
            operands.append(self.expr(9))
        self.depth -= 1
        return m.Concat(first.start, self.ends[self.i - 1], tuple(operands), tuple(dots))

    def cast(self, expr: m.Expr) -> m.Expr:
        """`:: T`, `as T` and `!` behind an expression, where they follow."""
        while True:
            i = self.i
            kind = self.kinds[i]
            label = kind == "::" and self.kinds[i + 1] == "name" and self.kinds[i + 2] == "::"
            if (kind == "::" and not label) or (kind == "name" and self.texts[i] == "as"):
                self.i = i + 1
            elif kind == "!" and self.kinds[i + 1] != "=":
                self.i = i + 1
                expr = m.NonNil(expr.start, self.ends[i], expr)
                continue
            else:
                return expr
            target = self.type_expr()
            expr = m.Cast(expr.start, self.ends[self.i - 1], expr, target)

    def operand(self) -> m.Expr:
        i = self.i
        kind = self.kinds[i]
        start = self.starts[i]
        if kind == "name" or kind == "(":  # noqa: PLR1714  measurably faster, and this is the busiest line
            return self.suffixed()
        if kind == "str":
            self.i = i + 1
            return m.String(start, self.ends[i], self.texts[i])
        if kind == "num":
            self.i = i + 1
            return m.Number(start, self.ends[i], self.texts[i])
        if kind in _CONSTANTS:
            self.i = i + 1
            return m.Constant(start, self.ends[i], kind)
        if kind == "{":
            return self.table()
        if kind == "function":
            self.i = i + 1
            return self.function_body(start)
        if kind == "...":
            if not self.function.vararg:
                raise self.error("cannot use '...' outside a function with a '...' parameter", start)
            self.i = i + 1
            return m.Vararg(start, self.ends[i], self.function.main)
        raise self.unexpected("an expression")

    def suffixed(self) -> m.Expr:
        """A name or parenthesis with its fields, indices and calls."""
        i = self.i
        kinds, texts, ends = self.kinds, self.texts, self.ends
        start = self.starts[i]
        left: m.Expr
        if kinds[i] == "name":
            self.i = i + 1
            left = m.Name(start, ends[i], texts[i])
        elif kinds[i] == "(":
            self.i = i + 1
            inner = self.expr()
            self.close(")", "(", start)
            left = m.Paren(start, ends[self.i - 1], inner)
        else:
            self.fail("a variable or a parenthesis")
        while True:
            i = self.i
            kind = kinds[i]
            if kind == ".":
                self.i = i + 1
                name = self.name("a field name behind '.'")
                left = m.Member(start, ends[i + 1], left, name)
            elif kind == "(" or kind == "str" or kind == "{":  # noqa: PLR1714
                args = self.args()
                left = m.Call(start, ends[self.i - 1], left, args)
            elif kind == ":":
                self.i = i + 1
                name = self.name("a method name behind ':'")
                if kinds[self.i] not in {"(", "str", "{"}:
                    self.fail(f"the arguments of method '{name}'")
                args = self.args()
                left = m.Invoke(start, ends[self.i - 1], left, name, args)
            elif kind == "[":
                self.i = i + 1
                key = self.expr()
                self.close("]", "[", self.starts[i])
                left = m.Index(start, ends[self.i - 1], left, key)
            elif kind == "!" and kinds[i + 1] != "=":
                self.i = i + 1
                left = m.NonNil(start, ends[i], left)
            else:
                return left

    def args(self) -> tuple[m.Expr, ...]:
        """The arguments of a call: `(...)`, a string or a table."""
        i = self.i
        kind = self.kinds[i]
        if kind == "str":
            self.i = i + 1
            return (m.String(self.starts[i], self.ends[i], self.texts[i]),)
        if kind == "{":
            return (self.table(),)
        self.i = i + 1
        if self.kinds[i + 1] == ")":
            self.i = i + 2
            return ()
        found = [self.expr()]
        while self.kinds[self.i] == ",":
            self.i += 1
            found.append(self.expr())
        self.close(")", "(", self.starts[i])
        return tuple(found)

    def expr_list(self) -> tuple[m.Expr, ...]:
        found = [self.expr()]
        while self.kinds[self.i] == ",":
            self.i += 1
            found.append(self.expr())
        return tuple(found)

    def table(self) -> m.Expr:
        start = self.starts[self.i]
        kinds = self.kinds
        self.i += 1
        items: list[m.TableItem] = []
        while kinds[self.i] != "}":
            i = self.i
            begin = self.starts[i]
            key: m.Expr | None = None
            bracketed = False
            if kinds[i] == "name" and kinds[i + 1] == "=":
                key = m.Name(begin, self.ends[i], self.texts[i])
                self.i = i + 2
            elif kinds[i] == "[":
                bracketed = True
                self.i = i + 1
                key = self.expr()
                self.close("]", "[", begin)
                self.expect("=", "behind the key of a table field")
            value = self.expr()
            items.append(m.TableItem(begin, self.ends[self.i - 1], key, value, bracketed))
            kind = kinds[self.i]
            if kind == "," or kind == ";":  # noqa: PLR1714
                self.i += 1
            elif kind != "}":
                line = self.source.count("\n", 0, start) + 1
                self.fail(f"',' or '}}' in the table of line {line}")
        self.i += 1
        return m.Table(start, self.ends[self.i - 1], tuple(items))

    def function_body(self, keyword: int, *, method: bool = False) -> m.Function:
        """From the type parameters to `end`; `keyword` is the offset of `function`."""
        start = self.starts[self.i]
        generics = self.type_params()
        opened = self.starts[self.i]
        self.expect("(", "before the parameters of a function")
        params: list[m.Param] = []
        vararg = False
        if self.kinds[self.i] != ")":
            while True:
                i = self.i
                vararg = self.accept("...")
                name = "..." if vararg else self.name("a parameter name")
                params.append(m.Param(self.starts[i], self.ends[i], name, self.annotation(marks=True)))
                if vararg or not self.accept(","):
                    break
        self.close(")", "(", opened)
        returns = self.returns()
        outer = self.function
        self.function = FunctionState(vararg=vararg, main=False)
        self.function.locals = len(params) + method
        body = self.function_block()
        self.function = outer
        self.close("end", "function", keyword)
        return m.Function(start, self.ends[self.i - 1], generics, tuple(params), returns, body)
