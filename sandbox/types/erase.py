"""Emission: from the syntax tree to the text that Lua 5.5 loads, every line at its number.

The text is the source with edits: types blanked, budget checks inserted, `..` made a call. docs/internals/front-end.md
tells what is emitted and why.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from sandbox.types import model as m
from sandbox.types import model_types as t
from sandbox.types.concat import group
from sandbox.types.edits import Edits
from sandbox.types.emit_types import TypeEmitter
from sandbox.types.lex import SourceError

__all__ = ["erase"]

_BUDGET: Final = "__w_n=__w_n-1 if __w_n<0 then __w_n=__w_T() end "
_PREFIX: Final = "local _ENV,__w_rt=... local __w_n,__w_T,__w_cat=__w_rt.slice,__w_rt.tick,__w_rt.cat "
_TYPES: Final = "local __w_ty,__w_ts=__w_rt.types,{} "
_NAMED_KEY: Final = re.compile(r"\[\s*[A-Za-z_]\w*\s*\]\s*=[^=]")
_VARARG: Final = "local function __w_va(_,_,...) return ... end "


def erase(chunk: m.Chunk) -> str:
    """The Lua text of a chunk.

    Raises:
        SourceError: a validator with an argument that makes no sense.
    """
    return Eraser(chunk).run()


class Eraser(Edits):
    """Walks the tree and collects edits."""

    __slots__ = ("assigned", "chunk", "spends", "track", "types", "vararg", "variables")

    def __init__(self, chunk: m.Chunk) -> None:
        super().__init__(chunk.source)
        self.chunk = chunk
        self.types = TypeEmitter(self._error, self._annotation_of)
        self.assigned: set[str] = set()  # names assigned in the loop being walked
        self.spends = False  # whether the function being walked has a loop, a goto or a call
        self.vararg = False
        self.track = "typeof" in self.source or _NAMED_KEY.search(self.source) is not None
        self.variables: list[dict[str, t.Annotation | None]] = []

    def run(self) -> str:
        source = self.source
        self.block(self.chunk.body)
        start = 1 if source.startswith("\ufeff") else 0
        if source.startswith("#", start):
            line = source.find("\n")
            start = len(source) if line < 0 else line
        out = [_PREFIX]
        if self.types.used:
            out.append(_TYPES)
        if self.vararg:
            out.append(_VARARG)
        out.append(";")
        return "".join(out) + self.edited(start)

    def _error(self, message: str, offset: int) -> SourceError:
        return SourceError.at(message, self.source, self.chunk.name, offset)

    def _annotation_of(self, name: str) -> t.Annotation | None:
        for scope in reversed(self.variables):
            if name in scope:
                return scope[name]
        return None

    def _declared(self, name: str) -> bool:
        return any(name in scope for scope in self.variables)

    # Statements -----------------------------------------------------------------------------------------------------

    def block(self, block: m.Block) -> None:
        """The statements of a block, in a scope of their own."""
        if block.types:
            self.types.open_block(block.types)
        if self.track:
            self.variables.append({})
        source = self.source
        first = True
        for stat in block.body:
            # Erasing may leave the statement before without what told it from the arguments of a call.
            if not first and source[stat.start] == "(":
                self.insert(stat.start, ";")
            first = False
            _STATS[type(stat)](self, stat)
        if self.track:
            self.variables.pop()
        if block.types:
            self.types.close()

    def exprs(self, exprs: tuple[m.Expr, ...]) -> None:
        """Expressions in a row."""
        get = _EXPRS.get
        for expr in exprs:
            handler = get(type(expr))
            if handler is not None:
                self.follow(handler, expr)

    def expr(self, expr: m.Expr) -> None:
        handler = _EXPRS.get(type(expr))
        if handler is not None:
            self.follow(handler, expr)

    def follow(self, handler: Callable[[Eraser, m.Expr], m.Expr | None], expr: m.Expr) -> None:
        """Walk down the left side in a loop: chains of calls and operators may be long."""
        left = handler(self, expr)
        while left is not None:
            found = _EXPRS.get(type(left))
            if found is None:
                return
            left = found(self, left)

    def on_local(self, stat: m.Local) -> None:
        for value in stat.values:
            self.expr(value)
        for name in stat.names:
            self.declare(name.name, name.annotation)

    def declare(self, name: str, annotation: t.Annotation | None) -> None:
        if annotation is not None:
            self.blank(annotation.start, annotation.end)
        if self.track:
            self.variables[-1][name] = annotation

    def on_local_function(self, stat: m.LocalFunction) -> None:
        if self.track:
            self.variables[-1][stat.name] = None
        self.function(stat.function)

    def on_function_stat(self, stat: m.FunctionStat) -> None:
        if isinstance(stat.target, m.Name):
            self.assigned.add(stat.target.name)
        self.function(stat.function)

    def guard_key(self, target: m.Index) -> None:
        """An assignment under a key that is a name nobody declared: the reference passes over it when the key is nil,
        where Lua raises. `sink` swallows it. Tests/app funcs/parallel.lua depends on it.
        """
        key = target.key
        if isinstance(key, m.Name) and self.track and not self._declared(key.name):
            self.insert(target.object.start, f";({key.name}==nil and __w_rt.sink or ")
            self.insert(target.object.end, ")")

    def on_assign(self, stat: m.Assign) -> None:
        if len(stat.targets) == 1 and isinstance(stat.targets[0], m.Index):
            self.guard_key(stat.targets[0])
        for target in stat.targets:
            if isinstance(target, m.Name):
                self.assigned.add(target.name)
            else:
                self.expr(target)
        self.exprs(stat.values)

    def on_call_stat(self, stat: m.CallStat) -> None:
        self.expr(stat.call)

    def on_do(self, stat: m.Do) -> None:
        self.block(stat.body)

    def on_while(self, stat: m.While) -> None:
        self.spends = True
        self.expr(stat.condition)
        self.insert(stat.body.start, " " + _BUDGET)
        self.block(stat.body)

    def on_repeat(self, stat: m.Repeat) -> None:
        self.spends = True
        self.insert(stat.body.start, " " + _BUDGET)
        self.block(stat.body)
        self.expr(stat.condition)

    def on_if(self, stat: m.If) -> None:
        for clause in stat.clauses:
            self.expr(clause.condition)
            self.block(clause.body)
        if stat.orelse is not None:
            self.block(stat.orelse)

    def on_numeric_for(self, stat: m.NumericFor) -> None:
        self.exprs(stat.bounds)
        self.loop((stat.variable,), stat.body)

    def on_generic_for(self, stat: m.GenericFor) -> None:
        self.exprs(stat.values)
        self.loop(stat.names, stat.body)

    def loop(self, names: tuple[m.LocalName, ...], body: m.Block) -> None:
        """The body of a `for`. Lua 5.5 makes the first control variable constant: where it is assigned, copy it."""
        self.spends = True
        if self.track:
            self.variables.append({})
        for name in names:
            self.declare(name.name, name.annotation)
        outer, self.assigned = self.assigned, set()
        place = self.reserve(body.start)
        self.block(body)
        control = names[0].name
        copy = f"local {control}={control} " if control in self.assigned else ""
        self.fill(place, f" {copy}{_BUDGET}")
        self.assigned |= outer
        if self.track:
            self.variables.pop()

    def on_return(self, stat: m.Return) -> None:
        self.exprs(stat.values)

    def on_goto(self, stat: m.Goto) -> None:
        self.spends = True
        self.insert(stat.start, _BUDGET)

    def on_nothing(self, stat: m.Stat) -> None:
        pass

    def on_type_decl(self, stat: m.TypeDecl) -> None:
        self.blank(stat.start, stat.end, self.types.declaration(stat) + " ")

    def on_interface(self, stat: m.Interface) -> None:
        self.blank(stat.start, stat.end, self.types.interface(stat) + " ")

    # Expressions: a handler gives back the operand on the left, for `follow` --------------------------------------

    def function(self, node: m.Function) -> None:
        """Parameters, returns and body of a function."""
        if node.generics is not None:
            self.blank(node.generics.start, node.generics.end)
            self.types.open_generics(node.generics)
        if self.track:
            self.variables.append({})
        for param in node.params:
            self.declare(param.name, param.annotation)
        if node.returns is not None:
            self.blank(node.returns.start, node.returns.end)
        outer, self.spends = self.spends, False
        place = self.reserve(node.body.start)
        self.block(node.body)
        if self.spends:
            self.fill(place, " " + _BUDGET)
        self.spends = outer
        if self.track:
            self.variables.pop()
        if node.generics is not None:
            self.types.close()

    def on_function(self, node: m.Function) -> None:
        self.function(node)

    def on_member(self, node: m.Member) -> m.Expr:
        return node.object

    def on_index(self, node: m.Index) -> m.Expr:
        self.expr(node.key)
        return node.object

    def on_call(self, node: m.Call) -> m.Expr | None:
        self.spends = True
        if self.track and isinstance(node.function, m.Name) and node.function.name == "typeof" and self._typeof(node):
            return None
        self.exprs(node.args)
        return node.function

    def _typeof(self, node: m.Call) -> bool:
        """`typeof(x)` of a variable with a declared type is that type."""
        if len(node.args) != 1 or self._declared("typeof"):
            return False
        arg = node.args[0]
        found = self._annotation_of(arg.name) if isinstance(arg, m.Name) else None
        if found is None:
            return False
        self.blank(node.start, node.end, self.types.value(found))
        return True

    def on_invoke(self, node: m.Invoke) -> m.Expr:
        self.spends = True
        self.exprs(node.args)
        return node.object

    def on_paren(self, node: m.Paren) -> None:
        self.expr(node.inner)

    def on_unary(self, node: m.Unary) -> None:
        self.expr(node.operand)

    def on_binary(self, node: m.Binary) -> m.Expr:
        self.expr(node.right)
        return node.left

    def on_vararg(self, node: m.Vararg) -> None:
        if node.main:  # the emitted chunk has two arguments of its own in front
            self.vararg = True
            self.edits.append((node.start, node.end, "__w_va(...)"))

    def on_concat(self, node: m.Concat) -> None:
        """A call of the helper, which knows how floats print, unless only literal strings are joined."""
        operands = node.operands
        if all(isinstance(operand, m.String) for operand in operands):
            return
        count = len(operands)
        opens, closes = [0] * count, [0] * count
        group(0, count, opens, closes)
        for i, operand in enumerate(operands):
            # As the last argument a call would give all its values.
            several = i == count - 1 and isinstance(_bare(operand), m.Call | m.Invoke | m.Vararg)
            if opens[i] or several:
                self.insert(operand.start, "__w_cat(" * opens[i] + ("(" if several else ""))
            self.expr(operand)
            if closes[i] or several:
                self.insert(operand.end, ")" * (closes[i] + several))
            if i < count - 1:
                self.edits.append((node.dots[i], node.dots[i] + 2, ","))

    def on_table(self, node: m.Table) -> None:
        for item in node.items:
            if item.bracketed and item.key is not None:
                self.expr(item.key)
            self.expr(item.value)

    def on_cast(self, node: m.Cast) -> m.Expr:
        self.blank(node.expr.end, node.end)
        return node.expr

    def on_non_nil(self, node: m.NonNil) -> m.Expr:
        self.blank(node.expr.end, node.end)
        return node.expr


def _bare(expr: m.Expr) -> m.Expr:
    while isinstance(expr, m.Cast | m.NonNil):
        expr = expr.expr
    return expr


_STATS: Final[dict[type, Callable[..., None]]] = {
    m.Local: Eraser.on_local,
    m.LocalFunction: Eraser.on_local_function,
    m.FunctionStat: Eraser.on_function_stat,
    m.Assign: Eraser.on_assign,
    m.CallStat: Eraser.on_call_stat,
    m.Do: Eraser.on_do,
    m.While: Eraser.on_while,
    m.Repeat: Eraser.on_repeat,
    m.If: Eraser.on_if,
    m.NumericFor: Eraser.on_numeric_for,
    m.GenericFor: Eraser.on_generic_for,
    m.Return: Eraser.on_return,
    m.Break: Eraser.on_nothing,
    m.Goto: Eraser.on_goto,
    m.Label: Eraser.on_nothing,
    m.TypeDecl: Eraser.on_type_decl,
    m.Interface: Eraser.on_interface,
}
_EXPRS: Final[dict[type, Callable[..., m.Expr | None]]] = {
    m.Vararg: Eraser.on_vararg,
    m.Member: Eraser.on_member,
    m.Index: Eraser.on_index,
    m.Call: Eraser.on_call,
    m.Invoke: Eraser.on_invoke,
    m.Paren: Eraser.on_paren,
    m.Unary: Eraser.on_unary,
    m.Binary: Eraser.on_binary,
    m.Concat: Eraser.on_concat,
    m.Cast: Eraser.on_cast,
    m.NonNil: Eraser.on_non_nil,
    m.Table: Eraser.on_table,
    m.Function: Eraser.on_function,
}
