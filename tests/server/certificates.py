"""Certificates for tests, made when they are needed: an authority, and servers that it vouches for."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates for ``127.0.0.1``, whose common name tells them apart."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("an authority of the tests")
        self._certificate = self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))

    def issue(self, certificate: Path, key: Path, name: str, *, password: bytes | None = None) -> None:
        """Writes a new key and its certificate, one in place of the other without a moment in between."""
        private = ec.generate_private_key(ec.SECP256R1())
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        signed = self._sign(_named(name), private, address)
        encryption: KeySerializationEncryption = (
            NoEncryption() if password is None else BestAvailableEncryption(password)
        )
        replace(certificate, signed.public_bytes(Encoding.PEM))
        replace(key, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))

    def client_context(self) -> ssl.SSLContext:
        """A context that trusts this authority and no other."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self._certificate.public_bytes(Encoding.PEM).decode())
        return context

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .sign(self._key, SHA256())
        )


def replace(path: Path, content: bytes) -> None:
    """Puts a file in the place of another."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
