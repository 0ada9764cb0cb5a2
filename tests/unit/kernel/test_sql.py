"""plan.sql: identifiers, literals and statements are let in, text is not."""

from __future__ import annotations

import pytest

from pgcohesion.plan import sql

CASES = [
    ("ANALYZE {t:i}", {"t": "Odd"}, 'ANALYZE "Odd"'),
    ("ANALYZE {t:i}", {"t": ("a b", 'c"d')}, 'ANALYZE "a b"."c""d"'),
    ("COPY t ({c:i})", {"c": ["a", "b;--"]}, 'COPY t ("a", "b;--")'),
    ("SELECT {v:l}", {"v": "it's"}, "SELECT 'it''s'"),
    ("SELECT {v:l}, 5 % 2", {"v": 1}, "SELECT 1, 5 % 2"),
    ("COPY ({q:s}) TO STDOUT", {"q": sql("SELECT {v:l}", v=None)}, "COPY (SELECT NULL) TO STDOUT"),
    ("SELECT '{{}}'", {}, "SELECT '{}'"),
]


@pytest.mark.parametrize(("text", "parts", "made"), CASES)
def test_parts(text: str, parts: dict[str, object], made: str) -> None:
    assert sql(text, **parts).text == made  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["ANALYZE {t}", "ANALYZE {t:x}", "ANALYZE {t:s}"])
def test_a_part_without_its_kind_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must end with"):
        sql(text, t="users")
