"""The grammar of statements, and the door to the parser: `parse`.

Besides the grammar it holds what Lua checks while compiling: labels and gotos, `break` and `...` in their places,
attributes. Source: Lua 5.3 manual, sections 3.3 and 9; docs page lua/types.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sandbox.types import model as m
from sandbox.types import model_types as t
from sandbox.types.lex import line_starts
from sandbox.types.parse_exprs import ExprParser

__all__ = ["parse"]

_BLOCK_END: Final = frozenset(("eof", "end", "else", "elseif", "until"))
_VALUE_END: Final = frozenset((*_BLOCK_END, ";"))


def parse(source: str, chunk: str) -> m.Chunk:
    """Parse a source; `chunk` names it in errors.

    Raises:
        SourceError: it is not a program of the dialect.
    """
    parser = Parser(source, chunk)
    body = parser.function_block()
    if parser.kinds[parser.i] != "eof":
        parser.fail("a statement or the end of the file")
    return m.Chunk(chunk, source, body, line_starts(source))


class Parser(ExprParser):
    """Statements."""

    __slots__ = ()

    # Blocks ---------------------------------------------------------------------------------------------------------

    def function_block(self) -> m.Block:
        body = self.block()
        if self.function.gotos:
            name, offset, _ = self.function.gotos[0]
            raise self.error(f"no visible label '{name}' for goto", offset)
        return body

    def block(self) -> m.Block:
        self.deeper()
        state = self.function
        first_goto, first_label, locals_before = len(state.gotos), len(state.labels), state.locals
        labels: dict[str, int] = {}
        start = self.ends[self.i - 1] if self.i else 0
        kinds = self.kinds
        body: list[m.Stat] = []
        types: list[m.TypeDecl | m.Interface] = []
        while True:
            kind = kinds[self.i]
            if kind == "name":
                found = self.named_statement()
                if isinstance(found, m.TypeDecl | m.Interface):
                    types.append(found)
                body.append(found)
            elif kind in _BLOCK_END:
                break
            elif kind == "return":
                body.append(self.return_statement())
                break
            elif kind == ";":
                self.i += 1
            elif kind == "::":
                body.append(self.label(labels))
            else:
                handler = _STATEMENTS.get(kind)
                body.append(handler(self) if handler else self.expression_statement())
        if len(state.gotos) > first_goto:
            self.resolve_gotos(first_goto, labels, locals_before)
        del state.labels[first_label:]
        state.locals = locals_before
        self.depth -= 1
        return m.Block(start, self.starts[self.i], tuple(body), tuple(types))

    def loop_block(self) -> m.Block:
        self.function.loops += 1
        body = self.block()
        self.function.loops -= 1
        return body

    def do_block(self, keyword: int, what: str, names: int = 0) -> m.Block:
        """`do ... end` of a loop with `names` control variables."""
        self.expect("do", f"before the body of '{what}'")
        self.function.locals += names
        body = self.loop_block()
        self.function.locals -= names
        self.close("end", what, keyword)
        return body

    def label(self, labels: dict[str, int]) -> m.Label:
        start = self.starts[self.i]
        self.i += 1
        name = self.name("the name of a label")
        self.expect("::", "behind the name of a label")
        state = self.function
        if name in state.labels:
            raise self.error(f"label '{name}' is already defined in this function", start)
        state.labels.append(name)
        ahead = self.i
        while ahead < len(self.kinds) and self.kinds[ahead] in {";", "::"}:  # empty statements and labels do not count
            ahead += 1 if self.kinds[ahead] == ";" else 3
        last = self.kinds[min(ahead, len(self.kinds) - 1)] in _BLOCK_END - {"until"}
        labels[name] = -1 if last else state.locals  # behind the last statement no local is in scope
        return m.Label(start, self.ends[self.i - 1], name)

    def resolve_gotos(self, first: int, labels: dict[str, int], locals_before: int) -> None:
        state = self.function
        pending = state.gotos[first:]
        del state.gotos[first:]
        for name, offset, visible in pending:
            at_label = labels.get(name)
            if at_label is None:
                state.gotos.append((name, offset, min(visible, locals_before)))
            elif at_label > visible:
                message = f"goto '{name}' jumps into the scope of a local: declare it before the goto or in a do-block"
                raise self.error(message, offset)

    # Statements -----------------------------------------------------------------------------------------------------

    def return_statement(self) -> m.Return:
        start = self.starts[self.i]
        self.i += 1
        values = () if self.kinds[self.i] in _VALUE_END else self.expr_list()
        end = self.ends[self.i - 1]
        self.accept(";")
        if self.kinds[self.i] not in _BLOCK_END:
            self.fail("the end of the block behind 'return'")
        return m.Return(start, end, values)

    def if_statement(self) -> m.Stat:
        start = self.starts[self.i]
        clauses: list[m.Clause] = []
        orelse: m.Block | None = None
        word = "if"
        while True:
            begin = self.starts[self.i]
            self.i += 1
            condition = self.expr()
            self.expect("then", f"behind the condition of '{word}'")
            body = self.block()
            clauses.append(m.Clause(begin, body.end, condition, body))
            word = self.kinds[self.i]
            if word != "elseif":
                break
        if self.accept("else"):
            orelse = self.block()
        self.close("end", "if", start)
        return m.If(start, self.ends[self.i - 1], tuple(clauses), orelse)

    def while_statement(self) -> m.Stat:
        start = self.starts[self.i]
        self.i += 1
        condition = self.expr()
        body = self.do_block(start, "while")
        return m.While(start, self.ends[self.i - 1], condition, body)

    def do_statement(self) -> m.Stat:
        start = self.starts[self.i]
        self.i += 1
        body = self.block()
        self.close("end", "do", start)
        return m.Do(start, self.ends[self.i - 1], body)

    def repeat_statement(self) -> m.Stat:
        start = self.starts[self.i]
        self.i += 1
        body = self.loop_block()
        self.close("until", "repeat", start)
        condition = self.expr()
        return m.Repeat(start, self.ends[self.i - 1], body, condition)

    def for_statement(self) -> m.Stat:
        start = self.starts[self.i]
        self.i += 1
        names = [self.loop_name()]
        if self.accept("="):
            bounds = [self.expr()]
            self.expect(",", "and the last value of a numeric 'for'")
            bounds.append(self.expr())
            if self.accept(","):
                bounds.append(self.expr())
            body = self.do_block(start, "for", 1)
            return m.NumericFor(start, self.ends[self.i - 1], names[0], tuple(bounds), body)
        while self.accept(","):
            names.append(self.loop_name())
        if self.kinds[self.i] != "in":
            self.fail("'=' or 'in' behind the variables of 'for'")
        self.i += 1
        values = self.expr_list()
        body = self.do_block(start, "for", len(names))
        return m.GenericFor(start, self.ends[self.i - 1], tuple(names), values, body)

    def loop_name(self) -> m.LocalName:
        start = self.starts[self.i]
        name = self.name("the name of a loop variable")
        annotation = self.annotation()
        return m.LocalName(start, self.ends[self.i - 1], name, "", annotation)

    def function_statement(self) -> m.Stat:
        start = self.starts[self.i]
        self.i += 1
        begin = self.starts[self.i]
        target: m.Name | m.Member = m.Name(begin, self.ends[self.i], self.name("the name of the function"))
        method = False
        while not method and self.kinds[self.i] in {".", ":"}:
            method = self.kinds[self.i] == ":"
            self.i += 1
            name = self.name("a method name" if method else "a field name")
            target = m.Member(begin, self.ends[self.i - 1], target, name)
        function = self.function_body(start, method=method)
        return m.FunctionStat(start, function.end, target, method, function)

    def local_statement(self) -> m.Stat:
        start = self.starts[self.i]
        self.i += 1
        if self.accept("function"):
            keyword = self.starts[self.i - 1]
            name = self.name("the name of the function")
            self.function.locals += 1
            function = self.function_body(keyword)
            return m.LocalFunction(start, function.end, name, function)
        names = [self.local_name()]
        while self.accept(","):
            names.append(self.local_name())
        values = self.expr_list() if self.accept("=") else ()
        self.function.locals += len(names)
        return m.Local(start, self.ends[self.i - 1], tuple(names), values)

    def local_name(self) -> m.LocalName:
        start = self.starts[self.i]
        name = self.name("the name of a local variable")
        attrib = ""
        if self.accept("<"):
            at = self.starts[self.i]
            attrib = self.name("an attribute, const or close")
            if attrib not in {"const", "close"}:
                raise self.error(f"unknown attribute '{attrib}': expected const or close", at)
            self.expect(">", "behind an attribute")
        annotation = self.annotation()
        return m.LocalName(start, self.ends[self.i - 1], name, attrib, annotation)

    def break_statement(self) -> m.Stat:
        start = self.starts[self.i]
        if not self.function.loops:
            raise self.error("break outside a loop", start)
        self.i += 1
        return m.Break(start, self.ends[self.i - 1])

    def goto_statement(self) -> m.Stat:
        start = self.starts[self.i]
        self.i += 1
        name = self.name("the name of a label")
        self.function.gotos.append((name, start, self.function.locals))
        return m.Goto(start, self.ends[self.i - 1], name)

    def named_statement(self) -> m.Stat:
        """A statement that begins with a name: an assignment, a call, or a type declaration."""
        i = self.i
        kinds = self.kinds
        if kinds[i + 1] == "name":
            text = self.texts[i]
            if text == "type" and kinds[i + 2] in {"=", "<"}:
                return self.type_declaration()
            if text == "interface":
                return self.interface()
        return self.expression_statement()

    def expression_statement(self) -> m.Stat:
        i = self.i
        start = self.starts[i]
        if self.kinds[i] != "name" and self.kinds[i] != "(":
            self.fail("a statement")
        first = self.suffixed()
        kind = self.kinds[self.i]
        if kind == "=" or kind == ",":  # noqa: PLR1714  measurably faster
            targets = [first]
            self.check_target(first)
            while self.accept(","):
                targets.append(self.suffixed())
                self.check_target(targets[-1])
            self.expect("=", "in an assignment")
            values = self.expr_list()
            return m.Assign(start, self.ends[self.i - 1], tuple(targets), values)
        if not isinstance(first, m.Call | m.Invoke):
            if isinstance(first, m.Name | m.Member | m.Index):
                self.fail(f"'=' or a call behind '{self.source[start : first.end].strip()[:30]}'")
            raise self.error("expected a statement: an expression alone does nothing", start)
        return m.CallStat(start, first.end, first)

    def check_target(self, target: m.Expr) -> None:
        if not isinstance(target, m.Name | m.Member | m.Index):
            raise self.error("cannot assign to this expression: expected a variable or a field", target.start)

    # Declarations of types ------------------------------------------------------------------------------------------

    def type_declaration(self) -> m.TypeDecl:
        start = self.starts[self.i]
        self.i += 1
        name = self.name("the name of a type")
        params = self.type_params()
        self.expect("=", "behind the name of a type")
        body = self.type_expr()
        self.function.locals += 1
        return m.TypeDecl(start, self.ends[self.i - 1], name, params, body)

    def interface(self) -> m.Interface:
        start = self.starts[self.i]
        self.i += 1
        name = self.name("the name of an interface")
        bases: list[str] = []
        if self.accept(":"):
            bases.append(self.name("the name of an interface"))
            while self.accept(","):
                bases.append(self.name("the name of an interface"))
        methods: list[t.MethodType] = []
        while self.kinds[self.i] == "function":
            begin = self.starts[self.i]
            self.i += 1
            method = self.name("a method name")
            opened = self.starts[self.i]
            self.expect("(", "before the parameters of a method")
            params = self.interface_params()
            self.close(")", "(", opened)
            annotation = self.returns()
            end = self.ends[self.i - 1]
            signature = t.FunctionType(opened, end, params, annotation.type if annotation else None)
            methods.append(t.MethodType(begin, end, method, signature))
        self.close("end", "interface", start)
        self.function.locals += 1
        return m.Interface(start, self.ends[self.i - 1], name, tuple(bases), tuple(methods))

    def interface_params(self) -> tuple[t.ParamType, ...]:
        """Parameters with names first: `a, b: T, ...`."""
        params: list[t.ParamType] = []
        while self.kinds[self.i] != ")":
            start = self.starts[self.i]
            variadic = self.accept("...")
            name = "" if variadic else self.name("a parameter name")
            found = self.annotation(marks=True)
            kind = found.type if found else None
            if kind is None:
                kind = t.NameType(start, self.ends[self.i - 1], ("any",), ())
            optional = found is not None and found.optional
            params.append(t.ParamType(start, self.ends[self.i - 1], name, kind, optional, variadic))
            if not self.accept(","):
                break
        return tuple(params)


_STATEMENTS: Final[dict[str, Callable[[Parser], m.Stat]]] = {
    "break": Parser.break_statement,
    "do": Parser.do_statement,
    "for": Parser.for_statement,
    "function": Parser.function_statement,
    "goto": Parser.goto_statement,
    "if": Parser.if_statement,
    "local": Parser.local_statement,
    "repeat": Parser.repeat_statement,
    "while": Parser.while_statement,
}
