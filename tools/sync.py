"""Make ``connections/_sync`` from ``connections/_async``: the same code without await.

python tools/sync.py           write it
python tools/sync.py --check   exit 1 when it is not what the source would make
"""

from __future__ import annotations

import io
import subprocess
import sys
import tokenize
from pathlib import Path

CONNECTIONS = Path(__file__).resolve().parents[1] / "pgcohesion" / "connections"
HEAD = "# Made by tools/sync.py from ../_async/{name}: change that.\n"
NAMES = {
    "AsyncIterator": "Iterator",
    "Awaitable": "Answer",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "asynccontextmanager": "contextmanager",
    "async_sleep": "sleep",
}
DROPPED = {"async", "await"}


def without_await(source: str) -> str:
    """Return *source* with each ``async`` and ``await`` dropped and the names of NAMES and AsyncX replaced."""
    lines = source.splitlines(keepends=True)
    out: list[str] = []
    row, column = 1, 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        start, end, text = token.start, token.end, token.string
        if start[0] > row:
            out.append("".join([lines[row - 1][column:], *lines[row : start[0] - 1]]))
            row, column = start[0], 0
        out.append(lines[row - 1][column : start[1]] if row <= len(lines) else "")
        row, column = end
        if token.type == tokenize.NAME and text in DROPPED:
            column += 1  # and the blank behind it
            continue
        if token.type == tokenize.NAME:
            text = NAMES.get(text) or (text.removeprefix("Async") if text[5:6].isupper() else text)
        out.append(text)
    return "".join(out)


def made() -> dict[Path, str]:
    """Return the content of each file of ``_sync``, formatted."""
    found = {}
    for path in sorted((CONNECTIONS / "_async").glob("*.py")):
        if path.name == "__init__.py":
            text = '"""Made by `python tools/sync.py` from ``_async``."""\n'
        else:
            text = HEAD.format(name=path.name) + without_await(path.read_text("utf-8"))
        target = CONNECTIONS / "_sync" / path.name
        for command in (["check", "--select", "I,F401", "--fix-only", "--quiet"], ["format", "--quiet"]):
            text = subprocess.run(
                [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(target), "-"],
                input=text,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        found[target] = text
    return found


def main() -> int:
    """Write the files, or compare them."""
    files = made()
    if "--check" in sys.argv:
        stale = [path.name for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text]
        print(f"not made from their source: {', '.join(stale)}" if stale else "_sync is up to date")
        return bool(stale)
    for path, text in files.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
