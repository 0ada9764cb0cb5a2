"""Our scripts against hand-written ones of the same behaviour, in tokens: ``python -m benchmarks.scripts``.

Counted is what Python's tokenizer yields, without comments, docstrings, line ends and indentation. A string is one
token, however much SQL it holds, so SQL weighs nothing on either side. tests/pg/test_by_hand.py runs both of each pair.
"""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

from benchmarks.support import REPO

GOAL = 0.60
THIN = ("migrate", "reset", "seed", "setup")  # over rooms of the library that do the work
BLANK = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def tokens(text: str) -> int:
    """Return how many tokens of code *text* has."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    strings = {
        (node.body[0].lineno, node.body[0].col_offset)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, documented) and node.body and ast.get_docstring(node) is not None
    }
    made = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(token.type not in BLANK and token.start not in strings for token in made)


def pairs() -> list[tuple[str, Path, Path]]:
    """Return (name, ours, by hand) of each script."""
    hand = REPO / "benchmarks" / "by_hand"
    return [(path.stem, REPO / "scripts" / path.name, path) for path in sorted(hand.glob("*.py"))]


def once(files: list[Path]) -> int:
    """Return the tokens of *files* where a statement or function that stands in several counts in one of them only."""
    different = {ast.unparse(node) for path in files for node in ast.parse(path.read_text()).body}
    return sum(tokens(text) for text in different)


def main() -> None:
    """Count and print the table."""
    print(f"{'script':22} {'by hand':>8} {'ours':>6} {'less':>6}  goal {GOAL:.0%}")
    counted = {name: (tokens(hand.read_text()), tokens(ours.read_text())) for name, ours, hand in pairs()}
    for name, row in counted.items():
        _print(name, *row)
    own = [row for name, row in counted.items() if name not in THIN]
    _print(f"without {len(THIN)} thin ones", sum(hand for hand, _ in own), sum(ours for _, ours in own))
    _print("all", sum(hand for hand, _ in counted.values()), sum(ours for _, ours in counted.values()))
    _print("all, copies once", once([hand for _, _, hand in pairs()]), once([ours for _, ours, _ in pairs()]))


def _print(name: str, hand: int, ours: int) -> None:
    less = 1 - ours / hand
    print(f"{name:22} {hand:8} {ours:6} {less:6.0%}  {'reached' if less >= GOAL else 'missed'}")


if __name__ == "__main__":
    main()
