"""Where a PostgreSQL database is, and the way there: names resolved and the login done without a blocked loop.

Source: docs system/database, libpq's manual.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from determinism.seams import Descriptors, Environment, NoDescriptors
from wippy_trio.core.errors import InvalidError, LuaError, UnavailableError, UnsupportedError
from wippy_trio.storage.postgres_values import error_from_state

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

__all__ = ["READ", "WRITE", "PostgresLimits", "PostgresSettings", "addresses", "check_real", "connected", "drive_pairs"]

T = TypeVar("T")
_PORT = 5432
READ, WRITE = 1, 2  # psycopg's Wait and Ready have the same bits


@attrs.frozen(slots=True)
class PostgresLimits:
    """Bounds of a database's connections: waits in seconds, numbers as counts.

    `open_max_count` connections at most, of which `idle_max_count` are kept when nobody uses them; each is replaced
    when older than `lifetime_s`. A caller waits `wait_s` for a connection, with at most `waiters_max_count` others.
    A cancelled statement has `cancel_s` to end, then its connection is closed.
    """

    open_max_count: int = 100
    idle_max_count: int = 2
    lifetime_s: float = 3600.0
    wait_s: float = 30.0
    waiters_max_count: int = 1024
    connect_s: float = 10.0
    cancel_s: float = 5.0
    close_wait_s: float = 5.0
    rows_max_count: int = 1_000_000


@attrs.frozen(slots=True)
class PostgresSettings:
    """Where a database is and how to log in.

    Args:
        host: a name, an address, or the folder of a local socket (starts with `/`).
        port: of the server.
        database: its name.
        user: who logs in.
        password: of the user; empty where none is wanted.
        options: further words of libpq (`sslmode`, `application_name`, ...); any other is a run-time setting of the
            server (`search_path`, `statement_timeout`, ...).
    """

    host: str
    port: int
    database: str
    user: str
    password: str = attrs.field(default="", repr=False)
    options: Mapping[str, str] = attrs.field(factory=dict)

    @classmethod
    def from_url(cls, url: str) -> PostgresSettings:
        """Settings from `postgresql://user:password@host:port/database?option=value`; parts may be percent-encoded.

        Raises:
            InvalidError: another scheme, or no host or database.
        """
        parts = urlsplit(url)
        database = unquote(parts.path.removeprefix("/"))
        try:
            port = parts.port or _PORT
        except ValueError:
            port = 0
        if parts.scheme not in {"postgres", "postgresql"} or not parts.hostname or not database or not port:
            raise InvalidError("expected postgresql://user:password@host:port/database")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(unquote(parts.hostname), port, database, user, password, dict(parse_qsl(parts.query)))

    def conninfo(self, address: str = "") -> str:
        """The connection string; with `address` the server is looked for there and nowhere else."""
        from psycopg import pq

        known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
        words = {
            "host": self.host,
            "port": str(self.port),
            "dbname": self.database,
            "user": self.user,
            "password": self.password,
            "hostaddr": address,
            "client_encoding": "UTF8",
            "fallback_application_name": "wippy-trio",
        }
        settings = []
        for name, value in self.options.items():
            if name in known:
                words[name] = value
            elif name not in _LIBPQ_NEVER_KNEW:
                text = value.replace("\\", "\\\\").replace(" ", "\\ ")
                settings.append(f"-c {name}={text}")
        if settings:
            words["options"] = " ".join((*filter(None, [words.get("options")]), *settings))
        return " ".join(f"{name}={_quoted(value)}" for name, value in words.items() if value)


#: Options of the reference's driver about its own wire format.
_LIBPQ_NEVER_KNEW = frozenset({"binary_parameters", "disable_prepared_binary_result"})


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def check_real(environment: Environment, what: str) -> None:
    """Refuse `what`, which needs sockets of libpq, where there are none, and where psycopg is not installed.

    Raises:
        UnsupportedError: a simulated run, or the extra is missing; the text says what to do.
    """
    if isinstance(environment.descriptors, NoDescriptors):
        raise UnsupportedError(f"{what} needs a real network: PostgreSQL is not part of a simulation; use SQLite there")
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise UnsupportedError(f"{what} needs psycopg: pip install 'wippy-trio[postgres]' ({error})") from None


async def addresses(settings: PostgresSettings, descriptors: Descriptors) -> Sequence[str]:
    """Where to look, in this order; libpq itself would wait for the resolver and hold everybody up."""
    host = settings.host
    if host.startswith(("/", "@")) or "," in host or "hostaddr" in settings.options:
        return ("",)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return ("",)
    try:
        return await descriptors.addresses(host)
    except OSError as error:
        raise UnavailableError(f"cannot resolve {host}: {error.strerror or error}") from None


async def connected(conninfo: str, descriptors: Descriptors) -> PGconn:
    """A connection, logged in. Raises as `PostgresConnection.connect`."""
    import psycopg
    from psycopg import generators

    try:
        return await drive_pairs(generators.connect(conninfo), descriptors)
    except psycopg.Error as error:
        raise _refused(" ".join(str(error).split())) from None
    except OSError as error:
        raise UnavailableError(f"connection failed: {error.strerror or error}") from None


def _refused(text: str) -> LuaError:
    """libpq gives no code for a refused login, only the server's words."""
    lowered = text.lower()
    if "authentication failed" in lowered or "no pg_hba.conf entry" in lowered or "permission denied for" in lowered:
        return error_from_state("28000", text)
    if (
        "invalid connection option" in lowered
        or "is bad: invalid" in lowered
        or ("database" in lowered and "does not exist" in lowered)
    ):
        return InvalidError(text)
    return UnavailableError(text)


async def drive_pairs(work: Generator[tuple[int, int], int, T], descriptors: Descriptors) -> T:
    """Drive a generator that says which socket to wait for: while connecting it changes."""
    try:
        socket, wanted = next(work)
        while True:
            read, write = await descriptors.wait(socket, read=bool(wanted & READ), write=bool(wanted & WRITE))
            socket, wanted = work.send(READ * read + WRITE * write)
    except StopIteration as done:
        result: T = done.value
        return result
