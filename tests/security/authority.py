"""Certificates for servers on loopback, by an authority that nobody else trusts."""

from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from pipeline.stack.ports import HOST


@dataclass(frozen=True, slots=True)
class Authority:
    """What its servers show, and by what their clients know them. All are PEM files."""

    ca: Path
    certificate: Path
    key: Path
    both: Path  # key and certificate in one, as Kafka takes them


def founded(folder: Path) -> Authority:
    """A new authority, whose files are in the folder."""
    folder.mkdir(parents=True)
    authority = trustme.CA()
    issued = authority.issue_cert(HOST)
    certificate = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    # The Java of the broker reads keys in this form only.
    key = load_pem_private_key(issued.private_key_pem.bytes(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    files = Authority(folder / "ca.pem", folder / "server.pem", folder / "server.key", folder / "both.pem")
    authority.cert_pem.write_to_path(files.ca)
    files.certificate.write_bytes(certificate)
    files.key.write_bytes(key)
    files.both.write_bytes(key + certificate)
    return files
