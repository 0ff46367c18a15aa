"""The rehearsal's certificate: created at each start, trusted by its key alone."""

from __future__ import annotations

import base64
import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fleet.paths import write_private


@dataclass(frozen=True)
class CertificateFiles:
    """Paths of certificate and key while a server loads them; `spki` is the base64 SHA-256 of the public key."""

    certificate: Path
    key: Path
    spki: str


def spki_of(certificate: bytes) -> str:
    """Return the base64 SHA-256 of the public key of a DER certificate, as Chromium's SPKI list expects it."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


@contextmanager
def certificate_for(hosts: Iterable[str]) -> Iterator[CertificateFiles]:
    """Create a self-signed P-256 certificate for `hosts` as private files, deleted after the `with`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fleet rehearsal")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    with tempfile.TemporaryDirectory(prefix="fleet-rehearsal-") as folder:
        files = CertificateFiles(
            certificate=Path(folder) / "certificate.pem",
            key=Path(folder) / "key.pem",
            spki=spki_of(certificate.public_bytes(serialization.Encoding.DER)),
        )
        write_private(files.certificate, certificate.public_bytes(pem))
        plain = serialization.NoEncryption()
        write_private(files.key, key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        yield files
