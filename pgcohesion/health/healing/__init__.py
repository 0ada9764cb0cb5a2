"""Mend what is safe to mend: a plan first, one healer a server, a budget, a look whether it helped, an audit, a switch.

https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-SIGNAL
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
from msgspec import Struct
from psycopg.sql import SQL

from ...connections import translate
from ...errors import CohesionError, ConfigError, Locked, Refused, UsageError, suggestion
from ...locks import whoami
from ...plan import Applied, Change, Plan, Planned, Step
from ...view import Answer, Grade, Line, View, count
from ..asking import PATH
from ..changes import judging
from ..history import of as history_of
from ..hours import within
from ..registry import Finding
from .record import DONE, MOVED_ON, STARTED, Audit, Healed, Record
from .remedies import BY_CHECK, NEVER, REMEDIES, Act, Remedy

if TYPE_CHECKING:
    from ...connections import Database
    from ...context import Context

SWITCH = "PGCOHESION_HEAL"
LOCK = 7_304_112_965  # of all healers on a server
PATIENCE = 10.0  # seconds in which a finding must be gone
BAD = (Grade.WARN, Grade.FAIL)
HEALED = (*BY_CHECK, *NEVER)
"""Checks about whose findings a healer has something to say."""


class Proposal(Struct, frozen=True):
    """What may be done about a finding: an *act*, or *why_not*. *kind* is automatic, opt-in or never."""

    finding: Finding
    kind: str
    remedy: str = ""
    act: Act | None = None
    why_not: str = ""
    native: str = ""

    def line(self) -> Line:
        """Return it as a person reads it."""
        words = (self.finding.check, self.finding.host, self.finding.object or self.finding.text)
        where = ": ".join(filter(None, words))
        details = [f"next time: {self.native}"] if self.native else []
        if self.act:
            return Line(f"{where}: {self.act.what}", mark=">", details=(*self.command, *details))
        details = [
            f"fix: {line}" if n == 0 else f"     {line}" for n, line in enumerate(self.finding.fix.splitlines())
        ] + details
        return Line(f"{where}: not done: {self.why_not}", mark="-", details=tuple(details))

    @property
    def command(self) -> tuple[str, ...]:
        """The statement as it is sent, in lines."""
        return tuple(self.act.statement.as_string(None).splitlines()) if self.act else ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "check": self.finding.check,
            "object": self.finding.object,
            "fingerprint": self.finding.fingerprint,
            "class": self.kind,
            "remedy": self.remedy,
            "why_not": self.why_not,
            "what": self.act.what if self.act else "",
            "sql": "\n".join(self.command),
            "undo": self.act.undo if self.act else "",
            "fix": self.finding.fix,
            "native": self.native,
        }


class Healing(Answer, frozen=True):
    """What would be done about each finding, or was."""

    proposals: tuple[Proposal, ...]
    answer: Planned | Applied

    def as_dict(self) -> dict[str, Any]:
        """Return the plan and what was decided of each finding."""
        return {**self.answer.as_dict(), "proposals": [one.as_dict() for one in self.proposals]}

    def view(self) -> View:
        """Return a line a finding, and the verdict."""
        lines = tuple(one.line() for one in sorted(self.proposals, key=lambda one: one.act is not None))
        doing = sum(one.act is not None for one in self.proposals)
        if isinstance(self.answer, Applied):
            refused = tuple(one.line() for one in self.proposals if not one.act)
            return View(refused, f"{doing} mended, {len(self.proposals) - doing} left; {self.answer.summary}")
        verdict = f"{doing} to mend, {len(self.proposals) - doing} to leave" if self.proposals else "nothing to heal"
        return View(lines, verdict, next="inv health.heal --apply" if doing else "")


def heal(ctx: Context, *, apply: bool = False, check: str = "", object: str = "") -> Healing:  # noqa: A002
    """Plan what mends the findings that may be mended by itself, and with *apply* do it.

    *check* and *object* choose among the findings. Raises Unreachable when the server cannot be asked, Refused when
    healing is switched off, the budget is used up or the breaker is open, Locked when another healer is at work on the
    server, CohesionError when a finding stays.
    """
    from .. import check as run

    if check and check not in HEALED:
        raise UsageError(f"nothing heals `{check}`", fix=suggestion(check, HEALED))
    if apply:
        ctx.ours()
    _consistent(ctx)
    off = ctx.config.health.disabled
    only = check or ",".join(name for name in HEALED if name not in off)
    report = run(ctx, only, remember=False)
    report.demand(f"`{ctx.env}` cannot be healed")
    bad = [one for one in report.results if one.grade in BAD and object in ("", one.object)]
    server = ctx.watched if ctx.only_looked_at else ctx.db
    with closing(server.another(PATH)) as db:
        proposals = tuple(_proposals(ctx, db, bad))
    healer = Healer(ctx)
    changes = tuple(healer.change(one) for one in proposals if one.act)
    plan = Plan(ctx.env, changes)
    if not apply:
        return Healing(proposals, Planned(plan, verbose=ctx.options.verbose))
    _on(ctx)
    with healer.alone():
        return Healing(proposals, ctx.apply(plan))


def audit(ctx: Context) -> Audit:
    """Return what was healed. Raises sqlite3.Error or OSError where that is not kept."""
    with closing(history_of(ctx)) as history:
        return Audit(tuple(Record(history).all()))


def reset(ctx: Context) -> Audit:
    """Close the breaker, and return what was healed."""
    with closing(history_of(ctx)) as history:
        Record(history).reset(time.time(), whoami(ctx.task))
    return audit(ctx)


def _consistent(ctx: Context) -> None:
    rules = ctx.config.health.heal
    known = [remedy.name for remedy in REMEDIES]
    for name in rules.allow:
        if name not in known:
            raise ConfigError(f"no remedy `{name}`", why="[health.heal] allow", fix=suggestion(name, known))
    if rules.window:
        try:
            within(rules.window, datetime.now(UTC))
        except ValueError as error:
            raise ConfigError("[health.heal] window", why=str(error), fix='window = "Sun 02:00-05:00"') from error


def _on(ctx: Context) -> None:
    """Raise Refused where somebody has switched healing off."""
    file = ctx.state / "heal.off"
    for off, why in (
        (not ctx.config.health.heal.enabled, "[health.heal] enabled is false"),
        (os.environ.get(SWITCH, "").lower() in ("off", "0", "false", "no"), f"{SWITCH} is off"),
        (file.exists(), f"{file.relative_to(ctx.root)} is there"),
    ):
        if off:
            raise Refused("healing is switched off", why=why, fix="look why; then take the switch away")


# --- deciding ---------------------------------------------------------------------------------------------------------


def _proposals(ctx: Context, db: Database, findings: Iterable[Finding]) -> Iterator[Proposal]:
    rules, taken = ctx.config.health.heal, 0
    for finding in findings:
        remedy = BY_CHECK.get(finding.check)
        if remedy is None:
            yield Proposal(finding, "never", why_not=NEVER[finding.check])
            continue
        if finding.host:
            why_not = f"it is on {finding.host}, and only the primary is mended by itself"
            yield Proposal(finding, remedy.kind, remedy.name, why_not=why_not)
            continue
        found = _decided(ctx, db, finding, remedy)
        if isinstance(found, Act) and taken >= rules.per_run:
            found = f"{count(taken, 'action')} a run are all that `per_run` allows: run it again"
        if isinstance(found, Act):
            taken += 1
            yield Proposal(finding, remedy.kind, remedy.name, found, native=remedy.native)
        else:
            yield Proposal(finding, remedy.kind, remedy.name, why_not=found, native=remedy.native)


def _decided(ctx: Context, db: Database, finding: Finding, remedy: Remedy) -> Act | str:
    rules = ctx.config.health.heal
    if remedy.kind == "opt-in" and remedy.name not in rules.allow:
        return f'it needs `[health.heal] allow = ["{remedy.name}"]`'
    if remedy.window and not rules.window:
        return "heavy work needs `[health.heal] window`"
    if remedy.window and not within(rules.window, datetime.now(UTC)):
        return f"outside of the window, {rules.window}"
    database = "postgres" if remedy.cluster else finding.database or None
    rows = db.execute(remedy.facts, {"object": finding.object}, database=database)
    return remedy.decide(finding, rows[0], rules) if rows else "it has gone"


# --- doing ------------------------------------------------------------------------------------------------------------


class Healer:
    """Does what was decided, one thing after the other, and looks whether it helped."""

    def __init__(self, ctx: Context) -> None:
        self.ctx, self._db = ctx, ctx.db.another(PATH)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of all healers of this server, wherever they run. Raises Locked."""
        with closing(self._db), closing(self.ctx.db.another()) as holder:
            (row,) = holder.execute("SELECT pg_try_advisory_lock(%s) AS got", [LOCK], database="postgres")
            if not row.got:
                raise Locked(
                    "another healer is at work on this server",
                    why="it holds the advisory lock of health.heal",
                    fix="wait until it has ended, then look again: inv health.heal",
                )
            yield

    def change(self, proposal: Proposal) -> Change:
        """Return a proposal as a change of a plan."""
        assert proposal.act
        detail = "\n".join((f"for {proposal.finding.check}", *proposal.command))
        return Change("run", proposal.act.what, Step(lambda _: self._mend(proposal)), detail)

    def _mend(self, proposal: Proposal) -> None:
        act, finding = proposal.act, proposal.finding
        assert act
        _on(self.ctx)
        with closing(history_of(self.ctx)) as history:
            record, now = Record(history), time.time()
            closed = record.closed_because(now, self.ctx.config.health.heal.per_hour)
            if closed:
                raise Refused(f"`{act.what}` was not done", why=closed)
            healed = Healed(
                now,
                whoami(self.ctx.task),
                finding.check,
                finding.object,
                finding.database,
                finding.text,
                "\n".join(proposal.command),
                act.undo,
                STARTED,
            )
            number = record.start(healed)
            try:
                result = self._act(proposal) or self._verified(finding)
            except CohesionError as error:
                record.end(number, f"failed: {error.why or error.what}")
                raise
            record.end(number, result)
            if result not in (DONE, MOVED_ON):
                raise CohesionError(f"`{act.what}` did not help", why=result, fix=finding.fix)
        if result == MOVED_ON:
            self.ctx.output.note(f"{act.what}: nothing was done, it has moved on")

    def _act(self, proposal: Proposal) -> str:
        act, remedy = proposal.act, BY_CHECK[proposal.finding.check]
        assert act
        database = "postgres" if remedy.cluster else proposal.finding.database or None
        connection = self._db.connection(database)
        try:
            connection.execute(SQL(act.within))
            cursor = connection.execute(act.statement)
            rows = cursor.fetchall() if cursor.rownumber is not None else []
        except psycopg.Error as error:
            raise translate(error, f"`{act.what}` failed") from error
        return MOVED_ON if act.guarded and not any(row.done for row in rows) else ""

    def _verified(self, finding: Finding) -> str:
        """Look again until the finding is gone, and return ``done``; or what is still found, or not to be known."""
        from .. import check as run

        deadline = time.monotonic() + PATIENCE
        while True:
            found = run(self.ctx, finding.check, remember=False).results
            same = [one.text for one in found if one.fingerprint == finding.fingerprint and one.grade in BAD]
            if not same and judging(found)(finding.check, finding.host, finding.database):
                return DONE
            if time.monotonic() > deadline:
                unknown = "; ".join(dict.fromkeys(one.text for one in found if one.grade is not Grade.OK))
                return f"it is still found: {same[0]}" if same else f"nobody can tell whether it helped: {unknown}"
            time.sleep(0.2)


__all__ = ["Healing", "Proposal", "audit", "heal", "reset"]
