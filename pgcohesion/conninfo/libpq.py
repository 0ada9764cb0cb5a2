"""libpq itself, as the judge; psycopg loads with the first question."""

from __future__ import annotations

from functools import cache

from ..errors import ConfigError

# libpq's messages quote what they stumbled over, which may be part of a password: only the reason is passed on.
REASONS = {
    "UTF-8": ("it is no UTF-8 text", "percent-encode what is not ASCII"),
    "percent-encoded token": ("a `%` is not followed by two hex digits", "write `%` as %25"),
    "%00": ("it has a %00", "no value may have one"),
    "missing key/value separator": ("an option after `?` has no `=`", "write `&` in a value as %26"),
    "extra key/value separator": ("an option after `?` has two `=`", "write `=` in a value as %3D"),
    "unexpected spaces": ("it has a raw space", "write it as %20"),
    "unterminated quoted string": ("a quote is not closed", "write ' in a value as \\'"),
    'missing "=" after': ("it is neither a URL nor made of name=value pairs", "put a value with spaces into '...'"),
    "matching": ("the `]` of an IPv6 address is missing", "write it as [::1]:5432"),
    "IPv6": ("the address between [ and ] is empty", "write it as [::1]:5432"),
    "in URI (expected": ("the host is followed by something odd", "percent-encode / @ : [ ] in user and password"),
}


class Unreadable(ConfigError):
    """libpq cannot read a connection string."""


def conninfo(text: str) -> dict[str, str]:
    """Return what PQconninfoParse makes of *text*. Raises Unreadable, which quotes nothing of it."""
    from psycopg import OperationalError, pq

    try:
        options = pq.Conninfo.parse(text.encode())
        return {o.keyword.decode(): o.val.decode() for o in options if o.val is not None}
    except UnicodeError:
        message = "UTF-8"
    except OperationalError as error:
        message = str(error)
    why, fix = next((reason for part, reason in REASONS.items() if part in message), ("", ""))
    raise Unreadable("a connection string cannot be read", why=why or "libpq does not understand it", fix=fix)


@cache
def variables() -> dict[str, str]:
    """Return libpq's environment variables: {"host": "PGHOST", ...}."""
    from psycopg import pq

    return {o.keyword.decode(): o.envvar.decode() for o in pq.Conninfo.get_defaults() if o.envvar}


@cache
def keywords() -> frozenset[str]:
    """Return the parameters that libpq knows (PostgreSQL's manual, "Parameter Key Words")."""
    from psycopg import pq

    return frozenset(o.keyword.decode() for o in pq.Conninfo.get_defaults())
