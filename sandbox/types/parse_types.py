"""The grammar of types. Source: docs page lua/types; the forms it leaves out are those found in typed sources."""

from __future__ import annotations

from typing import Final

from sandbox.types import model_types as m
from sandbox.types.cursor import Cursor

__all__ = ["TypeParser"]

_LITERALS: Final = frozenset(("str", "num", "nil", "true", "false"))
#: A type nests deeper in the emitted constructors than in its source, hence it takes three levels.
_TYPE_LEVELS: Final = 3
#: `[]` and `[K]` behind one type.
_MAX_SUFFIXES: Final = 16


class TypeParser(Cursor):
    """Types, annotations and type parameters."""

    __slots__ = ()

    def expr(self, limit: int = 0) -> m.Located:
        """An expression; the subclass knows how."""
        raise NotImplementedError

    def type_expr(self, *, returns: bool = False) -> m.TypeExpr:
        """A type; with `returns` it may be a tuple such as `(A, B)` or `()`."""
        self.depth += _TYPE_LEVELS - 1
        self.deeper()
        start = self.starts[self.i]
        self.accept("|")
        left = self.intersection(returns)
        if self.kinds[self.i] == "|":
            members = [left]
            while self.accept("|"):
                members.append(self.intersection(returns=False))
            left = m.UnionType(start, self.ends[self.i - 1], tuple(members))
        if self.kinds[self.i] == "name" and self.texts[self.i] == "extends":
            left = self.conditional(start, left)
        self.depth -= _TYPE_LEVELS
        return left

    def intersection(self, returns: bool) -> m.TypeExpr:
        start = self.starts[self.i]
        left = self.suffixed_type(returns)
        if self.kinds[self.i] != "&":
            return left
        members = [left]
        while self.accept("&"):
            members.append(self.suffixed_type(returns=False))
        return m.IntersectionType(start, self.ends[self.i - 1], tuple(members))

    def conditional(self, start: int, subject: m.TypeExpr) -> m.TypeExpr:
        self.i += 1
        bound = self.primary_type(returns=False)  # without suffixes: the `?` belongs to the condition
        self.expect("?", "behind the bound of a conditional type")
        yes = self.type_expr()
        self.expect(":", "between the branches of a conditional type")
        no = self.type_expr()
        return m.ConditionalType(start, self.ends[self.i - 1], subject, bound, yes, no)

    def suffixed_type(self, returns: bool) -> m.TypeExpr:
        """A type with its validators, optional marks, `[]` and `[K]`."""
        start = self.starts[self.i]
        left = self.validated(start, self.primary_type(returns))
        if isinstance(left, m.TupleType):
            return left
        if self.kinds[self.i] == "?":
            while self.accept("?"):
                pass
            left = m.OptionalType(start, self.ends[self.i - 1], left)
        return self.validated(start, left)

    def validated(self, start: int, inner: m.TypeExpr) -> m.TypeExpr:
        if self.kinds[self.i] != "@":
            return inner
        found: list[m.Validator] = []
        while self.kinds[self.i] == "@":
            begin = self.starts[self.i]
            self.i += 1
            name = self.name("the name of a validator such as min")
            args: list[m.Located] = []
            if self.kinds[self.i] == "(":
                opened = self.starts[self.i]
                self.i += 1
                if self.kinds[self.i] != ")":
                    args.append(self.expr())
                    while self.accept(","):
                        args.append(self.expr())
                self.close(")", "(", opened)
            found.append(m.Validator(begin, self.ends[self.i - 1], name, tuple(args)))
        return m.AnnotatedType(start, self.ends[self.i - 1], inner, tuple(found))

    def primary_type(self, returns: bool) -> m.TypeExpr:
        i = self.i
        start = self.starts[i]
        kind = self.kinds[i]
        if kind == "name":
            left = self.named_type(start)
        elif kind == "{":
            left = self.braces(start, readonly=False)
        elif kind == "(":
            left = self.parenthesised(start, returns)
            if isinstance(left, m.TupleType):
                return left
        elif kind in _LITERALS:
            self.i = i + 1
            left = m.LiteralType(start, self.ends[i], self.texts[i])
        elif kind == "function":
            self.i = i + 1
            left = m.NameType(start, self.ends[i], ("function",), ())
        elif kind == "-" and self.kinds[i + 1] == "num":
            self.i = i + 2
            left = m.LiteralType(start, self.ends[i + 1], "-" + self.texts[i + 1])
        else:
            self.fail("a type")
        suffixes = 0
        while self.kinds[self.i] == "[":
            opened = self.starts[self.i]
            suffixes += 1
            if suffixes > _MAX_SUFFIXES:
                raise self.error(f"too many '[' behind a type (limit {_MAX_SUFFIXES})", opened)
            self.i += 1
            if self.accept("]"):
                left = m.ArrayType(start, self.ends[self.i - 1], left, readonly=False)
            else:
                key = self.type_expr()
                self.close("]", "[", opened)
                left = m.IndexType(start, self.ends[self.i - 1], left, key)
        return left

    def named_type(self, start: int) -> m.TypeExpr:
        i = self.i
        text = self.texts[i]
        following = self.kinds[i + 1]
        if following == "(" and text in {"fun", "typeof", "keyof"}:
            return self.operator_type(start, text)
        if following == "{" and text in {"readonly", "interface"}:
            self.i = i + 1
            return self.braces(start, readonly=text == "readonly")
        if following == "name" and text == "asserts":
            self.i = i + 2
            subject = self.texts[i + 1]
            checked: m.TypeExpr | None = None
            if self.kinds[self.i] == "name" and self.texts[self.i] == "is":
                self.i += 1
                checked = self.type_expr()
            return m.AssertsType(start, self.ends[self.i - 1], subject, checked)
        if text == "readonly" and following == "name":
            self.i = i + 1
            return self.primary_type(returns=False)
        parts = [text]
        self.i = i + 1
        while self.accept("."):
            parts.append(self.name("a type name behind '.'"))
        args: list[m.TypeExpr] = []
        if self.kinds[self.i] == "<":
            opened = self.starts[self.i]
            self.i += 1
            args.append(self.type_expr())
            while self.accept(","):
                args.append(self.type_expr())
            self.close_angle(opened)
        return m.NameType(start, self.ends[self.i - 1], tuple(parts), tuple(args))

    def close_angle(self, opened: int) -> None:
        """Take `>`, or one half of `>>` or `>=`."""
        i = self.i
        kind = self.kinds[i]
        if kind in {">>", ">="}:
            self.kinds[i] = self.texts[i] = kind[1]
            self.starts[i] += 1
            # The half that was taken ends where the other begins: end offsets come from the token before.
            self.kinds.insert(i, ">")
            self.texts.insert(i, ">")
            self.starts.insert(i, self.starts[i] - 1)
            self.ends.insert(i, self.starts[i + 1])
            self.i = i + 1
            return
        self.close(">", "<", opened)

    def operator_type(self, start: int, text: str) -> m.TypeExpr:
        self.i += 2
        opened = self.starts[self.i - 1]
        if text == "fun":
            params = self.param_types()
            self.close(")", "(", opened)
            result = self.type_expr(returns=True) if self.accept(":") else None
            return m.FunctionType(start, self.ends[self.i - 1], params, result)
        if text == "typeof":
            expr = self.expr()
            self.close(")", "(", opened)
            return m.TypeofType(start, self.ends[self.i - 1], expr)
        inner = self.type_expr()
        self.close(")", "(", opened)
        return m.KeyofType(start, self.ends[self.i - 1], inner)

    def parenthesised(self, start: int, returns: bool) -> m.TypeExpr:
        """`(A, B) -> R`, `(T)`, and with `returns` also `(A, B)` and `()`."""
        self.i += 1
        params = self.param_types()
        self.close(")", "(", start)
        end = self.ends[self.i - 1]
        if self.accept("->"):
            result = self.type_expr(returns=True)
            return m.FunctionType(start, self.ends[self.i - 1], params, result)
        plain = not any(p.name or p.variadic for p in params)
        if len(params) == 1 and plain:
            return params[0].type
        if returns and not any(p.name for p in params):
            return m.TupleType(start, end, tuple(p.type for p in params))
        raise self.unexpected("'->' and the returns of a function type")

    def param_types(self) -> tuple[m.ParamType, ...]:
        params: list[m.ParamType] = []
        while self.kinds[self.i] != ")":
            start = self.starts[self.i]
            name = ""
            optional = False
            variadic = self.accept("...")
            if variadic:
                self.accept(":")
                if self.kinds[self.i] in {")", ","}:
                    kind: m.TypeExpr = m.NameType(start, self.ends[self.i - 1], ("any",), ())
                else:
                    kind = self.type_expr()
            else:
                if self.kinds[self.i] == "name":
                    mark = self.field_mark(self.i + 1)
                    if mark:
                        name = self.texts[self.i]
                        optional = self.kinds[self.i + 1] != ":"
                        self.i += 1 + mark
                kind = self.type_expr()
            params.append(m.ParamType(start, self.ends[self.i - 1], name, kind, optional, variadic))
            if not self.accept(","):
                break
        return tuple(params)

    def field_mark(self, i: int) -> int:
        """How many tokens `:`, `?:` or `? :` at `i` takes; 0 where there is none."""
        kind = self.kinds[i]
        if kind in {":", "?:"}:
            return 1
        return 2 if kind == "?" and self.kinds[i + 1] == ":" else 0

    def braces(self, start: int, readonly: bool) -> m.TypeExpr:
        """`{T}`, `{a: T, b?: U}`, `{[K]: V}`, `{}`."""
        self.i += 1
        fields: list[m.FieldType] = []
        indexer: tuple[m.TypeExpr, m.TypeExpr] | None = None
        while self.kinds[self.i] != "}":
            i = self.i
            begin = self.starts[i]
            if self.kinds[i] == "[":
                self.i = i + 1
                key = self.type_expr()
                self.close("]", "[", begin)
                self.expect(":", "behind the key of a map type")
                indexer = (key, self.type_expr())
            else:
                frozen = self.texts[i] == "readonly" and self.kinds[i] == self.kinds[i + 1] == "name"
                at = i + 1 if frozen else i
                mark = self.field_mark(at + 1) if self.kinds[at] == "name" else 0
                if not mark:
                    if fields or indexer:
                        self.fail("a field such as 'name: type'")
                    element = self.type_expr()
                    self.accept(",")
                    self.close("}", "{", start)
                    return m.ArrayType(start, self.ends[self.i - 1], element, readonly)
                optional = self.kinds[at + 1] != ":"
                self.i = at + 1 + mark
                kind = self.type_expr()
                fields.append(m.FieldType(begin, self.ends[self.i - 1], self.texts[at], kind, optional, frozen))
            if not (self.accept(",") or self.accept(";")):
                break
        self.close("}", "{", start)
        return m.RecordType(start, self.ends[self.i - 1], tuple(fields), indexer, readonly)

    def annotation(self, *, marks: bool = False) -> m.Annotation | None:
        """`: T`, where it follows; with `marks` also `?: T`, `? : T` and a lone `?`."""
        i = self.i
        kind = self.kinds[i]
        if kind != ":" and not (marks and kind in {"?:", "?"}):
            return None
        optional = kind != ":"
        self.i = i + 1
        if kind == "?" and not self.accept(":"):
            return m.Annotation(self.starts[i], self.ends[i], None, optional)
        parsed = self.type_expr()
        return m.Annotation(self.starts[i], self.ends[self.i - 1], parsed, optional)

    def returns(self) -> m.Annotation | None:
        """`: T`, `: (A, B)`, `: ()` or `: A, B` behind a parameter list."""
        if self.kinds[self.i] != ":":
            return None
        start = self.starts[self.i]
        self.i += 1
        begin = self.starts[self.i]
        result = self.type_expr(returns=True)
        if self.kinds[self.i] == ",":
            members = [result]
            while self.accept(","):
                members.append(self.type_expr())
            result = m.TupleType(begin, self.ends[self.i - 1], tuple(members))
        return m.Annotation(start, self.ends[self.i - 1], result, optional=False)

    def type_params(self) -> m.TypeParams | None:
        """`<T, U: C>`, where it follows."""
        if self.kinds[self.i] != "<":
            return None
        start = self.starts[self.i]
        self.i += 1
        params: list[m.TypeParam] = []
        while True:
            begin = self.starts[self.i]
            name = self.name("the name of a type parameter")
            bound = self.type_expr() if self.accept(":") else None
            params.append(m.TypeParam(begin, self.ends[self.i - 1], name, bound))
            if not self.accept(","):
                break
        self.close_angle(start)
        return m.TypeParams(start, self.ends[self.i - 1], tuple(params))
