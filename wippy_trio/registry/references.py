"""Which entries an entry refers to: the fields that give the order of creation and deletion.

A field holds `name` (in the entry's own namespace), `namespace:name`, `group:<group>` or `ns:<namespace>`; lists and
maps of such texts count too. `${env:...}` placeholders refer to the variable they name.
Source: docs internals/registry (Dependency Resolution), system/env; spec registry sorting and dependency_patterns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from wippy_trio.core.entry import Entry
from wippy_trio.core.ids import EntryId

__all__ = ["DEFAULT_PATTERNS", "Declared", "References", "Universe"]

#: Dotted paths from `meta` or `data`; `*` stands for any key or list item, `*_env` for keys that end so.
DEFAULT_PATTERNS: Final[tuple[str, ...]] = (
    "meta.parent",
    "meta.depends_on.*",
    "meta.groups.*",
    "meta.server",
    "meta.router",
    "meta.*_env",
    "meta.temporal.activity.worker",
    "meta.temporal.workflow.worker",
    "data.bucket",
    "data.client",
    "data.config",
    "data.contracts.*.contract",
    "data.contracts.*.methods.*",
    "data.dead_letter.queue",
    "data.driver",
    "data.env",
    "data.fs",
    "data.func",
    "data.groups.*",
    "data.host",
    "data.imports.*",
    "data.lifecycle.depends_on.*",
    "data.lifecycle.requires.*",
    "data.lifecycle.security.groups.*",
    "data.lifecycle.security.policies.*",
    "data.middleware.*",
    "data.network",
    "data.post_middleware.*",
    "data.process",
    "data.queue",
    "data.security.groups.*",
    "data.security.policies.*",
    "data.security.token_store",
    "data.server",
    "data.set",
    "data.storage",
    "data.storages.*",
    "data.store",
    "data.tls.*_env",
    "data.token_store",
    "data.*.depends_on.*",
    "data.*_env",
)

_PLACEHOLDER: Final = re.compile(r"(?<!\$)\$\{(?:env:([A-Za-z0-9_.:/\-]+)[|}]|([A-Z][A-Z0-9_]*)\|)")
_LEAF: Final = ""  # no path has an empty step, so it marks where a pattern ends
_Tree = dict[str, Any]


@attrs.frozen(slots=True)
class Declared:
    """What one entry refers to; `variables` are public names of environment variables."""

    ids: frozenset[EntryId] = frozenset()
    groups: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    variables: frozenset[str] = frozenset()


class References:
    """Finds references by patterns, and by a function for what no pattern can say.

    Args:
        patterns: dotted paths; without `meta` or `data` in front they are fields of data.
        extra: further ids an entry refers to.
    """

    def __init__(
        self,
        patterns: Iterable[str] = DEFAULT_PATTERNS,
        extra: Callable[[Entry], Iterable[EntryId]] | None = None,
    ) -> None:
        self._patterns = tuple(dict.fromkeys(_qualified(pattern) for pattern in patterns))
        self._extra = extra
        self._tree: _Tree = {}
        for pattern in self._patterns:
            node = self._tree
            for step in pattern.split("."):
                node = node.setdefault(step, {})
            node[_LEAF] = True

    def with_patterns(self, patterns: Iterable[str]) -> References:
        """The same with more patterns, such as those of the kinds in use."""
        return References((*self._patterns, *patterns), self._extra)

    def declared(self, entry: Entry) -> Declared:
        """What `entry` refers to, itself left out."""
        ids: set[EntryId] = set()
        groups: set[str] = set()
        namespaces: set[str] = set()
        variables: set[str] = set()
        for text in _walk({"meta": entry.meta, "data": entry.data}, self._tree):
            if text.startswith("group:"):
                groups.add(text.removeprefix("group:"))
            elif text.startswith("ns:"):
                namespaces.add(text.removeprefix("ns:"))
            elif text and not text.endswith(":"):
                ids.add(EntryId.parse(text, entry.id.namespace))
        for name in _variables(entry.data):
            if ":" in name:
                ids.add(EntryId.parse(name))
            variables.add(name)
        if self._extra is not None:
            ids.update(self._extra(entry))
        ids.discard(entry.id)
        return Declared(frozenset(ids), frozenset(groups), frozenset(namespaces), frozenset(variables))


def _qualified(pattern: str) -> str:
    return pattern if pattern.partition(".")[0] in {"meta", "data"} else f"data.{pattern}"


def _walk(value: Any, tree: _Tree) -> Iterator[str]:
    """The texts in `value` at the places of `tree`."""
    if _LEAF in tree:
        yield from _texts(value)
    if isinstance(value, Mapping):
        for step, below in tree.items():
            if step == _LEAF:
                continue
            if "*" not in step:
                if step in value:
                    yield from _walk(value[step], below)
                continue
            prefix, _, suffix = step.partition("*")
            for key, item in value.items():
                if key.startswith(prefix) and key.endswith(suffix) and len(key) >= len(prefix) + len(suffix):
                    yield from _walk(item, below)
    elif isinstance(value, list | tuple) and "*" in tree:
        for item in value:
            yield from _walk(item, tree["*"])
    elif isinstance(value, str) and tree.get("*", {}).get(_LEAF):
        yield value  # a single reference where a list of them may stand


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (item for item in value.values() if isinstance(item, str))
    elif isinstance(value, list | tuple):
        yield from (item for item in value if isinstance(item, str))


def _variables(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if "${" in value:
            for match in _PLACEHOLDER.finditer(value):
                yield match[1] or match[2]
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _variables(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _variables(item)


class Universe:
    """Entries among which references are looked up."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._ids: set[EntryId] = set()
        self._groups: dict[str, list[EntryId]] = {}
        self._namespaces: dict[str, list[EntryId]] = {}
        self._variables: dict[str, EntryId] = {}
        for entry in entries:
            self._ids.add(entry.id)
            for group in _texts(entry.meta.get("groups")):
                self._groups.setdefault(group, []).append(entry.id)
            self._namespaces.setdefault(entry.id.namespace, []).append(entry.id)
            data: Any = entry.data
            name = data.get("variable") if isinstance(data, Mapping) else None  # a `data:` block may hold a list
            if entry.kind == "env.variable" and isinstance(name, str):
                self._variables[name] = entry.id

    def targets(self, entry: Entry, declared: Declared) -> Sequence[EntryId]:
        """The ids here that `entry` refers to, sorted, itself left out."""
        found = self._ids & declared.ids
        for group in declared.groups:
            found.update(self._groups.get(group, ()))
        for namespace in declared.namespaces:
            found.update(self._namespaces.get(namespace, ()))
        found.update(self._variables[name] for name in declared.variables if name in self._variables)
        found.discard(entry.id)
        return sorted(found)
