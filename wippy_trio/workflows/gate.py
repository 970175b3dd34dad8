"""What a workflow may use: modules by their class. Source: docs temporal/workflows (Determinism), spec wf.modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wippy_trio.core.errors import InvalidError
from wippy_trio.module import ModuleClass

if TYPE_CHECKING:
    from wippy_trio.actors.engine import Engine, Unit

__all__ = ["check_modules"]

_ALLOWED = frozenset({ModuleClass.DETERMINISTIC, ModuleClass.WORKFLOW})


def check_modules(engine: Engine, unit: Unit) -> None:
    """Refuse code whose modules, or whose libraries' modules, a workflow may not use.

    Raises:
        InvalidError: names the module, where it is listed, and what to do instead.
    """
    todo, seen = [unit], {unit.number}
    while todo:
        current = todo.pop()
        for name in sorted(set(current.modules.values())):
            module = engine.module(name)
            if module is None or not module.prelude or module.classes & _ALLOWED:  # without prelude: not built yet
                continue
            classes = ", ".join(sorted(module.classes)) or "none"
            raise InvalidError(
                f"{current.name}: module '{name}' cannot be used in a workflow (its classes: {classes}); put what "
                "needs it into a function and call that with funcs.call, which runs it as an activity"
            )
        for imported in current.imports.values():
            if imported.number not in seen:
                seen.add(imported.number)
                todo.append(imported)
