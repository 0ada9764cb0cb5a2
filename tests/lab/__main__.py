"""The lab by hand, as root: `python -m tests.lab up [N | NAME ...] | down | status`.

The first `up` builds the shared tree in about a minute, later ones take seconds. What is kept for them lies
in PGCOHESION_LAB_DIR (default /var/tmp/pgcohesion-lab) and may be deleted when the lab is down.
"""

# ruff: noqa: T201 (a program: it prints)

from __future__ import annotations

import argparse
import sys
import time

from tests.lab.hosts import Lab, LabError, missing


def main(words: list[str] | None = None) -> int:
    """Run one verb; 0, or 1 with the reason on stderr."""
    parser = argparse.ArgumentParser("python -m tests.lab", description="A small lab of real Debian hosts.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="boot hosts and print the path of their ssh config")
    up.add_argument("names", nargs="*", default=["1"], help="how many (db1, db2, ...), or names")
    up.add_argument("--layer", choices=("base", "pg"), default="base", help="pg: packages fetched ahead")
    verbs.add_parser("down", help="throw every host away; the caches stay")
    verbs.add_parser("status", help="print the hosts that are up")
    options = parser.parse_args(words)
    if lacks := missing():
        return _fail(f"this machine lacks: {', '.join(lacks)}")
    try:
        return _run(options)
    except LabError as error:
        return _fail(str(error))


def _run(options: argparse.Namespace) -> int:
    if options.verb == "status":
        return _status(Lab(keep=True))
    with Lab(keep=True, wait=0) as lab:
        if options.verb == "down":
            lab.down()
            return 0
        start = time.monotonic()
        hosts = lab.up(_names(options.names), options.layer)
        took = f"{len(hosts)} up in {time.monotonic() - start:.1f} s"
        print(f"{took}: ssh -F {lab.ssh_config} {hosts[0].name}", file=sys.stderr)
        print(lab.ssh_config)
    return 0


def _names(words: list[str]) -> list[str]:
    return [f"db{n}" for n in range(1, int(words[0]) + 1)] if words[0].isdigit() else words


def _status(lab: Lab) -> int:
    for host in lab.hosts():
        print(host.name, host.address, "up" if host.running else "stopped")
    return 0


def _fail(why: str) -> int:
    print(f"lab: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
