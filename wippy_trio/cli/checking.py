"""`check-determinism`: each seed twice, in processes of their own. Source: ours (docs/guides/simulation.md)."""

from __future__ import annotations

import json

import attrs
import click

from wippy_trio.cli.simulate import SimRequest, campaign_of
from wippy_trio.core.errors import ConfigError, LuaError
from wippy_trio.simulation.campaign import app_of
from wippy_trio.simulation.checking import Ask, Difference, compare_lives
from wippy_trio.simulation.scenarios import BOOT

__all__ = ["check_app"]


def check_app(request: SimRequest, *, as_json: bool) -> int:
    """Compare and print: 0 all lives are the same, 1 some differ or could, 2 it could not run."""
    try:
        campaign = campaign_of(request)
        app = app_of(campaign.path, campaign.scenario, (), ())
        names = [str(scenario.id) for scenario in app.scenarios] or [BOOT]
        found: list[Difference] = []
        compared = 0
        for name in names:
            for seed in campaign.seeds:
                ask = Ask(campaign.path, name, seed, campaign.strategy, tuple(sorted(campaign.kinds)))
                found += compare_lives(ask)
                compared += 1
    except (LuaError, OSError, RuntimeError) as problem:
        click.echo(problem.render() if isinstance(problem, ConfigError) else f"Error: {problem}", err=True)
        return 2
    if as_json:
        data = {"compared": compared, "differences": [attrs.asdict(item) for item in found]}
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        for item in found:
            click.echo(item.text())
        click.echo(f"{compared} lives, each in two processes: {f'{len(found)} differ' if found else 'all the same'}")
    return 1 if found else 0
