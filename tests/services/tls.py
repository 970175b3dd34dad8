"""A TLS front for a plain server of the tests: ends TLS, asks for a client's certificate, passes bytes on."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "temporal.test"


@attrs.frozen(slots=True)
class Files:
    """PEM files: an authority, and a certificate with its key for server and client."""

    ca: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path


def _certificate(
    name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return builder.sign(key if issuer is None else issuer[1], hashes.SHA256()), key


def _write(path: Path, name: str, made: tuple[x509.Certificate, ec.EllipticCurvePrivateKey]) -> tuple[Path, Path]:
    cert, key = path / f"{name}.pem", path / f"{name}.key"
    cert.write_bytes(made[0].public_bytes(serialization.Encoding.PEM))
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key.write_bytes(made[1].private_bytes(serialization.Encoding.PEM, form, plain))
    return cert, key


def certificates(folder: Path) -> Files:
    """Make them, good for a day."""
    authority = _certificate("authority.test", None)
    ca, _ = _write(folder, "ca", authority)
    server = _write(folder, "server", _certificate(NAME, authority))
    client = _write(folder, "client", _certificate("client.test", authority))
    return Files(ca, *server, *client)


class TlsFront:
    """Listens on a port of this machine until closed."""

    def __init__(self, target: str, files: Files) -> None:
        host, _, port = target.partition(":")
        self._target = host, int(port)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(files.server_cert, files.server_key)
        self._context.load_verify_locations(files.ca)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.set_alpn_protocols(["h2"])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        try:
            with (
                self._context.wrap_socket(raw, server_side=True) as inside,
                socket.create_connection(self._target) as out,
            ):
                threading.Thread(target=_copy, args=(out, inside), daemon=True).start()
                _copy(inside, out)
        except OSError:
            raw.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
