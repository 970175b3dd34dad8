"""TLS contexts from PEM texts. Source: http/server (TLS), lua/http/client (TLS options)."""

from __future__ import annotations

import ssl
from typing import Final

import attrs

from determinism.network import SimulatedNetwork
from determinism.seams import Environment
from wippy_trio.core.errors import InvalidError, UnsupportedError

__all__ = ["ClientTls", "ServerTls", "client_context", "server_context"]

CLIENT_AUTH: Final = ("", "request", "require_any", "verify_if_given", "require_and_verify")
SCRATCH: Final = "/tmp"  # noqa: S108 - a directory of our own with mode 0700 is made below it


@attrs.frozen(slots=True)
class ServerTls:
    """PEM texts of a server; `client_auth` is one of the reference's words, empty for none."""

    cert: str = attrs.field(repr=False)
    key: str = attrs.field(repr=False)
    client_ca: str = attrs.field(default="", repr=False)
    client_auth: str = ""


@attrs.frozen(slots=True)
class ClientTls:
    """PEM texts and choices of one request."""

    cert: str = attrs.field(default="", repr=False)
    key: str = attrs.field(default="", repr=False)
    ca: str = attrs.field(default="", repr=False)
    server_name: str = ""
    insecure_skip_verify: bool = False

    def __attrs_post_init__(self) -> None:
        if bool(self.cert) != bool(self.key):
            raise InvalidError("tls: both cert and key must be provided together")


def _load_chain(context: ssl.SSLContext, cert: str, key: str, environment: Environment) -> None:
    """Load a certificate and key; OpenSSL reads them from files only, so they pass through a private directory."""
    disk = environment.disk
    folder = f"{SCRATCH}/wippy-tls-{environment.ids.uuid()}"
    path = f"{folder}/chain.pem"
    disk.mkdir(folder, 0o700)
    try:
        with disk.open(path, "xb") as file:
            file.write(f"{cert.strip()}\n{key.strip()}\n".encode())
        context.load_cert_chain(path)
    except (ssl.SSLError, ValueError) as problem:
        message = f"tls: cannot use certificate and key: {problem}"
        raise InvalidError(message) from problem
    finally:
        if disk.exists(path):
            disk.remove(path)
        disk.rmdir(folder)


async def server_context(tls: ServerTls, environment: Environment, protocols: tuple[str, ...]) -> ssl.SSLContext:
    """A server's context: TLS 1.2 or newer, the given ALPN protocols, client certificates as configured.

    In a simulation, which does without TLS, the PEM texts are not read.

    Raises:
        InvalidError: a PEM text cannot be used.
        UnsupportedError: `require_any`, which OpenSSL's Python binding cannot express (unverified certificates).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(protocols))
    if tls.client_auth == "require_any":
        raise UnsupportedError("tls.client_auth require_any is not available: use require_and_verify with a client_ca")
    if isinstance(environment.network, SimulatedNetwork):
        return context
    if tls.client_ca:
        _trust(context, tls.client_ca)
    if tls.client_auth == "verify_if_given":
        context.verify_mode = ssl.CERT_OPTIONAL
    elif tls.client_auth == "require_and_verify":
        context.verify_mode = ssl.CERT_REQUIRED
    await environment.threads.run(_load_chain, context, tls.cert, tls.key, environment, lane="tls")
    return context


async def client_context(tls: ClientTls | None, environment: Environment) -> ssl.SSLContext:
    """A client's context: the system's authorities or the given one.

    Raises:
        InvalidError: a PEM text cannot be used.
    """
    if tls is not None and tls.ca:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _trust(context, tls.ca)
    else:
        context = await environment.threads.run(ssl.create_default_context, lane="tls")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if tls is not None and tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls is not None and tls.cert:
        await environment.threads.run(_load_chain, context, tls.cert, tls.key, environment, lane="tls")
    return context


def _trust(context: ssl.SSLContext, pem: str) -> None:
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as problem:
        message = f"tls: cannot use the CA certificate: {problem}"
        raise InvalidError(message) from problem
