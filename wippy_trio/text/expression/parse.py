"""Tokens to tree: a precedence-climbing parser for the expression language.

Source: docs page lua/dynamic/expression, which names expr-lang (1.17); its language definition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from wippy_trio.text.expression.functions import FUNCTIONS
from wippy_trio.text.expression.lex import ExpressionError, Token, error_at, tokenize
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
    children,
)

__all__ = ["BUILTIN_NAMES", "MAX_DEPTH", "MAX_NESTING", "MAX_NODES", "PREDICATES", "parse"]

MAX_NODES = 10_000
#: How deep brackets and operands may nest in the text.
MAX_NESTING = 100
#: How deep the tree may be: `a + b + c` makes one as deep as it is long. Both keep Python's own stack from overflowing.
MAX_DEPTH = 250

_UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}
_BINARY = {
    "|": 0, "or": 10, "||": 10, "and": 15, "&&": 15, "==": 20, "!=": 20, "<": 20, ">": 20, ">=": 20, "<=": 20,
    "in": 20, "matches": 20, "contains": 20, "startsWith": 20, "endsWith": 20, "..": 25, "+": 30, "-": 30,
    "*": 60, "/": 60, "%": 60, "**": 100, "^": 100, "??": 500,
}  # fmt: skip
_RIGHT = frozenset({"**", "^"})
_NEGATABLE = frozenset({"contains", "matches", "startsWith", "endsWith", "in"})
_COMPARISONS = frozenset({"<", ">", ">=", "<="})

_ITEM, _BODY, _OPTIONAL = 1, 2, 128
_ONE_PREDICATE = (_ITEM, _BODY)
#: Builtins that take a closure, with the forms of their arguments.
PREDICATES: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(
        ("all", "none", "any", "one", "filter", "map", "find", "findIndex", "findLast", "findLastIndex", "groupBy"),
        _ONE_PREDICATE,
    ),
    "count": (_ITEM, _BODY | _OPTIONAL),
    "sum": (_ITEM, _BODY | _OPTIONAL),
    "sortBy": (_ITEM, _BODY, _ITEM | _OPTIONAL),
    "reduce": (_ITEM, _BODY, _ITEM | _OPTIONAL),
}
#: Builtins without a closure.
BUILTIN_NAMES = frozenset(FUNCTIONS) | {"now"}
_ItemT = TypeVar("_ItemT")
_NodeT = TypeVar("_NodeT", bound=Node)


def parse(source: str) -> Node:
    """The tree of `source`.

    Raises:
        ExpressionError: wrong syntax, more than `MAX_NODES` nodes, or deeper than `MAX_NESTING` or `MAX_DEPTH`.
    """
    parser = _Parser(source)
    tree = parser.sequence()
    if parser.current.kind != "end":
        raise parser.unexpected()
    level: list[Node] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in children(node)]
        if not level:
            return tree
    message = f"compilation failed: expression chains or nests more than {MAX_DEPTH} operations"
    raise ExpressionError(message)


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = tokenize(source)
        self.position = 0
        self.predicates = 0
        self.node_count = 0
        self.depth = 0

    @property
    def current(self) -> Token:
        return self.tokens[self.position]

    def advance(self) -> Token:
        token = self.current
        if token.kind != "end":
            self.position += 1
        return token

    def at(self, kind: str, *values: str) -> bool:
        return self.current.kind == kind and (not values or self.current.value in values)

    def expect(self, kind: str, value: str | None = None) -> Token:
        if not (self.at(kind) if value is None else self.at(kind, value)):
            raise self.unexpected()
        return self.advance()

    def fail(self, message: str, token: Token | None = None) -> ExpressionError:
        return error_at(self.source, (token or self.current).at, message)

    def unexpected(self) -> ExpressionError:
        return self.fail(f"unexpected token {self.current.describe()}")

    def make(self, node: _NodeT) -> _NodeT:
        self.node_count += 1
        if self.node_count > MAX_NODES:
            raise self.fail("compilation failed: expression exceeds maximum allowed nodes")
        return node

    def nested(self, rule: Callable[[], Node]) -> Node:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise self.fail(f"compilation failed: expression nests deeper than {MAX_NESTING} levels")
        node = rule()
        self.depth -= 1
        return node

    # -------------------------------------------------------------------------------------------- expressions
    def sequence(self) -> Node:
        items = [self.expression()]
        while self.at("operator", ";"):
            self.advance()
            if self.at("end"):
                break
            items.append(self.expression())
        return items[0] if len(items) == 1 else self.make(Sequence(items[0].at, tuple(items)))

    def expression(self, precedence: int = 0) -> Node:
        return self.nested(lambda: self._expression(precedence))

    def _expression(self, precedence: int) -> Node:
        if precedence == 0 and self.at("operator", "let"):
            return self.let()
        if precedence == 0 and self.at("operator", "if"):
            return self.conditional()
        left = self.primary()
        previous = ""
        while self.current.kind == "operator":
            token = self.current
            negate = token.value == "not"
            if negate:
                following = self.tokens[min(self.position + 1, len(self.tokens) - 1)]
                if following.kind != "operator" or following.value not in _NEGATABLE:
                    self.advance()
                    raise self.unexpected()
                token = following
            rank = _BINARY.get(token.value, -1)
            if rank < precedence:
                break
            if negate:
                self.advance()
            self.advance()
            left = self.binary(left, token, rank, previous)
            if negate:
                left = self.make(Unary(token.at, "not", left))
            previous = token.value
        return self.ternary(left) if precedence == 0 else left

    def binary(self, left: Node, token: Token, rank: int, previous: str) -> Node:
        operator = token.value
        if operator == "|":
            name = self.expect("name")
            return self.call(name, [left])
        if previous == "??" and operator != "??":
            message = (
                f"Operator ({operator}) and coalesce expressions (??) cannot be mixed. Wrap either by parentheses."
            )
            raise self.fail(message, token)
        if operator in _COMPARISONS:
            return self.comparison(left, token, rank)
        right = self.expression(rank if operator in _RIGHT else rank + 1)
        return self.make(Binary(token.at, operator, left, right))

    def comparison(self, left: Node, token: Token, rank: int) -> Node:
        """`a < b < c` means `a < b and b < c`."""
        whole: Node | None = None
        while True:
            right = self.expression(rank + 1)
            part = self.make(Binary(token.at, token.value, left, right))
            whole = part if whole is None else self.make(Binary(token.at, "&&", whole, part))
            if not self.at("operator", *_COMPARISONS):
                return whole
            left, token = right, self.advance()

    def let(self) -> Node:
        self.advance()
        name = self.expect("name")
        self.expect("operator", "=")
        value = self.expression()
        self.expect("operator", ";")
        return self.make(Let(name.at, name.value, value, self.sequence()))

    def conditional(self) -> Node:
        token = self.advance()
        test = self.expression()
        then = self.block()
        self.expect("operator", "else")
        otherwise = self.nested(self.conditional) if self.at("operator", "if") else self.block()
        return self.make(Condition(token.at, test, then, otherwise))

    def block(self) -> Node:
        self.expect("bracket", "{")
        body = self.sequence()
        self.expect("bracket", "}")
        return body

    def ternary(self, node: Node) -> Node:
        while self.at("operator", "?"):
            at = self.advance().at
            then = node
            if self.at("operator", ":"):
                self.advance()
            else:
                then = self.expression()
                self.expect("operator", ":")
            node = self.make(Condition(at, node, then, self.expression()))
        return node

    # ------------------------------------------------------------------------------------------------ operands
    def primary(self) -> Node:
        token = self.current
        if token.kind == "operator" and token.value in _UNARY:
            self.advance()
            operand = self.expression(_UNARY[token.value])
            return self.postfix(self.make(Unary(token.at, token.value, operand)))
        if self.at("bracket", "("):
            self.advance()
            inner = self.sequence()
            self.expect("bracket", ")")
            return self.postfix(inner)
        if self.predicates and self.at("operator", "#", "."):
            name = ""
            if token.value == "#":
                self.advance()
                if self.at("name"):
                    name = self.advance().value
            return self.postfix(self.make(Pointer(token.at, name)))
        if self.at("operator", "::"):
            self.advance()
            return self.postfix(self.call(self.expect("name"), []))
        return self.literal()

    def literal(self) -> Node:
        token = self.current
        if token.kind == "name":
            self.advance()
            if token.value in ("true", "false", "nil"):
                return self.make(Constant(token.at, {"true": True, "false": False, "nil": None}[token.value]))
            if self.at("bracket", "("):
                return self.postfix(self.call(token, []))
            return self.postfix(self.make(Name(token.at, token.value)))
        if token.kind == "number":
            self.advance()
            return self.make(Constant(token.at, self.number(token)))
        if token.kind in ("string", "bytes"):
            self.advance()
            value = token.value if token.kind == "string" else token.value.encode("latin-1")
            return self.postfix(self.make(Constant(token.at, value)))
        if self.at("bracket", "["):
            self.advance()
            items = self.listed("]", self.expression)
            return self.postfix(self.make(ArrayOf(token.at, tuple(items))))
        if self.at("bracket", "{"):
            self.advance()
            pairs = self.listed("}", self.pair)
            return self.postfix(self.make(MapOf(token.at, tuple(pairs))))
        raise self.unexpected()

    def number(self, token: Token) -> int | float:
        text = token.value.replace("_", "").lower()
        try:
            if not text.startswith("0x") and ("." in text or "e" in text):
                return float(text)
            number = int(text, 0 if text[:2] in ("0x", "0o", "0b") else 10)
        except ValueError as error:
            raise self.fail(f"invalid number literal: {token.value}", token) from error
        if number > 0x7FFF_FFFF_FFFF_FFFF:
            raise self.fail("integer literal is too large", token)
        return number

    def listed(self, closing: str, item: Callable[[], _ItemT]) -> list[_ItemT]:
        found: list[_ItemT] = []
        while not self.at("bracket", closing):
            if found:
                self.expect("operator", ",")
                if self.at("bracket", closing):
                    break
            found.append(item())
        self.expect("bracket", closing)
        return found

    def pair(self) -> tuple[Node, Node]:
        token = self.current
        key: Node
        if token.kind in ("number", "string", "name"):
            self.advance()
            key = self.make(Constant(token.at, token.value))
        elif self.at("bracket", "("):
            key = self.expression()
        else:
            message = (
                "a map key must be a quoted string, a number, a identifier, or an expression enclosed in parentheses"
            )
            raise self.fail(f"{message} (unexpected token {token.describe()})")
        self.expect("operator", ":")
        return key, self.expression()

    # --------------------------------------------------------------------------------------- calls and members
    def call(self, name: Token, arguments: list[Node]) -> Node:
        if name.value in PREDICATES:
            return self.make(Builtin(name.at, name.value, tuple(self.predicate_arguments(name, arguments))))
        self.expect("bracket", "(")
        arguments += self.listed(")", self.expression)
        if name.value in BUILTIN_NAMES:
            return self.make(Builtin(name.at, name.value, tuple(arguments)))
        return self.make(Call(name.at, self.make(Name(name.at, name.value)), tuple(arguments)))

    def predicate_arguments(self, name: Token, arguments: list[Node]) -> list[Node]:
        self.expect("bracket", "(")
        forms = PREDICATES[name.value][len(arguments) :]
        for index, form in enumerate(forms):
            if self.at("bracket", ")"):
                if form & _OPTIONAL:
                    break
                raise self.fail(f"expected at least {len(forms)} arguments")
            if index:
                self.expect("operator", ",")
            arguments.append(self.predicate() if form & _BODY else self.expression())
        if self.at("operator", ","):  # a trailing one is allowed
            self.advance()
        self.expect("bracket", ")")
        return arguments

    def predicate(self) -> Node:
        start = self.current
        self.predicates += 1
        if self.at("bracket", "{"):
            body = self.nested(self.block)
        else:
            body = self.expression()
            if self.at("operator", ";"):
                raise self.fail("wrap predicate with brackets { and }")
        self.predicates -= 1
        return self.make(Predicate(start.at, body))

    def postfix(self, node: Node) -> Node:
        while self.at("operator", ".", "?.") or self.at("bracket", "["):
            token = self.advance()
            optional = token.value == "?."
            if optional and self.at("bracket", "["):
                token = self.advance()
            node = self.index(node, token, optional) if token.value == "[" else self.member(node, optional)
        return node

    def member(self, node: Node, optional: bool) -> Node:
        token = self.advance()
        if token.kind != "name" and not (token.kind == "operator" and token.value.isalpha()):
            raise self.fail("expected name", token)
        chained = isinstance(node, Chain)
        base = node.body if isinstance(node, Chain) else node
        made: Node = self.make(Member(token.at, base, self.make(Constant(token.at, token.value)), optional))
        if self.at("bracket", "("):
            self.advance()
            made = self.make(Call(token.at, made, tuple(self.listed(")", self.expression))))
        return self.make(Chain(token.at, made)) if chained or optional else made

    def index(self, node: Node, token: Token, optional: bool) -> Node:
        start: Node | None = None
        if not self.at("operator", ":"):
            start = self.expression()
        if self.at("operator", ":"):
            self.advance()
            stop = None if self.at("bracket", "]") else self.expression()
            self.expect("bracket", "]")
            return self.make(SliceOf(token.at, node, start, stop))
        self.expect("bracket", "]")
        assert start is not None
        made: Node = self.make(Member(token.at, node, start, optional))
        return self.make(Chain(token.at, made)) if optional else made
