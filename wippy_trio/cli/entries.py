"""`registry list` and `registry show`: the entries of an app as loaded, without running it. Source: docs guides/cli."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
import yaml

from wippy_trio.cli.options import Source
from wippy_trio.cli.session import load_session
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import ConfigError, InvalidError
from wippy_trio.registry.find import compile_criteria

__all__ = ["list_entries", "show_entry"]

_OPERATORS = "~*^$"


def list_entries(source: Source, fields: Mapping[str, str | None], meta: Sequence[str], form: str) -> str:
    """The entries that fit, by id.

    Args:
        source: the app.
        fields: `.kind`, `.ns`, `.name` -> pattern with `*`, or None.
        meta: `field=value`, `field~regex`, `field*part`, `field^start`, `field$end`.
        form: `text`, `json` or `yaml`.

    Raises:
        ConfigError: no app, or a wrong filter.
    """
    entries = _load(source)
    criteria: dict[str, Any] = {key: value for key, value in fields.items() if value}
    tests = [compile_criteria(criteria)[0], *(_meta_test(text) for text in meta)]
    found = sorted((entry for entry in entries if all(test(entry) for test in tests)), key=lambda entry: entry.id)
    if form == "text":
        return _table(found)
    return _dump([_row(entry) for entry in found], form)


def _row(entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {"id": str(entry.id), "kind": entry.kind}
    return {**row, "meta": dict(entry.meta)} if entry.meta else row


def show_entry(source: Source, wanted: str, field: str | None, form: str) -> str:
    """One entry, or one field of its data.

    Args:
        source: the app.
        wanted: `namespace:name`, or a name that only one entry has.
        field: a key of the data, dotted for inner ones.
        form: `text`, `json`, `yaml` or `raw`.

    Raises:
        ConfigError: no such entry or field.
    """
    entry = _find(_load(source), wanted)
    if field is not None:
        value = _field(entry, field)
        if form == "raw":
            return value if isinstance(value, str) else _plain(value)
        if form == "text" and isinstance(value, str):
            return value if value.endswith("\n") else value + "\n"
        return _dump(value, "yaml" if form == "text" else form)
    whole = {"id": str(entry.id), "kind": entry.kind, "meta": dict(entry.meta), "data": dict(entry.data)}
    if form in {"json", "yaml", "raw"}:
        return _dump(whole, "json" if form == "json" else "yaml")
    text = f"ID:   {entry.id}\nKind: {entry.kind}\n"
    if entry.position is not None:
        text += f"File: {entry.position}\n"
    for title, part in (("Metadata", entry.meta), ("Data", entry.data)):
        if part:
            text += f"\n{title}:\n" + "".join(f"  {line}\n" for line in _dump(dict(part), "yaml").splitlines())
    return text


def _load(source: Source) -> tuple[Entry, ...]:
    session = load_session(source)
    for problem in session.problems:
        click.echo(f"warning: {problem.render()}", err=True)
    return session.entries


def _meta_test(text: str) -> Any:
    places = [(text.find(mark), mark) for mark in _OPERATORS + "="]
    found = [(place, mark) for place, mark in places if place > 0]
    if not found:
        hint = "filters are FIELD=VALUE, FIELD~REGEX, FIELD*PART, FIELD^START and FIELD$END"
        raise ConfigError(f"--meta '{text}' is no filter", hint=hint)
    place, mark = min(found)
    key, value = text[:place], text[place + 1 :]
    if mark == "=":
        return lambda entry: key in entry.meta and value in {_plain(entry.meta[key]), str(entry.meta[key])}
    test, warnings = compile_criteria({f"{mark}meta.{key}": value})
    if warnings:
        raise ConfigError(f"--meta '{text}': {warnings[0]}")
    return test


def _find(entries: Sequence[Entry], wanted: str) -> Entry:
    found = [entry for entry in entries if str(entry.id) == wanted]
    found = found or [entry for entry in entries if entry.id.name == wanted]
    if not found:
        hint = "`registry list` shows all of them" if entries else "this app has no entries"
        raise ConfigError(f"entry not found: {wanted}", hint=hint)
    if len(found) > 1:
        ids = ", ".join(str(entry.id) for entry in found)
        raise ConfigError(f'ambiguous entry name "{wanted}", use full ID (namespace:name): {ids}')
    return found[0]


def _field(entry: Entry, path: str) -> Any:
    value: Any = entry.data
    for step in [path] if path in entry.data else path.split("."):
        if not isinstance(value, Mapping) or step not in value:
            known = ", ".join(sorted(entry.data)) or "none"
            raise InvalidError(f'field "{path}" not found in entry data; fields: {known}')
        value = value[step]
    return value


def _table(entries: Sequence[Entry]) -> str:
    if not entries:
        return "No entries found\n"
    ids = max(len(str(entry.id)) for entry in entries)
    kinds = max(len(entry.kind) for entry in entries)
    lines = [f"{'ID':<{ids}}  KIND", f"{'-' * ids}  {'-' * max(kinds, 4)}"]
    lines += [f"{entry.id!s:<{ids}}  {entry.kind}" for entry in entries]
    return "\n".join([*lines, "", f"Total: {len(entries)} entries", ""])


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_as_text)


def _as_text(value: Any) -> str:
    """Bytes that are not UTF-8, which neither JSON nor a terminal can show."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _dump(value: Any, form: str) -> str:
    plain = json.loads(json.dumps(value, default=_as_text))
    if form == "json":
        return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks: they are mostly sources."""


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _write_text)
