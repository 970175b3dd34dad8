"""Pages with parts that a program writes say what it would write now."""

from tests.house import source
from tests.wippy_trio.actors import crash_matrix


def test_the_tables_of_endings_are_those_of_the_test() -> None:
    page = source.text(crash_matrix.PAGE)
    assert page == crash_matrix.rendered(page), "run: python tests/wippy_trio/actors/crash_matrix.py"


def test_every_ending_has_every_cell() -> None:
    columns = {*crash_matrix.RELATIONS, *crash_matrix.CHILDREN}
    wrong = {ending.name: set(ending.cells) ^ columns for ending in crash_matrix.ENDINGS}
    assert not any(wrong.values()), wrong
