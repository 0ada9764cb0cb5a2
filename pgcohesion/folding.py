"""Text in the width of a terminal, broken between words."""

from __future__ import annotations

import os
from typing import TextIO

LEAST = 24
"""Columns that prose needs."""


def columns(stream: TextIO) -> int:
    """Return how many columns a terminal has; 0 where there is none, or where it does not say."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


def fold(text: str, width: int, hang: int) -> list[str]:
    """Return *text* in lines of at most *width* (0: as it is), all but the first indented by *hang*.

    A word that is too long stays whole.
    """
    if not 0 < width < len(text):
        return [text]
    from textwrap import wrap

    width, later = max(width, hang + LEAST), " " * hang
    return wrap(text, width, subsequent_indent=later, break_long_words=False, break_on_hyphens=False)
