"""The environment storage that is a file of `KEY=VALUE` lines. Source: docs system/env, File Storage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from determinism.seams import Environment
from wippy_trio.core.errors import InvalidError, UnavailableError

__all__ = ["FileStorage"]

_MAX_FILE_BYTES: Final = 4 * 1024 * 1024


class FileStorage:
    """A file of `KEY=VALUE` lines with `#` comments, rewritten in place with all other lines kept.

    A value ends at the first `#`; there are no quotes and no escapes. A write goes to `<path>.tmp` and is then
    renamed, so that a reader sees the old file or the new one.

    Args:
        environment: disk and threads.
        path: absolute path of the file.
        auto_create: make the file, and its directory, on the first write.
        file_mode, dir_mode: permission bits of what is made.
    """

    immediate = False

    def __init__(
        self,
        environment: Environment,
        path: str,
        *,
        auto_create: bool = False,
        file_mode: int = 0o644,
        dir_mode: int = 0o755,
    ) -> None:
        if not path:
            raise InvalidError("file path must not be empty")
        self._environment = environment
        self._path = path
        self._auto_create = auto_create
        self._file_mode = file_mode or 0o644
        self._dir_mode = dir_mode or 0o755
        self._writing = trio.Lock()

    async def get(self, key: str) -> str | None:
        lines = await self._read(missing_ok=True)
        return next((value for name, value in map(_parse_line, lines) if name == key and name), None)

    async def list(self) -> dict[str, str]:
        lines = await self._read(missing_ok=True)
        return {name: value for name, value in map(_parse_line, lines) if name}

    async def set(self, key: str, value: str) -> None:
        if "\n" in value or "\r" in value:
            # The reference writes it, and reads it back as further lines: another variable could be forged so.
            raise InvalidError("a value in an environment file cannot hold a line break", details={"key": key})
        async with self._writing:
            lines = await self._read(missing_ok=self._auto_create)
            changed = []
            found = False
            for line in lines:
                if _parse_line(line)[0] == key:
                    comment = line.find("#")
                    changed.append(f"{key}={value}" + (f" {line[comment:]}" if comment >= 0 else ""))
                    found = True
                else:
                    changed.append(line)
            if not found:
                changed.append(f"{key}={value}")
            await self._write(changed)

    async def delete(self, key: str) -> None:
        async with self._writing:
            lines = await self._read(missing_ok=False)
            await self._write([line for line in lines if _parse_line(line)[0] != key])

    async def _read(self, *, missing_ok: bool) -> Sequence[str]:
        def work() -> list[str]:
            disk = self._environment.disk
            if missing_ok and not disk.exists(self._path):
                return []
            with disk.open(self._path, "rb") as file:
                content = file.read(_MAX_FILE_BYTES + 1)
            if len(content) > _MAX_FILE_BYTES:
                raise InvalidError(f"environment file is larger than {_MAX_FILE_BYTES} bytes")
            return content.decode("utf-8", "surrogateescape").replace("\r\n", "\n").removesuffix("\n").split("\n")

        try:
            lines = await self._environment.threads.run(work, lane="env")
        except OSError as error:
            raise UnavailableError(f"cannot read environment file: {error.strerror or error}") from error
        return [] if lines == [""] else lines

    async def _write(self, lines: Sequence[str]) -> None:
        def work() -> None:
            disk, temporary = self._environment.disk, f"{self._path}.tmp"
            directory = self._path.rpartition("/")[0]
            if self._auto_create and directory and not disk.exists(directory):
                disk.mkdir(directory, self._dir_mode, parents=True)
            try:
                with disk.open(temporary, "wb") as file:
                    # Before the content: a secret must not be readable for the moment in between.
                    disk.chmod(temporary, self._file_mode)
                    file.write("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
                    # Before the name: else a loss of power could leave an empty file under it.
                    disk.sync(file)
                disk.rename(temporary, self._path)
            except OSError:
                if disk.exists(temporary):
                    disk.remove(temporary)
                raise

        try:
            await self._environment.threads.run(work, lane="env")
        except OSError as error:
            raise UnavailableError(f"cannot write environment file: {error.strerror or error}") from error


def _parse_line(text: str) -> tuple[str, str]:
    """Name and value of a line; two empty texts for a comment, an empty line or anything without `=`."""
    name, equals, value = text.partition("#")[0].strip().partition("=")
    return (name.strip(), value.strip()) if equals else ("", "")
