"""Texts of statements, fit to be shown: on one line, without what somebody wrote into them."""

from __future__ import annotations

import re

from .plans import EXPLAINABLE

# In the order in which PostgreSQL's scanner meets them; a text may have been cut in the middle of any.
LITERAL = r"""
    (?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) )
  | (?P<name> "(?:[^"]|"")*(?:"|\Z) | \$\d+ | (?! [eEnNbBxX]' | [uU]&' ) [^\W\d][\w$]* )
  | (?P<text> [eE]'(?:[^'\\]|\\.|'')*(?:'|\Z) | (?:[uU]&|[nNbBxX])?'(?:[^']|'')*(?:'|\Z)
      | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z) )
  | (?P<number> (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)? )
"""
TOKENS = re.compile(LITERAL, re.VERBOSE | re.DOTALL)
LONGEST = 2000


def normal(text: str) -> str:
    """Return a statement with ``$`` for each literal and without comments, on one line."""
    return " ".join(TOKENS.sub(_without, text).split())


def _without(found: re.Match[str]) -> str:
    if found["comment"] is not None:
        return " "
    return found[0] if found["name"] is not None else "$"


def tidy(text: str) -> str:
    """Return a statement as pg_stat_statements has it, on one line and no longer than 2,000 characters.

    It has replaced the literals of queries, not those of other commands: a password may stand in them.
    """
    if not EXPLAINABLE.match(text):
        return normal(text)[:LONGEST]
    bare = TOKENS.sub(lambda found: " " if found["comment"] is not None else found[0], text)
    return " ".join(bare.split())[:LONGEST]


def short(text: str, width: int = 80) -> str:
    """Return a statement cut to *width* characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 3]}..."
