"""The fixture `simulate`: what holds passes, what does not raises with its report, in plain tests and in trio's."""

from __future__ import annotations

import pytest
import trio

from wippy_trio.simulation.pytest_plugin import SimulationFailed

APP = """
  - name: sound
    kind: function.lua
    meta: {type: simulation}
    method: main
    source: "return { main = function() return true end }"
  - name: broken
    kind: function.lua
    meta: {type: simulation}
    method: main
    source: |
      return { main = function() error("never") end }
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "wippy.lock").write_text("directories:\n  modules: .wippy\n  src: ./src\n")
    (tmp_path / "src" / "_index.yaml").write_text(f'version: "1.0"\nnamespace: app\nentries:{APP}')
    return tmp_path


@pytest.mark.slow
async def test_what_holds_is_counted(simulate, folder) -> None:
    await trio.lowlevel.checkpoint()
    held = simulate(folder, scenario="sound", seeds=3)
    assert (held.lives, held.inconclusive, held.cut_off) == (3, 0, False)
    assert held.virtual_s > 0


@pytest.mark.slow
def test_what_does_not_hold_is_raised(simulate, folder) -> None:
    with pytest.raises(SimulationFailed) as raised:
        simulate(folder, scenario="broken", seeds=[4], faults="none", strategy="fifo")
    text = str(raised.value)
    assert "FAILED  app:broken  scenario: app:broken:1: never" in text
    assert f"replay --seed 4 --scenario 'app:broken' --strategy fifo --faults none {folder}" in text
    assert (folder / ".wippy" / "sim" / "app.broken-4.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"scenario": "nobody"}, "no scenario nobody"),
        ({"faults": "disc"}, "unknown fault 'disc'"),
        ({"strategy": "luck"}, "unknown strategy 'luck'"),
    ],
)
def test_mistakes_are_told(simulate, folder, options: dict[str, str], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        simulate(folder, **options)


def test_without_seeds_nothing_is_held(simulate, folder) -> None:
    with pytest.raises(ValueError, match="at least one seed"):
        simulate(folder, seeds=0)
