"""The fault table: ``python -m benchmarks.faults [--only NAME] [--candidates A,B]``. See the package's docstring."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence

import psycopg
import psycopg_pool

import pgcohesion

from . import permanent
from .candidates import CANDIDATES, CONVICTS, candidate
from .faults import FAULTS, Fault, measure
from .lab import Lab, LabError
from .verdict import middle

PERMANENT = "permanent"
GOAL = "≤ 0.5 s, cause shown"


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print; 0, or 2 with the reason on stderr when the lab cannot come up."""
    names = [fault.name for fault in FAULTS] + [PERMANENT]
    parser = argparse.ArgumentParser("python -m benchmarks.faults", description="What callers feel of each fault.")
    parser.add_argument("--only", action="append", choices=names, help="one row; may be given again")
    parser.add_argument("--candidates", default=",".join(_usual()), help="default: %(default)s")
    parser.add_argument("--call", choices=("read", "write"), help="what callers do in every row")
    parser.add_argument("--runs", type=int, default=1, help="of each cell, whose numbers are then medians")
    options = parser.parse_args(words)
    chosen = options.candidates.split(",")
    for name in chosen:
        candidate(name)
    try:
        with Lab() as lab:
            print(versions(lab), flush=True)
            print(_row("errors / longest call / all good, s", chosen, "goal"))
            print(_row("---", ["---"] * len(chosen), "---"), flush=True)
            _table(lab, chosen, options)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def versions(lab: Lab) -> str:
    """What was measured with what, in a line."""
    (((server,),), libpq) = lab.primary.admin("SHOW server_version"), psycopg.pq.version()
    return (
        f"pgcohesion {pgcohesion.__version__}, psycopg_pool {psycopg_pool.__version__}, psycopg {psycopg.__version__}"
        f" ({psycopg.pq.__impl__}), libpq {libpq // 10000}.{libpq % 10000}, PostgreSQL {server.split()[0]},"
        f" Python {platform.python_version()}, Linux {platform.release().split('-')[0]}\n"
    )


def _usual() -> list[str]:
    return [name for name in CANDIDATES if name not in {kind.name for kind in CONVICTS}]


def _table(lab: Lab, chosen: Sequence[str], options: argparse.Namespace) -> None:
    notes: list[str] = []
    for fault in FAULTS:
        if not options.only or fault.name in options.only:
            cells = [_cell(lab, name, fault, options, notes) for name in chosen]
            print(_row(fault.title, cells, fault.goal), flush=True)
    if not options.only or PERMANENT in options.only:
        columns = [permanent.measure(lab, name) for name in chosen]
        for mistake, *cells in zip(permanent.MISTAKES, *columns, strict=True):
            print(_row(mistake.title, cells, GOAL), flush=True)
    print("\n" + "\n".join(notes))


def _cell(lab: Lab, name: str, fault: Fault, options: argparse.Namespace, notes: list[str]) -> str:
    taken = [measure(lab, name, fault, options.call) for _ in range(options.runs)]
    lasted = ", ".join(f"{at.ended - at.began:.2f}" for _, at, _ in taken)
    notes.append(f"{fault.name}, {name}: {'x' if fault.failover else 'lasted'} = {lasted} s")
    notes.extend(f"    {kind[:200]}" for kind in sorted({kind for _, _, kinds in taken for kind in kinds})[:4])
    return str(middle([verdict for verdict, _, _ in taken]))


def _row(first: str, cells: Sequence[str], last: str) -> str:
    return f"| {' | '.join([first, *cells, last])} |"


if __name__ == "__main__":
    sys.exit(main())
