"""The certificate that a server shows to whoever connects: of one that is only looked at, and is elsewhere."""

from __future__ import annotations

import socket
import ssl
import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from ...context import Context

# https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-SSLREQUEST
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
PATIENCE = 3.0
"""Seconds for each answer."""


class Served(Struct, frozen=True):
    """A certificate of the server *name*, and the seconds until it ends."""

    name: str
    left: float


def read(ctx: Context) -> list[Served] | None:
    """Return the certificate; None where the server shows none, or its file can be looked at.

    A server that does not answer is another check's.
    """
    if not ctx.only_looked_at or ctx.watched_here:
        return None
    try:
        certificate = shown(*ctx.watched_address, PATIENCE)
    except OSError:
        return None
    if certificate is None:
        return None
    return [Served(ctx.watched_name, (ends(certificate) - datetime.now(UTC)).total_seconds())]


def shown(host: str, port: int, patience: float) -> bytes | None:
    """Return the certificate (DER) that a server shows, without trusting it; None where it speaks no TLS.

    Raises OSError where it does not answer in *patience* seconds.
    """
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, port), patience) as plain:
        plain.sendall(SSL_REQUEST)
        if plain.recv(1) != b"S":
            return None
        with trusting.wrap_socket(plain, server_hostname=host) as secured:
            return secured.getpeercert(binary_form=True)


def ends(certificate: bytes) -> datetime:
    """Return when a certificate ends."""
    from cryptography.x509 import load_der_x509_certificate

    return load_der_x509_certificate(certificate).not_valid_after_utc
