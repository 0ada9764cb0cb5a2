"""``db.setup`` and ``db.reset``: provision, migrate, seed and health, composed (rooms do not know each other)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import health, migrate, provision
from .migrate.ledger import Ledger
from .plan import Applied, Change, Plan, Planned, Step
from .provision import facts as provision_facts
from .server import State
from .view import Answer, Grade, Line, View

if TYPE_CHECKING:
    from .context import Context
    from .health import Report


class Ready(Answer, frozen=True):
    """A database that is set up: what was changed, how healthy it is, how to connect."""

    applied: Applied
    report: Report
    connect: str
    env: str

    @property
    def failed(self) -> bool:
        """Whether a health check failed."""
        return self.report.failed

    def as_dict(self) -> dict[str, Any]:
        """Return changes, health and the URL."""
        return {**self.applied.as_dict(), "health": self.report.as_dict(), "connect": self.connect}

    def view(self) -> View:
        """Return findings, how to connect, and one verdict for both."""
        bad = (line for line in self.report.findings() if line.grade in (Grade.WARN, Grade.FAIL))
        blocks = (*bad, Line(f"connect: {self.connect}"))
        grade = Grade.FAIL if self.failed else Grade.OK
        return View(
            blocks, f"{self.applied.summary}; {self.report.verdict}", grade, next=f"inv db.shell --env={self.env}"
        )


def plan(ctx: Context) -> Plan:
    """Return everything that is missing between what is there and a database with schema, data and health."""
    facts = provision_facts.read(ctx)
    if facts.host.state is State.STOPPED:
        return provision.plan(ctx, facts)
    there = ctx.config.migrations.database in facts.inside if ctx.config.migrations.database else bool(facts.inside)
    ledger = migrate.ledger.read(ctx) if there else Ledger()
    return provision.plan(ctx, facts) + migrate.plan(ctx, ledger) + migrate.seed(ctx, ledger)


def setup(ctx: Context) -> Planned | Ready:
    """Bring the environment to life. A second run changes nothing."""
    first = plan(ctx)
    done = ctx.apply(first, next=f"inv db.setup --env={ctx.env}")
    if isinstance(done, Applied) and first.note:  # the server was stopped: now the rest can be planned
        more = ctx.apply(plan(ctx))
        assert isinstance(more, Applied)
        done = Applied(done.plan + more.plan, done.seconds + more.seconds)
    return done if isinstance(done, Planned) else _ready(ctx, done)


def _ready(ctx: Context, done: Applied) -> Ready:
    from . import database

    plain = Plan(done.plan.env, done.plan.changes)
    return Ready(
        Applied(plain, done.seconds),
        health.check(ctx, profile="quick", remember=False),
        database.url_text(ctx),
        ctx.env,
    )


def reset(ctx: Context) -> Planned | Ready:
    """Drop what the environment declares, with its data, and build it again."""
    from .server.embedded import Embedded

    if isinstance(ctx.server, Embedded):
        drop: tuple[Change, ...] = ()
        if ctx.server.data.exists():
            drop = (Change("drop", f"cluster {ctx.env}", Step(_remove), "with all its data"),)
        facts = provision_facts.empty()
    else:
        facts = provision_facts.read(ctx)
        drop = tuple(provision.drops(facts))
        facts = provision_facts.without_databases(facts)
    rest = provision.plan(ctx, facts) + migrate.plan(ctx, Ledger()) + migrate.seed(ctx, Ledger())
    done = ctx.apply(Plan(ctx.env, drop) + rest)
    return done if isinstance(done, Planned) else _ready(ctx, done)


def _remove(ctx: Context) -> None:
    ctx.db.close()
    ctx.server.remove()  # type: ignore[attr-defined]
