"""What happens to loaded entries before they reach the registry: override, disable, link, override again.

Overrides run before linking, so that they can change what requirements see, and after it, so that they win over what
requirements write. Source: docs guides/entry-kinds (Overriding Entries), guides/components; spec layout pipeline.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import ConfigError, InvalidError, NotFoundError
from wippy_trio.core.ids import EntryId
from wippy_trio.loader.files import Loaded
from wippy_trio.loader.mutate import append_value, set_value
from wippy_trio.loader.wildcard import matches
from wippy_trio.loader.yaml import ValuePosition

__all__ = ["DEPENDENCY", "REQUIREMENT", "DisableRules", "disable", "last_wins", "link", "normalize", "override"]

REQUIREMENT: Final = "ns.requirement"
DEPENDENCY: Final = "ns.dependency"


@attrs.frozen(slots=True)
class DisableRules:
    """Entries that match any of these are dropped.

    Attributes:
        namespaces: wildcards of namespaces.
        entries: wildcards `namespace:name`.
        meta: meta field -> texts, one of which the field equals.
    """

    namespaces: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    meta: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)


def normalize(
    entries: Iterable[Entry], overrides: Mapping[str, Any], rules: DisableRules, *, strict: bool = False
) -> Loaded:
    """All stages in order. The problems are warnings: unresolved requirements and duplicate ids.

    Args:
        entries: what was loaded, later definitions of an id last.
        overrides: `namespace:entry:path` -> value.
        rules: what to drop.
        strict: unresolved requirements are errors.

    Raises:
        ConfigError: an override or rule that is wrong, or (strict) an unresolved requirement.
    """
    changed = override(entries, overrides)
    kept = disable(changed, rules)
    remaining = {entry.id for entry in kept}
    dropped = {entry.id for entry in changed} - remaining
    linked = link(kept, strict=strict)
    final = override(linked.entries, overrides, gone=dropped)
    unique = last_wins(final)
    return Loaded(unique.entries, (*linked.problems, *unique.problems))


# ------------------------------------------------------------------------------------------------------- override


def override(
    entries: Iterable[Entry], overrides: Mapping[str, Any], *, gone: Iterable[EntryId] = ()
) -> tuple[Entry, ...]:
    """Apply values to fields; keys are `namespace:entry:path` (`kind`, `meta.x`, `data.x` or `x`).

    `gone` names entries that were dropped meanwhile: overrides of them are passed over.

    Raises:
        ConfigError: every wrong key and every missing entry, in one message.
    """
    found = list(entries)
    places: dict[EntryId, list[int]] = {}
    for index, entry in enumerate(found):
        places.setdefault(entry.id, []).append(index)
    passed = frozenset(gone)
    problems: list[str] = []
    for key, value in overrides.items():
        try:
            id, path = _override_key(key)
            if id in passed:
                continue
            if id not in places:
                message = f"no entry found for {id}"
                raise NotFoundError(message)
            for index in places[id]:
                found[index] = _overridden(found[index], path, value)
        except (InvalidError, NotFoundError) as error:
            problems.append(f"{key}: {error}")
    if problems:
        message = f"override errors: {'; '.join(problems)}"
        raise ConfigError(message, hint="keys are namespace:entry:path, such as app:gateway:addr")
    return tuple(found)


def _override_key(key: str) -> tuple[EntryId, str]:
    namespace, colon, rest = key.partition(":")
    name, _, path = rest.partition(":")
    problem = ""
    if not key:
        problem = "empty key"
    elif not colon:
        problem = "missing first ':' separator (expected namespace:entry:path)"
    elif not namespace:
        problem = "empty namespace"
    elif not rest:
        problem = "missing entry name and path"
    elif not name:
        problem = "empty entry name"
    elif not path:
        problem = "empty path"
    if problem:
        raise InvalidError(problem)
    return EntryId(namespace, name), path


def _overridden(entry: Entry, path: str, value: Any) -> Entry:
    if path.removeprefix(".") != "kind":
        return set_value(entry, path, value)
    if not isinstance(value, str):
        message = f"kind override must be a string, got {type(value).__name__}"
        raise InvalidError(message)
    if not value.strip():
        raise InvalidError("kind override must not be empty")
    return attrs.evolve(entry, kind=value.strip())


# -------------------------------------------------------------------------------------------------------- disable


def disable(entries: Iterable[Entry], rules: DisableRules) -> tuple[Entry, ...]:
    """The entries that no rule drops.

    Raises:
        ConfigError: an entry wildcard that is not `namespace:name`.
    """
    patterns = [_entry_pattern(pattern) for pattern in rules.entries if pattern]
    return tuple(entry for entry in entries if not _disabled(entry, rules, patterns))


def _entry_pattern(pattern: str) -> tuple[str, str]:
    namespace, colon, name = pattern.partition(":")
    problem = ""
    if not colon:
        problem = "missing ':' separator (expected namespace:name)"
    elif not namespace:
        problem = "empty namespace"
    elif not name:
        problem = "empty name"
    if problem:
        message = f"invalid entry pattern '{pattern}': {problem}"
        raise ConfigError(message)
    return namespace, name


def _disabled(entry: Entry, rules: DisableRules, patterns: Sequence[tuple[str, str]]) -> bool:
    namespace, name = entry.id
    if any(matches(pattern, namespace) for pattern in rules.namespaces):
        return True
    if any(matches(first, namespace) and matches(second, name) for first, second in patterns):
        return True
    for field, texts in rules.meta.items():
        value = entry.meta.get(field)
        if isinstance(value, str) and value in texts:
            return True
    return False


# ----------------------------------------------------------------------------------------------------------- link


@attrs.frozen(slots=True)
class _Parameter:
    """A value that a dependency supplies."""

    name: str
    value: str
    source: EntryId
    component: str
    root: bool

    @property
    def namespace(self) -> str:
        return self.component.replace("/", ".")

    def suits(self, requirement: Entry) -> bool:
        """A bare name matches a requirement of the mounted component; a qualified one its exact id (or that too)."""
        namespace, colon, name = self.name.partition(":") if ":" in self.name else ("", "", self.name)
        if name != requirement.id.name:
            return False
        if colon and self.name == str(requirement.id):
            return True
        if colon and namespace != self.namespace:
            return False
        return self.namespace == requirement.id.namespace or self.component == requirement.meta.get("module")


def link(entries: Iterable[Entry], *, strict: bool = False) -> Loaded:
    """Resolve every requirement and write its value into its targets.

    A parameter of an own dependency beats one that a module's dependency gives; then the default counts, where an
    empty text is a value too.

    Returns:
        The entries, and a problem for each requirement that could not be resolved or written.

    Raises:
        ConfigError: a dependency or requirement whose fields are wrong, or (strict) any of those problems.
    """
    found = list(entries)
    places: dict[EntryId, list[int]] = {}
    for index, entry in enumerate(found):
        places.setdefault(entry.id, []).append(index)
    parameters = [parameter for entry in found if entry.kind == DEPENDENCY for parameter in _parameters(entry)]
    requirements = {entry.id: entry for entry in found if entry.kind == REQUIREMENT}
    problems: list[ConfigError] = []
    for requirement in requirements.values():
        default, targets = _requirement(requirement)
        try:
            value = _resolve(requirement, default, parameters)
            if not targets:
                raise InvalidError("no targets defined in requirement definition")
            for target, path in targets:
                _write(found, places, EntryId.parse(target, requirement.id.namespace), path, value)
        except (InvalidError, NotFoundError) as error:
            message = f"requirement {requirement.id}: {error}"
            problems.append(ConfigError(message, requirement.position))
    if strict and problems:
        message = f"unresolved requirements: {'; '.join(str(problem) for problem in problems)}"
        raise ConfigError(message, problems[0].position)
    return Loaded(tuple(found), tuple(problems))


def _resolve(requirement: Entry, default: str | None, parameters: Sequence[_Parameter]) -> str:
    suiting = [parameter for parameter in parameters if parameter.suits(requirement)]
    chosen = [parameter for parameter in suiting if parameter.root] or suiting
    if len({parameter.value for parameter in chosen}) > 1:
        listed = ", ".join(f"{requirement.id.name}={item.value} (from {item.source})" for item in chosen)
        message = f"parameter conflict: multiple dependencies define different values: {listed}"
        raise InvalidError(message)
    if chosen:
        return chosen[0].value
    if default is None:
        raise NotFoundError("no value available: no dependency parameter found and no default value specified")
    return default


def _write(
    entries: list[Entry], places: Mapping[EntryId, Sequence[int]], target: EntryId, path: str, value: str
) -> None:
    if target not in places:
        message = f"target {target}: no matching entries found"
        raise NotFoundError(message)
    path = path.strip()
    change = set_value
    if path.endswith("+="):
        path = path[:-2].rstrip()
        change = append_value
    for index in places[target]:
        entries[index] = change(entries[index], path, value)


def _parameters(entry: Entry) -> list[_Parameter]:
    component = entry.data.get("component")
    parts = component.split("/") if isinstance(component, str) else []
    if len(parts) != 2 or not all(parts):
        message = f"dependency {entry.id}: invalid component {component!r}: expected org/module"
        raise ConfigError(message, _place(entry, "component"))
    root = "module" not in entry.meta or entry.meta.get("root") is True
    made = []
    for index, item in enumerate(_items(entry, "parameters")):
        name = _field(entry, item, "name", ("parameters", index))
        value = _field(entry, item, "value", ("parameters", index))
        made.append(_Parameter(name, value, entry.id, "/".join(parts), root))
    return made


def _requirement(entry: Entry) -> tuple[str | None, list[tuple[str, str]]]:
    default = entry.data.get("default")
    if default is not None and not isinstance(default, str):
        message = f"requirement {entry.id}: default must be a text"
        raise ConfigError(message, _place(entry, "default"), "put it in quotes")
    targets = [
        (_field(entry, item, "entry", ("targets", index)), _field(entry, item, "path", ("targets", index)))
        for index, item in enumerate(_items(entry, "targets"))
    ]
    return default, targets


def _items(entry: Entry, field: str) -> list[Mapping[str, Any]]:
    found = entry.data.get(field)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        message = f"{entry.id}: {field} must be a list of mappings"
        raise ConfigError(message, _place(entry, field))
    return found


def _field(entry: Entry, item: Mapping[str, Any], field: str, path: tuple[str, int]) -> str:
    value = item.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        message = f"{entry.id}: {path[0]}[{path[1]}].{field} must be a text"
        raise ConfigError(message, _place(entry, (*path, field)), "put it in quotes")
    return value


def _place(entry: Entry, path: str | Sequence[str | int]) -> Any:
    position = entry.position
    return position.of(path) if isinstance(position, ValuePosition) else position


# ---------------------------------------------------------------------------------------------------------- unique


def last_wins(entries: Iterable[Entry]) -> Loaded:
    """One entry per id, the last one; each repeated id is a problem that names both places."""
    found: dict[EntryId, Entry] = {}
    problems = []
    for entry in entries:
        before = found.pop(entry.id, None)
        found[entry.id] = entry
        if before is not None:
            message = f"entry {entry.id} is defined twice; this definition wins over {before.position or 'the first'}"
            problems.append(ConfigError(message, entry.position))
    return Loaded(tuple(found.values()), tuple(problems))
