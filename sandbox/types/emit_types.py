"""Types as run-time values: the constructor calls that `type N = T` becomes.

What a constructor gives is a *node*, seen by nobody but sandbox/prelude/types.lua; `decl` and `value` turn a node into
the type value a program sees. A name of a declared type becomes `ref(slots, index)`, resolved at first use, so that
types may refer to themselves and to later ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sandbox.types import model as m
from sandbox.types import model_types as t
from sandbox.types.lex import SourceError
from sandbox.types.literals import quote, string_value
from sandbox.types.regex import RegexError, compile_regex

__all__ = ["PRIMITIVES", "TypeEmitter"]

#: Types with a name of the language.
PRIMITIVES: Final = frozenset((
    "any", "boolean", "error", "function", "integer", "never", "nil", "number", "string", "table", "thread", "unknown",
    "userdata",
))  # fmt: skip
_NUMERIC: Final = frozenset(("min", "max", "min_len", "max_len"))
#: How often `typeof(x)` may lead to a type that holds `typeof(y)`.
_MAX_TYPEOF: Final = 8

_C: Final = "__w_ty."
_ANY: Final = f'{_C}prim["any"]'
_NIL: Final = f'{_C}prim["nil"]'


class TypeEmitter:
    """Emits types in the scopes that its owner opens and closes.

    Args:
        error: makes the error at an offset.
        annotation_of: the type a visible variable was declared with.
    """

    __slots__ = ("_annotation_of", "_error", "_typeof_depth", "count", "scopes", "used")

    def __init__(
        self, error: Callable[[str, int], SourceError], annotation_of: Callable[[str], t.Annotation | None]
    ) -> None:
        self._error = error
        self._annotation_of = annotation_of
        self._typeof_depth = 0
        self.scopes: list[dict[str, str]] = []
        self.count = 0
        self.used = False

    def open_block(self, types: tuple[m.TypeDecl | m.Interface, ...]) -> None:
        """A scope with these declarations, visible in all of it."""
        scope: dict[str, str] = {}
        for declaration in types:
            self.count += 1
            scope[declaration.name] = str(self.count)
        self.scopes.append(scope)

    def open_generics(self, generics: t.TypeParams) -> None:
        """A scope in which the type parameters of a function are unknown."""
        self.scopes.append({param.name: _ANY for param in generics.params})

    def close(self) -> None:
        self.scopes.pop()

    def declaration(self, node: m.TypeDecl) -> str:
        """`local N=...` for a type declaration."""
        self.used = True
        index = self.lookup(node.name)
        if node.params is None:
            return f"local {node.name}={_C}decl(__w_ts,{index},{quote(node.name.encode())},{self.emit(node.type)})"
        params = {param.name: f"__w_p{i}" for i, param in enumerate(node.params.params, 1)}
        self.scopes.append(params)
        body = self.emit(node.type)
        self.scopes.pop()
        names = ",".join(params.values())
        return (
            f"local {node.name}={_C}generic(__w_ts,{index},{quote(node.name.encode())},"
            f"{len(node.params.params)},function({names}) return {body} end)"
        )

    def interface(self, node: m.Interface) -> str:
        """`local N=...` for an interface."""
        self.used = True
        bases = ",".join(self.named((base,), (), node.start) for base in node.bases)
        methods = ",".join(f"{{{quote(x.name.encode())},{self.emit(x.type)},false}}" for x in node.methods)
        name = quote(node.name.encode())
        made = f"{_C}interface({name},{{{methods}}},{{{bases}}})"
        return f"local {node.name}={_C}decl(__w_ts,{self.lookup(node.name)},{name},{made})"

    def value(self, annotation: t.Annotation) -> str:
        """The type value of an annotation, for `typeof(variable)`."""
        self.used = True
        return f"{_C}value({self._annotated(annotation)})"

    def lookup(self, name: str) -> str | None:
        for scope in reversed(self.scopes):
            found = scope.get(name)
            if found is not None:
                return found
        return None

    def _annotated(self, annotation: t.Annotation) -> str:
        made = _ANY if annotation.type is None else self.emit(annotation.type)
        return f"{_C}optional({made})" if annotation.optional else made

    def named(self, parts: tuple[str, ...], args: tuple[t.TypeExpr, ...], _at: int) -> str:
        arguments = "".join("," + self.emit(arg) for arg in args)
        if len(parts) == 1:
            name = parts[0]
            found = self.lookup(name)
            if found is not None:
                return f"{_C}ref(__w_ts,{found}{arguments})" if found.isdigit() else found
            if name in PRIMITIVES:
                return f'{_C}prim["{name}"]'
        path = ".".join(parts)
        return f"{_C}lib({quote(path.encode())},function() return {path} end{arguments})"

    def emit(self, node: t.TypeExpr) -> str:
        """The constructor call of a type."""
        return _EMIT[type(node)](self, node)

    def _list(self, nodes: tuple[t.TypeExpr, ...]) -> str:
        return "{" + ",".join([self.emit(node) for node in nodes]) + "}"

    def on_name(self, node: t.NameType) -> str:
        return self.named(node.parts, node.args, node.start)

    def on_literal(self, node: t.LiteralType) -> str:
        if node.text == "nil":
            return _NIL
        text = quote(string_value(node.text)) if node.text[0] in "\"'[" else node.text
        return f"{_C}literal({text})"

    def on_optional(self, node: t.OptionalType) -> str:
        return f"{_C}optional({self.emit(node.inner)})"

    def on_union(self, node: t.UnionType) -> str:
        return f"{_C}union({self._list(node.members)})"

    def on_intersection(self, node: t.IntersectionType) -> str:
        return f"{_C}intersection({self._list(node.members)})"

    def on_array(self, node: t.ArrayType) -> str:
        return f"{_C}array({self.emit(node.element)})"

    def on_record(self, node: t.RecordType) -> str:
        if node.indexer and not node.fields:
            return f"{_C}map({self.emit(node.indexer[0])},{self.emit(node.indexer[1])})"
        fields = ",".join(
            f"{{{quote(field.name.encode())},{self.emit(field.type)},{'true' if field.optional else 'false'}}}"
            for field in node.fields
        )
        rest = f",{self.emit(node.indexer[0])},{self.emit(node.indexer[1])}" if node.indexer else ""
        return f"{_C}record({{{fields}}}{rest})"

    def on_function(self, node: t.FunctionType) -> str:
        params = [self.emit(p.type) for p in node.params if not p.variadic]
        params = [f"{_C}optional({text})" if p.optional else text for p, text in zip(node.params, params, strict=False)]
        rest = next((self.emit(p.type) for p in node.params if p.variadic), "nil")
        if node.returns is None:
            returns = ""
        elif isinstance(node.returns, t.TupleType):
            returns = ",".join(self.emit(member) for member in node.returns.members)
        else:
            returns = self.emit(node.returns)
        return f"{_C}func({{{','.join(params)}}},{{{returns}}},{rest})"

    def on_tuple(self, node: t.TupleType) -> str:
        return self.emit(node.members[0]) if node.members else _NIL

    def on_typeof(self, node: t.TypeofType) -> str:
        expr = node.expr
        if isinstance(expr, m.Name):
            found = self._annotation_of(expr.name)
            if found is not None and self._typeof_depth < _MAX_TYPEOF:
                self._typeof_depth += 1
                made = self._annotated(found)
                self._typeof_depth -= 1
                return made
        path = _dotted(expr)
        return f"{_C}of(function() return {path} end)" if path else _ANY

    def on_keyof(self, node: t.KeyofType) -> str:
        return f"{_C}keyof({self.emit(node.inner)})"

    def on_index(self, node: t.IndexType) -> str:
        return f"{_C}index({self.emit(node.object)},{self.emit(node.key)})"

    def on_conditional(self, node: t.ConditionalType) -> str:
        parts = (node.subject, node.bound, node.yes, node.no)
        return f"{_C}conditional({','.join(self.emit(part) for part in parts)})"

    def on_asserts(self, node: t.AssertsType) -> str:
        return _NIL

    def on_annotated_type(self, node: t.AnnotatedType) -> str:
        inner = self.emit(node.inner)
        rules: list[str] = []
        for validator in node.validators:
            arg = validator.args[0] if validator.args else None
            if validator.name in _NUMERIC:
                rules.append(f"{validator.name}={self._number(validator, arg)}")
            elif validator.name == "pattern":
                if not isinstance(arg, m.String):
                    raise self._error("@pattern takes a string literal, a regular expression", validator.start)
                pattern = string_value(arg.text)
                try:
                    program = compile_regex(pattern.decode("utf-8", "replace"))
                except RegexError as problem:
                    raise self._error(f"@pattern: {problem}", arg.start) from None
                rules.append(f"pattern={quote(pattern)},program={program}")
        return f"{_C}checked({inner},{{{','.join(rules)}}})" if rules else inner

    def _number(self, validator: t.Validator, arg: object) -> str:
        sign = ""
        if isinstance(arg, m.Unary) and arg.op == "-":
            sign, arg = "-", arg.operand
        if not isinstance(arg, m.Number):
            raise self._error(f"@{validator.name} takes a number", validator.start)
        return sign + arg.text


def _dotted(expr: object) -> str:
    """`a.b.c` for a variable and its fields, else empty."""
    names: list[str] = []
    while isinstance(expr, m.Member):
        names.append(expr.name)
        expr = expr.object
    if not isinstance(expr, m.Name):
        return ""
    return ".".join([expr.name, *reversed(names)])


_EMIT: Final[dict[type, Callable[..., str]]] = {
    t.NameType: TypeEmitter.on_name,
    t.LiteralType: TypeEmitter.on_literal,
    t.OptionalType: TypeEmitter.on_optional,
    t.UnionType: TypeEmitter.on_union,
    t.IntersectionType: TypeEmitter.on_intersection,
    t.ArrayType: TypeEmitter.on_array,
    t.RecordType: TypeEmitter.on_record,
    t.FunctionType: TypeEmitter.on_function,
    t.TupleType: TypeEmitter.on_tuple,
    t.TypeofType: TypeEmitter.on_typeof,
    t.KeyofType: TypeEmitter.on_keyof,
    t.IndexType: TypeEmitter.on_index,
    t.ConditionalType: TypeEmitter.on_conditional,
    t.AssertsType: TypeEmitter.on_asserts,
    t.AnnotatedType: TypeEmitter.on_annotated_type,
}
