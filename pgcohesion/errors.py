"""Every error that pgcohesion raises, and the exit code of each (no other module knows exit codes).

::

    CohesionError                1  the work failed
     |- UsageError               2  a wrong argument; nothing was tried
     |- ConfigError              2  the environment's files are wrong; nothing was tried
     |- Unreachable              3  a host or server does not answer, or does not let us in
     |- DeadlineExceeded         4  `--timeout` ran out
     |- Refused                  5  a guard said no
     |   |- Locked               5  somebody else is at work
     |   `- PoolClosed           5  the program is shutting down
     |- Interrupted            130  Ctrl-C or SIGTERM
     |- CommandFailed            1  a program ended with an error
     |- NotStarted               1  PostgreSQL does not start
     |- ServerError              1  PostgreSQL refused a statement (has its SQLSTATE)
     |   `- MigrationFailed      1  the same, in a file: has its line
     |- OutcomeUnknown           1  the connection was lost while a transaction was committed
     |- Exhausted                4  no connection came free in time
     |- CircuitOpen              3  a host has been down for a while: refused without asking it
     `- ServerDown               3  the environment's PostgreSQL is not running
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

CHANGES_PENDING = 6
FAILED = 1
UNREACHABLE = 3
NAGIOS = {"OK": 0, "WARNING": 1, "CRITICAL": 2, "UNKNOWN": 3}
"""Of the Monitoring Plugins, for ``health.check --format nagios`` alone."""
BUG = 1


class CohesionError(Exception):
    """What went wrong, why, and the line that mends it.

    *what* is one line in lower case with names in backticks; *why* and *fix* may have several lines.
    *result*: of a script, the ScriptResult that says how far it came.
    """

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1
    result: Any = None

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.fix = what, why, fix

    def as_dict(self) -> dict[str, object]:
        """Return the error as it stands in ``--json``."""
        return {"code": self.code, "what": self.what, "why": self.why, "fix": self.fix}


class UsageError(CohesionError):
    """A wrong task, option or value."""

    code = "usage"
    exit_code = 2


class ConfigError(CohesionError):
    """The environment cannot be read; *problems* has each place and reason."""

    code = "config"
    exit_code = 2

    def __init__(self, what: str, *, why: str = "", fix: str = "", problems: Iterable[object] = ()) -> None:
        super().__init__(what, why=why, fix=fix)
        self.problems = tuple(problems)


class Unreachable(CohesionError):
    """A host or a server does not answer, is not who it should be, or does not let us in.

    *kind* tells servers' troubles apart: refused, connect_timeout, query_timeout, authentication, not_accepting,
    slots_exhausted, lost.
    """

    code = "unreachable"
    exit_code = 3

    def __init__(self, what: str, *, why: str = "", fix: str = "", kind: str = "") -> None:
        super().__init__(what, why=why, fix=fix)
        self.kind = kind

    def as_dict(self) -> dict[str, object]:
        """Return the error as it stands in ``--json``, with its kind when it is known."""
        return {**super().as_dict(), **({"kind": self.kind} if self.kind else {})}


class ServerDown(Unreachable):
    """PostgreSQL of this environment is not running."""

    code = "server_down"


class CircuitOpen(Unreachable):
    """All hosts have been down for longer than a call should wait: refused at once."""

    code = "circuit_open"


class NotStarted(CohesionError):
    """PostgreSQL does not start, or not with this configuration; *why* quotes its log."""

    code = "not_started"


class DeadlineExceeded(CohesionError):
    """`--timeout` ran out, or a call's deadline; *unknown*: a statement may have taken effect all the same."""

    code = "timeout"
    exit_code = 4

    def __init__(self, what: str, *, why: str = "", fix: str = "", unknown: bool = False) -> None:
        super().__init__(what, why=why, fix=fix)
        self.unknown = unknown


class Exhausted(CohesionError):
    """No connection came free in time; *why* names who holds them."""

    code = "exhausted"
    exit_code = 4


class Refused(CohesionError):
    """A guard refused."""

    code = "refused"
    exit_code = 5


class Locked(Refused):
    """Another run holds the lock of this environment."""

    code = "locked"


class PoolClosed(Refused):
    """The program is shutting down: no connection is given out any more."""

    code = "closed"


class Interrupted(CohesionError):
    """Ctrl-C or SIGTERM."""

    code = "interrupted"
    exit_code = 130


class CommandFailed(CohesionError):
    """A program ended with an error; *status* is its exit status."""

    code = "command_failed"

    def __init__(self, what: str, *, why: str = "", fix: str = "", status: int = 1) -> None:
        super().__init__(what, why=why, fix=fix)
        self.status = status


class ServerError(CohesionError):
    """PostgreSQL refused a statement; *sqlstate* as in appendix A of its manual."""

    code = "server_error"

    def __init__(self, what: str, *, why: str = "", fix: str = "", sqlstate: str | None = None) -> None:
        super().__init__(what, why=why, fix=fix)
        self.sqlstate = sqlstate

    def as_dict(self) -> dict[str, object]:
        """Return the error as it stands in ``--json``, with its SQLSTATE."""
        return {**super().as_dict(), "sqlstate": self.sqlstate}


class OutcomeUnknown(CohesionError):
    """The connection was lost while a transaction was committed: it may have been, or not.

    It is not tried again, for it could be done twice; look, or make the work idempotent and say so.
    """

    code = "outcome_unknown"


class MigrationFailed(ServerError):
    """A statement of a migration or seed file failed; *why* names file and line."""

    code = "migration_failed"


class Stop(KeyboardInterrupt):
    """Raised in the main thread by a signal or the deadline.

    It derives from KeyboardInterrupt so that psycopg cancels the statement that runs.
    """

    def __init__(self, error: CohesionError) -> None:
        super().__init__(str(error))
        self.error = error


LISTED = 40  # names that a fix lists in full


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return "did you mean `x`? (known: a, b)": each fix that names alternatives says it so; of many the nearest."""
    from difflib import get_close_matches

    names = sorted(known)
    close = get_close_matches(word, names, n=1, cutoff=0.6)
    listed = f"known: {', '.join(names)}" if names else "there are none"
    if len(names) > LISTED:
        near = get_close_matches(word, names, n=5, cutoff=0.3)
        listed = f"the nearest of {len(names)}: {', '.join(near)}" if near else f"there are {len(names)} others"
    return f"did you mean `{close[0]}`? ({listed})" if close else listed
