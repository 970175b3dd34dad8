"""Configuration in layers: files, profiles, variables and flags, merged leaf by leaf.

Source: docs guides/configuration (Config Composition, Profiles), guides/cli (`--set`, `-o`).
"""

from __future__ import annotations

import csv
import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from wippy_trio.core.errors import ConfigError, InvalidError, SourcePosition
from wippy_trio.loader.interpolate import replace_placeholders
from wippy_trio.loader.yaml import Document

__all__ = ["INTEGER", "NUMBER", "Layers"]

INTEGER: Final = re.compile(r"[-+]?[0-9]+")
NUMBER: Final = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_VERSION: Final = "1.0"
_LIST_KEYS: Final = ("namespaces", "entries")
_OVERRIDE: Final = re.compile(r"\s*[^:=,]+:[^:=]+:[^=]+=")


@attrs.frozen(slots=True)
class _Leaf:
    value: Any
    position: SourcePosition | None = None


class Layers:
    """Merges layers leaf by leaf; the last writer wins. Add them lowest first, then ask for `sections`."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._sections: dict[str, dict[str, _Leaf]] = {}
        self._profiles: dict[str, dict[str, dict[str, _Leaf]]] = {}

    def add_file(self, document: Document) -> None:
        """Add a configuration file.

        Raises:
            ConfigError: a missing or unknown version, or a section that is no mapping.
        """
        data = document.value if document.value is not None else {}
        if not isinstance(data, dict):
            raise ConfigError("a config file must be a mapping", document.position())
        version = data.get("version")
        if version is None:
            raise ConfigError("missing version field", document.position(), 'add: version: "1.0"')
        if str(version) != _VERSION:  # quoted or not
            message = f"unsupported version {version}"
            raise ConfigError(message, document.position(("version",)), 'this runtime reads version: "1.0"')
        for name, value in data.items():
            if name == "profiles":
                self._read_profiles(document, value)
            elif name != "version":
                leaves = _flatten(document, value, (name,))
                self._merge(self._sections.setdefault(name, {}), leaves)

    def _read_profiles(self, document: Document, value: Any) -> None:
        for profile, body in _checked(document, value, ("profiles",)).items():
            target = self._profiles.setdefault(profile, {})
            for name, section in _checked(document, body, ("profiles", profile)).items():
                leaves = _flatten(document, section, ("profiles", profile, name))
                self._merge(target.setdefault(name, {}), leaves)

    @staticmethod
    def _merge(target: dict[str, _Leaf], leaves: Mapping[str, _Leaf]) -> None:
        for key, leaf in leaves.items():
            # A value replaces what was below it, and a map what was in its place.
            for other in [name for name in target if name.startswith(f"{key}.") or key.startswith(f"{name}.")]:
                del target[other]
            target[key] = leaf

    def add_profile(self, name: str) -> None:
        """Lay a profile over what is there.

        Raises:
            ConfigError: an unknown profile, or an environment reference in its variables.
        """
        profile = self._profiles.get(name)
        if profile is None:
            known = ", ".join(sorted(self._profiles)) or "none"
            message = f"unknown profile {name}"
            raise ConfigError(message, hint=f"profiles of this configuration: {known}")
        for section, leaves in profile.items():
            for leaf in leaves.values():
                if section == "vars" and isinstance(leaf.value, str) and "${env:" in leaf.value.replace("$${", ""):
                    message = f"profile {name}: environment references are not allowed in profile variables"
                    raise ConfigError(message, leaf.position, "use ${env:NAME} in the base configuration")
            target = self._sections.setdefault(section, {})
            plain = dict(leaves)
            if section == "disable":
                for key in _LIST_KEYS:
                    self._edit_list(target, key, plain.pop(f"{key}.add", None), plain.pop(f"{key}.remove", None))
            self._merge(target, plain)

    @staticmethod
    def _edit_list(target: dict[str, _Leaf], key: str, add: _Leaf | None, remove: _Leaf | None) -> None:
        if add is None and remove is None:
            return
        before = target.get(key)
        items = _texts(before)
        gone = set(_texts(remove))
        kept = [item for item in items if item not in gone]
        kept += [item for item in _texts(add) if item not in kept]
        target[key] = _Leaf(kept, (add or remove or _Leaf(None)).position)

    def add_set(self, text: str) -> None:
        """Add one `section.path=value`; true, false and numbers are typed, the rest is a text.

        Raises:
            ConfigError: not of that form.
        """
        key, equals, value = text.partition("=")
        section, dot, leaf = key.strip().partition(".")
        if not equals:
            message = f'invalid --set "{text}": expected section.path=value'
            raise ConfigError(message)
        if not section or not dot or not leaf:
            message = f'invalid --set "{text}": key must be section.path (e.g. cluster.enabled)'
            raise ConfigError(message)
        self._merge(self._sections.setdefault(section, {}), {leaf: _Leaf(_set_value(value))})

    def add_overrides(self, texts: Iterable[str]) -> None:
        """Add `namespace:entry:field=value` texts; commas separate several in one text.

        Raises:
            ConfigError: not of that form.
        """
        for text in texts:
            for part in _split_overrides(text):
                key, value = _parse_override(part)
                self._sections.setdefault("override", {})[key] = _Leaf(value)

    def sections(self, first_file: str) -> dict[str, dict[str, Any]]:
        """The merged sections with placeholders resolved, `vars` included, and the internal `boot` section.

        Raises:
            ConfigError: a placeholder whose variable is unknown.
        """
        resolver = _Variables(self._env, self._sections.get("vars", {}))
        made = {
            section: {key: resolver.resolved(leaf.value, leaf.position) for key, leaf in leaves.items()}
            for section, leaves in self._sections.items()
        }
        boot = made.setdefault("boot", {})
        boot["config_path"] = first_file
        boot["config_dir"] = posixpath.dirname(first_file)
        return made


def _checked(document: Document, value: Any, path: tuple[str, ...]) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        message = f"section {path[-1]} must be a mapping"
        raise ConfigError(message, document.position(path))
    return value


def _flatten(document: Document, value: Any, path: tuple[str, ...]) -> dict[str, _Leaf]:
    """Nested maps as dotted leaves; lists and scalars are leaves."""
    made: dict[str, _Leaf] = {}

    def walk(part: Mapping[str, Any], steps: tuple[str, ...]) -> None:
        for key, item in part.items():
            here = (*steps, key)
            if isinstance(item, dict):
                walk(item, here)
            else:
                made[".".join(here[len(path) :])] = _Leaf(item, document.position(here))

    walk(_checked(document, value, path), path)
    return made


def _texts(leaf: _Leaf | None) -> list[str]:
    if leaf is None:
        return []
    value = leaf.value if isinstance(leaf.value, list) else [leaf.value]
    return [item for item in value if isinstance(item, str)]


class _Variables:
    """Resolves `${env:NAME}` from the environment and `${name}` from the `vars` section."""

    def __init__(self, env: Mapping[str, str], variables: Mapping[str, _Leaf]) -> None:
        self._env = env
        self._variables = variables
        self._resolving: list[str] = []

    def resolved(self, value: Any, position: SourcePosition | None) -> Any:
        if isinstance(value, str):
            try:
                return replace_placeholders(value, lambda name, default: self._lookup(name, default, position))
            except ConfigError:
                raise
            except InvalidError as error:
                raise ConfigError(str(error), position) from error
        if isinstance(value, list):
            return [self.resolved(item, position) for item in value]
        if isinstance(value, dict):
            return {key: self.resolved(item, position) for key, item in value.items()}
        return value

    def _lookup(self, name: str, default: str | None, position: SourcePosition | None) -> Any:
        if name.startswith("env:"):
            variable = name.removeprefix("env:")
            found = self._env.get(variable, default)
            if found is None:
                message = f"environment variable {variable} is not set"
                raise ConfigError(message, position, "set it, or give a default: ${env:NAME|default}")
            return found
        leaf = self._variables.get(name)
        if leaf is None:
            if default is not None:
                return None  # `${NAME|default}` is for entries, which have their own variables
            message = f"unknown variable {name}"
            raise ConfigError(message, position, "declare it in the vars section, or write $${ for a literal ${")
        if name in self._resolving:
            message = f"variable {name} refers to itself: {' -> '.join((*self._resolving, name))}"
            raise ConfigError(message, leaf.position)
        self._resolving.append(name)
        try:
            found_value = self.resolved(leaf.value, leaf.position)
        finally:
            self._resolving.pop()
        return "" if found_value is None else found_value


# ------------------------------------------------------------------------------------------------------------ flags


def _set_value(text: str) -> Any:
    if text in {"true", "false"}:
        return text == "true"
    if INTEGER.fullmatch(text):
        return int(text)
    return float(text) if NUMBER.fullmatch(text) else text


def _split_overrides(text: str) -> list[str]:
    """The overrides of one flag: a comma separates them only where the next one begins."""
    found: list[str] = []
    for part in next(csv.reader([text]), []):
        if found and not _OVERRIDE.match(part):
            found[-1] += f",{part}"
        else:
            found.append(part)
    return found


def _parse_override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    namespace, first, rest = key.partition(":")
    entry, second, field = rest.partition(":")
    if not equals:
        problem = "missing '=' separator (expected namespace:entry:field=value)"
    elif not first or (namespace.strip() and not second):
        problem = "missing ':' separator (expected namespace:entry:field=value)"
    else:
        empty = [
            name
            for name, part in (("namespace", namespace), ("entry name", entry), ("field", field))
            if not part.strip()
        ]
        problem = f"empty {empty[0]}" if empty else ""
    if problem:
        message = f'invalid override "{text}": {problem}'
        raise ConfigError(message)
    return f"{namespace.strip()}:{entry.strip()}:{field.strip()}", _override_value(value)


def _override_value(text: str) -> Any:
    """true and false in any case, canonical integers, numbers with a point or exponent; else the raw text."""
    trimmed = text.strip()
    if trimmed.lower() in {"true", "false"}:
        return trimmed.lower() == "true"
    if INTEGER.fullmatch(trimmed) and str(int(trimmed)) == trimmed:
        return int(trimmed)
    if not INTEGER.fullmatch(trimmed) and NUMBER.fullmatch(trimmed):
        return float(trimmed)
    return text
