"""What a host has: one script, one trip, one JSON answer."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from msgspec import Struct

from ..errors import CohesionError
from ..server import State

if TYPE_CHECKING:
    from ..context import Context

FILES = ("postgresql.conf", "pg_hba.conf")
KEPT = ".pgcohesion-old"

# $1 version, $2 cluster. Values are base64, so that nothing needs quoting.
SCRIPT = r"""
export LC_ALL=C
etc=/etc/postgresql/$1/$2
b() { base64 | tr -d '\n'; }
say() { printf ', "%s": "%s"' "$1" "$(b)"; }
printf '{"schema": ""'
(. /etc/os-release 2>/dev/null; printf '%s' "$ID $VERSION_ID") | say os
dpkg-query -W -f '${db:Status-Status} ${Version}' "postgresql-$1" 2>/dev/null | say installed
apt-cache policy "postgresql-$1" 2>/dev/null | sed -n 's/^ *Candidate: //p' | say candidate
ls -A /var/lib/apt/lists 2>/dev/null | grep -c Packages | say lists
if [ ! -e "$etc/postgresql.conf" ]; then echo absent
elif systemctl is-active -q "postgresql@$1-$2"; then echo running
else echo stopped; fi | say state
for f in postgresql.conf pg_hba.conf; do [ ! -e "$etc/$f" ] || say "$f" <"$etc/$f"; done
ls -A "$etc" 2>/dev/null | grep -c 'pgcohesion-old$' | say unfinished
cat /etc/postgresql-common/createcluster.d/pgcohesion.conf 2>/dev/null | say createcluster
printf '}'
"""


class HostFacts(Struct, frozen=True):
    """The facts of a host.

    *files* holds the configuration files that exist; *unfinished*: a change of them was cut short.
    """

    state: State
    files: dict[str, str] = {}
    unfinished: bool = False
    os: str = ""
    installed: str = ""
    candidate: str = ""
    lists: bool = True
    createcluster: str = ""


def read(ctx: Context) -> HostFacts:
    """Ask the host. Raises Unreachable, or CohesionError for a host that is no Debian."""
    if ctx.config.postgresql.source == "embedded":
        return _embedded(ctx)
    postgresql = ctx.config.postgresql
    done = ctx.runner.run(("sh", "-c", SCRIPT, "facts", str(postgresql.version), postgresql.cluster), user="root")
    raw = {name: base64.b64decode(value).decode("utf-8", "replace") for name, value in json.loads(done.stdout).items()}
    if not raw["os"].startswith(("debian", "ubuntu")):
        raise CohesionError(
            f"`{ctx.host}` is not supported",
            why=f"it says it is `{raw['os'].strip() or 'unknown'}`",
            fix="Debian 12 and its relatives are",
        )
    return HostFacts(
        state=State(raw["state"].strip()),
        files={name: raw[name] for name in FILES if name in raw},
        unfinished=raw["unfinished"].strip() != "0",
        os=raw["os"],
        installed=raw["installed"].removeprefix("installed ") if raw["installed"].startswith("installed") else "",
        candidate="" if raw["candidate"].strip() == "(none)" else raw["candidate"].strip(),
        lists=raw["lists"].strip() != "0",
        createcluster=raw["createcluster"],
    )


def _embedded(ctx: Context) -> HostFacts:
    server = ctx.server
    state = server.state()
    if state is State.ABSENT:
        return HostFacts(state)
    content = {name: ctx.runner.read(f"{server.folder()}/{name}", user=server.user) for name in FILES}
    kept = [ctx.runner.read(f"{server.folder()}/{name}{KEPT}", user=server.user) for name in FILES]
    return HostFacts(
        state,
        {name: text.decode("utf-8", "replace") for name, text in content.items() if text is not None},
        unfinished=any(text is not None for text in kept),
    )
