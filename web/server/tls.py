"""TLS for the server."""

import ssl
from pathlib import Path


def server_ssl_context(certificate: Path, key: Path | None, *, http2: bool) -> ssl.SSLContext:
    """A context for `ServerSettings.ssl_context`; raises `OSError` or `ssl.SSLError`.

    Calling `load_cert_chain` on it again renews the certificate for new connections.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION  # RFC 9113 §9.2.1
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    context.load_cert_chain(certificate, key)
    return context
