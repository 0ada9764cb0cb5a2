"""SCRAM-SHA-256 verifiers: a password leaves this process only in this form (RFC 5802, RFC 7677)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import stringprep
import unicodedata

ITERATIONS = 4096
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def verifier(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """Return what PostgreSQL stores in pg_authid.rolpassword for *password* (manual, 53.8)."""
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", saslprep(password), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    stored, salt64 = hashlib.sha256(client).digest(), base64.b64encode(salt).decode()
    return (
        f"SCRAM-SHA-256${iterations}:{salt64}${base64.b64encode(stored).decode()}:{base64.b64encode(server).decode()}"
    )


def matches(password: str, stored: str | None) -> bool:
    """Return whether *stored* is a SCRAM verifier of *password*; md5 hashes never match, so they get replaced."""
    if not stored or not stored.startswith("SCRAM-SHA-256$"):
        return False
    iterations, _, salt = stored.split("$")[1].partition(":")
    return hmac.compare_digest(verifier(password, base64.b64decode(salt), int(iterations)), stored)


def saslprep(password: str) -> bytes:
    """Return *password* normalised as PostgreSQL's pg_saslprep does (RFC 4013); unchanged where that forbids it."""
    raw = password.encode()
    if password.isascii():
        return raw
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c))
    text = unicodedata.normalize("NFKC", mapped)
    if not text or any(test(c) for c in text for test in _PROHIBITED) or any(map(stringprep.in_table_a1, text)):
        return raw
    return text.encode() if _one_direction(text) else raw


def _one_direction(text: str) -> bool:
    """RFC 3454, section 6."""
    if not any(map(stringprep.in_table_d1, text)):
        return True
    return (
        not any(map(stringprep.in_table_d2, text))
        and stringprep.in_table_d1(text[0])
        and stringprep.in_table_d1(text[-1])
    )
