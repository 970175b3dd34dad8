"""HTTPS between our server and our client, with certificates made here."""

import datetime as dt
import ssl
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wippy_trio.core.errors import InvalidError, UnsupportedError
from wippy_trio.http.client import ClientRequest, HttpClient, RequestFailedError
from wippy_trio.http.exchange import Exchange
from wippy_trio.http.tls import ClientTls, ServerTls, server_context


@cache
def certificate(name: str) -> tuple[str, str]:
    """A self-signed certificate for `name`, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(pem).decode(), private.decode()


async def hello(exchange: Exchange) -> None:
    assert exchange.request.secure
    await exchange.response.write(b"hello")


async def context(environment, **more: str) -> ssl.SSLContext:
    cert, key = certificate("localhost")
    return await server_context(ServerTls(cert, key, **more), environment, ("http/1.1",))


def url_of(served) -> str:
    return f"https://localhost:{served.server.address.rpartition(':')[2]}/"


async def test_https(serving, environment, autojump_clock) -> None:
    ca = certificate("localhost")[0]
    async with serving(hello, tls=await context(environment)) as served:
        client = HttpClient(environment)
        for _ in range(2):
            assert (await client.request(ClientRequest("GET", url_of(served), tls=ClientTls(ca=ca)))).body == b"hello"
        insecure = ClientRequest("GET", url_of(served), tls=ClientTls(insecure_skip_verify=True))
        assert (await client.request(insecure)).body == b"hello"
        with pytest.raises(RequestFailedError, match=r"(?i)certificate"):
            await client.request(ClientRequest("GET", url_of(served)))
        wrong = ClientTls(ca=ca, server_name="other")
        with pytest.raises(RequestFailedError, match=r"(?i)hostname mismatch"):
            await client.request(ClientRequest("GET", url_of(served), tls=wrong))
        await client.aclose()


async def test_client_certificates(serving, environment, autojump_clock) -> None:
    ca, (cert, key) = certificate("localhost")[0], certificate("client")
    secure = await context(environment, client_ca=cert, client_auth="require_and_verify")
    async with serving(hello, tls=secure) as served:
        client = HttpClient(environment)
        known = ClientTls(cert, key, ca)
        assert (await client.request(ClientRequest("GET", url_of(served), tls=known))).body == b"hello"
        with pytest.raises(RequestFailedError):
            await client.request(ClientRequest("GET", url_of(served), tls=ClientTls(ca=ca)))
        await client.aclose()


async def test_a_peer_that_speaks_no_tls_is_dropped(serving, environment, autojump_clock) -> None:
    async with serving(hello, tls=await context(environment)) as served:
        assert b"HTTP" not in await served.talk(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        stream = await served.connect()
        assert await served.listen(stream, 100) == b""  # the handshake has a deadline


async def test_bad_material(environment) -> None:
    with pytest.raises(InvalidError, match="certificate and key"):
        await server_context(ServerTls("junk", "junk"), environment, ())
    with pytest.raises(InvalidError, match="CA"):
        await context(environment, client_ca="junk", client_auth="verify_if_given")
    with pytest.raises(UnsupportedError):
        await context(environment, client_auth="require_any")
