"""From an app's folder, or its entries, to what lives are started from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from determinism.disk_base import BaseView
from determinism.system import SystemDisk
from wippy_trio.app.config import Config, ConfigFlags, load_config, load_project, process_environment
from wippy_trio.core.entry import Entry
from wippy_trio.simulation.peers import find_peers
from wippy_trio.simulation.scenarios import find_invariants, find_scenarios
from wippy_trio.simulation.world import SimulatedApp

__all__ = ["load_simulated_app", "simulated_app"]


def load_simulated_app(
    path: str = ".",
    *,
    scenario: str = "",
    overrides: Sequence[str] = (),
    settings: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> SimulatedApp:
    """Load the app in a folder; nothing runs.

    Args:
        path: the app's folder.
        scenario: id of a scenario, or a part of ids; all without it.
        overrides, settings: as `-o` and `--set`.
        env: environment variables; the process's unless given.

    Raises:
        ConfigError: no app there, or something in it is wrong.
    """
    disk = SystemDisk()
    flags = ConfigFlags(sets=tuple(settings), overrides=tuple(overrides))
    config = load_config(path, flags, disk=disk, env=process_environment() if env is None else env)
    project = load_project(config, disk)
    roots = sorted({config.project_dir, *project.module_roots.values()})
    return simulated_app(
        project.entries,
        config=config,
        module_roots=project.module_roots,
        base=BaseView(disk, roots),
        scenario=scenario,
    )


def simulated_app(
    entries: Iterable[Entry],
    *,
    config: Config | None = None,
    module_roots: Mapping[str, str] | None = None,
    base: BaseView | None = None,
    scenario: str = "",
) -> SimulatedApp:
    """The same from entries; without `base` its disk begins empty.

    Raises:
        ConfigError: a scenario or invariant is wrong.
    """
    known = tuple(entries)
    return SimulatedApp(
        entries=known,
        config=config or Config(project_dir="/app", config_dir="/app"),
        module_roots=dict(module_roots or {}),
        base=base or BaseView(None, ["/app"]),
        scenarios=tuple(find_scenarios(known, scenario)),
        invariants=tuple(find_invariants(known)),
        peers=tuple(find_peers(known)),
    )
