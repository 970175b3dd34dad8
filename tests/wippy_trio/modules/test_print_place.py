"""`print` writes one record, with the process and the place it was called from."""

import pytest

from tests.conftest import OpenApp, RunLua


def records(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


async def test_arguments_are_joined_as_tostring_shows_them(lua: RunLua, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        await lua('print("a", 1, 3 / 1, 1.5, nil, true) print()')
    assert [text for text in records(caplog) if text.startswith("a")] == ["a 1 3 1.5 nil true"]
    assert "" in records(caplog)


async def test_the_record_names_process_and_line(app: OpenApp, caplog: pytest.LogCaptureFixture) -> None:
    entries = """
    - name: talk
      kind: function.lua
      method: main
      source: |
        local function main()
          print("hello")
        end
        return {main = main}
    """
    async with app(entries) as running:
        with caplog.at_level("INFO"):
            await running.call("app:talk")
    [record] = [record for record in caplog.records if record.getMessage() == "hello"]
    fields = dict(vars(record)["wippy_fields"])
    assert fields["location"] == "app:talk:2"
    assert str(fields["pid"]).startswith("{local@")
