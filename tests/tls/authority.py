"""A private certificate authority, and the certificates that servers and clients get of it."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.processes import unprivileged_user

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as files that a server which runs as nobody can read."""

    file: Path
    key: Path


class Authority:
    """Signs; ``root`` is the file of its own certificate."""

    def __init__(self, folder: Path, name: str = "Celers tests") -> None:
        self.folder = folder
        self._name = _named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        own = (
            _builder(self._name, self._name, self._key.public_key(), now - _DAY, now + 30 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(_key_id(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.root = folder / f"{name.replace(' ', '-')}.pem"
        _write(self.root, own.public_bytes(serialization.Encoding.PEM))

    def certificate(
        self, file: str, *hosts: str, ended: bool = False, by_itself: bool = False, name: str = ""
    ) -> Certificate:
        """A certificate for *hosts*; *ended*: yesterday; *by_itself*: nobody has signed it."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _named(name or hosts[0])
        now = datetime.now(UTC)
        until = now - _DAY if ended else now + 7 * _DAY
        builder = _builder(
            subject, subject if by_itself else self._name, key.public_key(), now - 10 * _DAY, until
        )
        builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
        builder = builder.add_extension(_usage(signs=False), critical=True)
        builder = builder.add_extension(_key_id(key.public_key()), critical=False)
        authority_key = (key if by_itself else self._key).public_key()
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key), critical=False
        )
        if hosts:
            names = x509.SubjectAlternativeName([_host(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        signed = builder.sign(key if by_itself else self._key, hashes.SHA256())
        made = Certificate(self.folder / f"{file}.pem", self.folder / f"{file}.key")
        _write(made.file, signed.public_bytes(serialization.Encoding.PEM))
        _write(
            made.key,
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )
        return made


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    since: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _key_id(key: ec.EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    file.chmod(0o600)
    if os.geteuid() == 0:  # the server is not root, and PostgreSQL wants its key to be its own
        os.chown(file, *unprivileged_user())
