"""The expression language of `expr` and of expression policies: expr-lang's syntax, bounded evaluation.

    program = compile_expression('user.age >= 18 and "admin" in user.roles')
    program.run({"user": {"age": 21, "roles": ["admin"]}})  # True

Values are None, bool, int (64 bits), float, str, list and dict with str keys; bytes in an environment stand for text
that is not UTF-8. Source: docs page lua/dynamic/expression.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from wippy_trio.text.expression.check import check
from wippy_trio.text.expression.evaluate import Step, compile_node
from wippy_trio.text.expression.lex import MAX_SOURCE_CHARS, ExpressionError, error_at
from wippy_trio.text.expression.parse import parse
from wippy_trio.text.expression.run import MAX_ITEMS, MAX_STEPS, Run
from wippy_trio.text.gotime import Time

__all__ = [
    "MAX_ITEMS",
    "MAX_SOURCE_CHARS",
    "MAX_STEPS",
    "ExpressionCache",
    "ExpressionError",
    "Program",
    "compile_expression",
]

Value = Any


class Program:
    """A compiled expression; immutable, and free to be run from many places."""

    __slots__ = ("_step", "source")

    def __init__(self, source: str, step: Step) -> None:
        self.source = source
        self._step = step

    def run(self, environment: Mapping[str, Value] | None = None, *, now: Callable[[], Time] | None = None) -> Value:
        """The value of the expression.

        Args:
            environment: the variables; None if there are none at all.
            now: the current time, for the builtin of that name; without it that fails.

        Raises:
            ExpressionError: it fails, or takes more than `MAX_STEPS` steps or `MAX_ITEMS` items.
        """
        try:
            return self._step(Run(environment, now))
        except ExpressionError as error:
            if error.at is None:
                raise
            raise error_at(self.source, error.at, error.message) from error
        except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            # An argument no check foresaw. The language has no types to forbid it, so it is the expression's fault.
            message = f"cannot evaluate: {error}"
            raise ExpressionError(message) from error


def compile_expression(source: str, environment: Mapping[str, Value] | None = None) -> Program:
    """Compile `source`.

    Args:
        source: the expression, at most `MAX_SOURCE_CHARS` characters.
        environment: sample variables; if given, names it lacks and types that do not fit are errors.

    Raises:
        ExpressionError: with the line, a mark below the place, and what is wrong.
    """
    tree = parse(source)
    check(tree, source, environment)
    return Program(source, compile_node(tree))


class ExpressionCache:
    """Programs by source, least recently used out first. Failures are not kept."""

    def __init__(self, capacity: int = 1000) -> None:
        self._capacity = capacity
        self._programs: OrderedDict[str, Program] = OrderedDict()

    def get(self, source: str) -> Program:
        """The program of `source`, compiled without an environment if it is not held.

        Raises:
            ExpressionError: as `compile_expression`.
        """
        program = self._programs.get(source)
        if program is None:
            program = self._programs[source] = compile_expression(source)
            if len(self._programs) > self._capacity:
                self._programs.popitem(last=False)
        else:
            self._programs.move_to_end(source)
        return program
