"""The context that a gateway speaks TLS with, made from its files, and what is wrong with them in words."""

from __future__ import annotations

import ssl
from pathlib import Path


class CertificateError(ValueError):
    """A file cannot be used; the message begins with its name: ``server.pem, which …``."""


def check_pem(path: Path, kind: str) -> None:
    """Raises :class:`CertificateError` if there is no block of this kind (``CERTIFICATE``) in the file."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CertificateError(f"{path}, which cannot be read: {error.strerror}") from None
    if f"{kind}-----".encode() not in text:
        raise CertificateError(f"{path}, which has no {kind.lower()} in PEM form")


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A context with this certificate, the chain behind it, and its key. Raises :class:`CertificateError`."""
    check_pem(certificate, "CERTIFICATE")
    check_pem(key, "PRIVATE KEY")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # Renegotiation is what clients can make a server work with.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            problem = f"is not the key of the certificate in {certificate}"
        else:
            problem = f"cannot be used with {certificate}: {error.reason or error}"
        raise CertificateError(f"{key}, which {problem}") from None
    except _PasswordNeeded:
        raise CertificateError(f"{key}, which is encrypted; there is nobody to ask for a password") from None
    return context


class _PasswordNeeded(Exception):
    pass


def _refuse_password() -> str:
    raise _PasswordNeeded
