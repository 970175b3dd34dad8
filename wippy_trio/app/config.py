"""The runtime's configuration: `.wippy.yaml` files, profiles, variables, `--set` and `-o`, as one frozen value.

Order, lowest to highest: files left to right, profiles left to right, `--set`; `-o` for entries only.
Source: docs guides/configuration, guides/cli, guides/entry-kinds (Overriding Entries).
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from determinism.seams import Disk
from wippy_trio.core.errors import ConfigError, InvalidError
from wippy_trio.core.units import duration_s
from wippy_trio.loader.files import skipped_folders
from wippy_trio.loader.layers import INTEGER, NUMBER, Layers
from wippy_trio.loader.lock import LOCK_NAME
from wippy_trio.loader.project import LoadOptions, Project, load
from wippy_trio.loader.stages import DisableRules
from wippy_trio.loader.yaml import parse

__all__ = ["CONFIG_NAME", "Config", "ConfigFlags", "load_config", "load_project", "process_environment"]

CONFIG_NAME: Final = ".wippy.yaml"

Leaves = Mapping[str, Any]


def process_environment() -> dict[str, str]:
    """The environment variables of this process."""
    return dict(os.environ)


@attrs.frozen(slots=True)
class Config:
    """Sections and their leaves: `logger: {encoding: json}` is section `logger`, leaf `encoding`.

    The typed getters give the default where a value is absent or of another type, as the reference does; a text that
    reads as the type counts as it, since `${env:NAME}` only gives texts.

    Attributes:
        sections: section -> dotted leaf -> value. Unknown sections are kept.
        project_dir: absolute directory of the project.
        config_dir: absolute directory that relative paths in the configuration refer to.
        env: environment variables at start.
        profiles: selected profiles, in order.
    """

    sections: Mapping[str, Leaves] = attrs.field(factory=dict)
    project_dir: str = "/"
    config_dir: str = "/"
    env: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    profiles: tuple[str, ...] = ()

    def get(self, key: str, default: Any = None) -> Any:
        """The value of `section.leaf`, of any type."""
        section, _, leaf = key.partition(".")
        return self.sections.get(section, {}).get(leaf, default)

    def section(self, name: str) -> Leaves:
        """The leaves of a section; `lua.cache` gives those below `cache.` of section `lua`."""
        section, dot, prefix = name.partition(".")
        leaves = self.sections.get(section, {})
        if not dot:
            return leaves
        prefix += "."
        return {leaf.removeprefix(prefix): value for leaf, value in leaves.items() if leaf.startswith(prefix)}

    def get_str(self, key: str, default: str = "") -> str:
        """The text at `key`."""
        value = self.get(key)
        return value if isinstance(value, str) else default

    def get_int(self, key: str, default: int = 0) -> int:
        """The integer at `key`."""
        value = self.get(key)
        if isinstance(value, str) and INTEGER.fullmatch(value):
            return int(value)
        return value if isinstance(value, int) and not isinstance(value, bool) else default

    def get_float(self, key: str, default: float = 0.0) -> float:
        """The number at `key`; an integer counts too."""
        value = self.get(key)
        if isinstance(value, str) and NUMBER.fullmatch(value):
            return float(value)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default

    def get_bool(self, key: str, default: bool = False) -> bool:
        """The boolean at `key`."""
        value = self.get(key)
        if isinstance(value, str) and value.lower() in {"true", "false"}:
            return value.lower() == "true"
        return value if isinstance(value, bool) else default

    def get_duration_s(self, key: str, default_s: float = 0.0) -> float:
        """The duration at `key` (such as `30s`), in seconds."""
        value = self.get(key)
        try:
            return duration_s(value) if isinstance(value, str) else default_s
        except InvalidError:
            return default_s

    def get_list(self, key: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        """The texts of the list at `key`; a single text counts as a list of one."""
        value = self.get(key)
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list):
            return tuple(default)
        return tuple(item for item in value if isinstance(item, str))

    def path(self, value: str) -> str:
        """A path from the configuration as an absolute path."""
        return posixpath.normpath(posixpath.join(self.config_dir, value))


@attrs.frozen(slots=True)
class ConfigFlags:
    """What the command line says of the configuration.

    Attributes:
        config_files: `--config`, left to right; without any, `.wippy.yaml` is read where it exists.
        profiles: `--profile`, left to right.
        sets: `--set section.path=value`.
        overrides: `-o namespace:entry:field=value`; several may stand in one text, separated by commas.
    """

    config_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()


_NO_FLAGS: Final = ConfigFlags()


def load_config(project_dir: str, flags: ConfigFlags = _NO_FLAGS, *, disk: Disk, env: Mapping[str, str]) -> Config:
    """Read the configuration of a project.

    Args:
        project_dir: the project's directory; relative config files are looked up in it.
        flags: what the command line says.
        disk: the file system.
        env: environment variables.

    Raises:
        ConfigError: a missing or wrong file, an unknown profile, variable or environment variable, or a wrong flag.
    """
    root = disk.realpath(project_dir)
    layers = Layers(env)
    files = list(flags.config_files)
    if not files and disk.exists(posixpath.join(root, CONFIG_NAME)):
        files = [CONFIG_NAME]
    for name in files:
        path = posixpath.join(root, name)
        if not disk.exists(path):
            message = f"config file {name} not found"
            raise ConfigError(message)
        with disk.open(path, "rb") as file:
            layers.add_file(parse(file.read(), name))
    for profile in flags.profiles:
        layers.add_profile(profile)
    for text in flags.sets:
        layers.add_set(text)
    layers.add_overrides(flags.overrides)
    first = posixpath.normpath(posixpath.join(root, files[0] if files else CONFIG_NAME))
    return Config(layers.sections(first), root, posixpath.dirname(first), dict(env), flags.profiles)


def load_project(config: Config, disk: Disk, *, lock_name: str = LOCK_NAME, strict: bool = False) -> Project:
    """Load the project's entries as its configuration says; `strict` makes unresolved requirements errors.

    Raises:
        ConfigError: a wrong lock file, override or rule.
        UnsupportedError: a module that is a pack.
    """
    prefix = "meta."
    rules = DisableRules(
        config.get_list("disable.namespaces"),
        config.get_list("disable.entries"),
        {
            leaf.removeprefix(prefix): config.get_list(f"disable.{leaf}")
            for leaf in config.section("disable")
            if leaf.startswith(prefix)
        },
    )
    replacements = {
        name: config.path(target) if isinstance(target, str) else None
        for name, target in config.section("workspace.replacements").items()
    }
    options = LoadOptions(config.section("override"), rules, replacements, skipped_folders(config.env), strict)
    return load(disk, config.project_dir, options, lock_name)
