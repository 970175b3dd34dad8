"""The demo shop in simulated worlds: its own scenarios under all faults, at seeds that once found something."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from determinism.faults import BUGGIFY, FAULTS
from wippy_trio.simulation.campaign import Campaign, spec_of
from wippy_trio.simulation.loading import load_simulated_app
from wippy_trio.simulation.world import LifeSpec, SimulatedApp, live

SHOP = Path(__file__).parents[2] / "docs" / "examples" / "shop"


@cache
def shop() -> SimulatedApp:
    return load_simulated_app(str(SHOP), env={})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "seed"),
    [
        ("checkout", 0),  # a migration met EIO, an error that is not retryable: the service stayed down
        ("checkout", 11),  # no packer for a while: its queue and its consumer were busy with nothing else
        ("checkout", 21),  # the machine loses power
        ("rush", 3),  # the host is killed, and its watcher hangs
    ],
)
def test_a_seed_holds(scenario: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SHOP)
    campaign = Campaign(path=str(SHOP), kinds=frozenset((*FAULTS, BUGGIFY.name)))
    life = live(shop(), spec_of(shop(), campaign, f"app.simulation:{scenario}", seed))
    assert (life.failure, life.inconclusive) == (None, "")


@pytest.mark.slow
def test_scenarios_and_invariants_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SHOP)
    assert [item.id.name for item in shop().scenarios] == ["checkout", "rush"]
    assert [item.id.name for item in shop().invariants] == ["books_balance"]
    assert live(shop(), LifeSpec("app.simulation:rush", 1, "fifo")).failure is None
