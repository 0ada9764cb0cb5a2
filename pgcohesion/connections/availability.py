"""Why a server cannot be asked, in classes that call for different work."""

from __future__ import annotations

import re
from typing import Literal

import psycopg

from ..errors import DeadlineExceeded

Kind = Literal[
    "refused", "connect_timeout", "query_timeout", "authentication", "not_accepting", "slots_exhausted", "lost"
]
# Errors of connecting carry no SQLSTATE, only words. First come, first served.
_WORDS: tuple[tuple[str, Kind], ...] = (
    (r"starting up|shutting down|in recovery mode|not (yet )?accepting|consistent recovery state", "not_accepting"),
    (r"too many clients|remaining connection slots|too many connections", "slots_exhausted"),
    (r"authentication|pg_hba\.conf|no password supplied|role .* (does not exist|is not permitted)", "authentication"),
    (r"permission denied for database", "authentication"),
    (r"timeout expired|timed out", "connect_timeout"),
    (r"FATAL:", "lost"),  # it is there, whatever file it does not find
    (r"could not translate host name|failed to resolve host", "refused"),
    (r"refused|No such file or directory|unreachable|No route", "refused"),
)
_STATES: dict[str, Kind] = {"57P03": "not_accepting", "53300": "slots_exhausted"}
ADVICE: dict[str, str] = {
    "refused": "nothing listens there: start the server, or mend host and port",
    "connect_timeout": "the host or the server hangs, or a firewall drops packets: log in on the host and look",
    "query_timeout": "it let us in and then hung: look at its disk, its memory and its log on the host",
    "authentication": "mend the password, pg_hba.conf, or the right to CONNECT to the database",
    "not_accepting": "it starts, stops or recovers: wait, and follow its log",
    "slots_exhausted": "end idle sessions from one of the reserved slots; a pooler keeps this from coming back",
    "lost": "it was there and went: look into its log",
}


def kind(error: BaseException, complaint: str = "") -> Kind:
    """Return the class of an error that kept us from asking a server; *complaint* is what the relay to it said."""
    if isinstance(error, DeadlineExceeded):
        return "query_timeout"
    if isinstance(error, psycopg.Error) and error.sqlstate is not None:
        state = error.sqlstate
        return _STATES.get(state, "authentication" if state.startswith("28") else "lost")
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return "connect_timeout"
    told = (found for text in (str(error), complaint) for words, found in _WORDS if re.search(words, text))
    return next(told, "lost")


def gist(words: str) -> str:
    """Return the first line of an error: what it is. Further ones guess at it, or tell of other addresses and tries."""
    return next((line.strip() for line in words.splitlines() if line.strip()), "it does not answer")
