"""Certificates of an authority of the tests' own, good ones and bad ones."""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Authority:
    """Whom the tests trust.

    :param file: its own certificate.
    """

    file: Path
    _key: ec.EllipticCurvePrivateKey
    _name: x509.Name

    @classmethod
    def found(cls, folder: Path) -> Authority:
        key, name = ec.generate_private_key(ec.SECP256R1()), _name("An authority of the tests")
        certificate = _certificate(name, key, name, key, days=2, is_authority=True)
        file = folder / "authority.pem"
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return cls(file, key, name)

    def tls(self, kind: str) -> ssl.SSLContext:
        """Return a server's TLS context with a certificate.

        :param kind: ``good``, ``self-signed``, ``expired`` or ``wrong name``.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("localhost")
        signer, signing = (name, key) if kind == "self-signed" else (self._name, self._key)
        certificate = _certificate(
            name,
            key,
            signer,
            signing,
            days=-1 if kind == "expired" else 2,
            host="elsewhere.test" if kind == "wrong name" else None,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(
                key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            )
            file.write(certificate.public_bytes(serialization.Encoding.PEM))
            file.flush()
            context.load_cert_chain(file.name)
        return context


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        decipher_only=False,
        **dict.fromkeys(others, False),
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _certificate(
    name: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: x509.Name,
    signing: ec.EllipticCurvePrivateKey,
    *,
    days: int,
    host: str | None = None,
    is_authority: bool = False,
) -> x509.Certificate:
    now = datetime.now(UTC)
    names: list[x509.GeneralName] = [x509.DNSName(host)] if host else [x509.IPAddress(ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(signer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(_usage(is_authority=is_authority), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
        .sign(signing, hashes.SHA256())
    )
