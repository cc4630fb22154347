"""Certificates: unusable ones are reported in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from web.config import Server
from web.process.certificate_reload import tls_context
from web.process.startup import StartupRefused

AUTHORITY = trustme.CA()
ISSUED, OTHER = AUTHORITY.issue_cert("localhost"), AUTHORITY.issue_cert("localhost")


def encrypted(key: bytes) -> bytes:
    """Return the same key, encrypted with a password."""
    return load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"secret")
    )


@pytest.fixture
def settings(tmp_path: Path) -> Server:
    """Return settings with a valid certificate in two files."""
    (tmp_path / "cert.pem").write_bytes(ISSUED.cert_chain_pems[0].bytes())
    (tmp_path / "key.pem").write_bytes(ISSUED.private_key_pem.bytes())
    return Server(tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem", http2=True)


@pytest.mark.parametrize("http2", [False, True])
def test_certificate_may_be_two_files_or_one(settings: Server, tmp_path: Path, http2: bool) -> None:
    assert tls_context(settings.model_copy(update={"http2": http2})) is not None
    both = tmp_path / "both.pem"
    both.write_bytes(ISSUED.private_key_and_cert_chain_pem.bytes())
    assert tls_context(Server(tls_cert=both, http2=http2)) is not None


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("cert.pem", None, r"cert\.pem: cannot be read: No such file"),
        ("key.pem", None, r"key\.pem: cannot be read: No such file"),
        ("cert.pem", b"nonsense", "no certificate with its key in PEM"),
        ("key.pem", b"nonsense", "no certificate with its key in PEM"),
        ("key.pem", OTHER.private_key_pem.bytes(), "the key does not belong to the certificate"),
        ("key.pem", encrypted(ISSUED.private_key_pem.bytes()), "the key is encrypted"),
    ],
)
def test_bad_file_is_reported_in_one_line(
    settings: Server, tmp_path: Path, file: str, content: bytes | None, why: str
) -> None:
    change: Callable[[], object] = (tmp_path / file).unlink
    if content is not None:
        change = lambda: (tmp_path / file).write_bytes(content)  # noqa: E731
    change()
    with pytest.raises(StartupRefused, match=why) as caught:
        tls_context(settings)
    assert "\n" not in str(caught.value)
