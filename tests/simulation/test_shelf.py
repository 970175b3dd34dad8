"""Each bug of the shelf shows at a kept seed, and its fixed twin holds; `make shelf` searches from the beginning."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from determinism.faults import FAULTS
from determinism.jobs import enter_folder
from tests.simulation.shelf import APPS, ONLY, SEEDS_FILE, SHELF, load, one_life

KEPT = json.loads(SEEDS_FILE.read_text())
#: Those of workflows are shown by the workflows' own apps.
OF_WORKFLOWS = {"activity_timeout", "worker_kill", "cache_eviction"}
TWIN_SEEDS = 4


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    """Lives enter the app's folder."""
    before = Path.cwd()
    yield
    enter_folder(str(before))


def test_every_app_stands_on_the_shelf() -> None:
    assert sorted(APPS) == sorted(path.name for path in SHELF.iterdir() if path.is_dir()) == sorted(KEPT)
    assert len(APPS) >= 30


def test_every_fault_has_a_bug_that_it_brings_up() -> None:
    assert set(ONLY) == set(FAULTS) - OF_WORKFLOWS
    assert set(ONLY.values()) <= set(APPS)


@pytest.mark.parametrize("name", APPS)
def test_the_bug_shows_at_its_seed(name: str) -> None:
    app, campaign = load(name, "broken")
    life = one_life(app, campaign, KEPT[name]["seed"])
    assert life.failure is not None
    assert life.failure.kind == KEPT[name]["kind"]


@pytest.mark.parametrize("name", APPS)
def test_the_fixed_twin_holds(name: str) -> None:
    app, campaign = load(name, "fixed")
    seeds = {KEPT[name]["seed"], *range(TWIN_SEEDS)}
    assert {seed: life.failure for seed in seeds if (life := one_life(app, campaign, seed)).failure} == {}
