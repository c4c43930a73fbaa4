"""The server's side of TLS, from two files."""

from __future__ import annotations

import ssl

from lattice import errors
from lattice_http_server.settings import ServerSettings


def tls_context(settings: ServerSettings) -> ssl.SSLContext | None:
    """None without TLS. TLS 1.2 and later, the ciphers OpenSSL prefers. Raises `errors.ConfigError`."""
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing = "tls_key" if key is None else "tls_certificate"
        raise errors.ConfigError(
            f"`{missing}` is not set, and https needs both the certificate and its key",
            remedy="set both, or neither for http",
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise errors.ConfigError(
            f"the certificate {certificate} and the key {key} cannot be used: {error}",
            remedy="both must be readable PEM files, the key must belong to the certificate and have no password",
        ) from error
    return context


def _no_password() -> str:
    """Instead of OpenSSL's question on the terminal, which a server would wait for forever."""
    raise ValueError("the key is encrypted")
