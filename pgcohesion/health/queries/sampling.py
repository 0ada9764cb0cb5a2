"""What is seen running, where nothing is counted."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from ...view import Answer, Grade, Line, Table, View, count, span
from .texts import normal, short

if TYPE_CHECKING:
    from ...connections import Database
    from ...context import Context

SEEN = """SELECT query AS text, coalesce(wait_event_type || ' ' || wait_event, '') AS waits FROM pg_stat_activity
 WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_backend_pid()"""
FACTS = """SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS all,
       EXISTS (SELECT FROM pg_settings WHERE name = 'pg_stat_statements.max') AS loaded"""
HIDDEN = "<insufficient privilege>"
PAUSE = 0.1
MOST = 20


class Sampled(Answer, frozen=True):
    """What was seen running: how many looks of all saw each statement. *steps* lead to what is counted."""

    looks: int
    seconds: float
    seen: tuple[tuple[int, str, str], ...]
    steps: tuple[str, ...]
    hidden: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return a value a statement."""
        statements = [{"looks": n, "waits": waits, "statement": text} for n, waits, text in self.seen]
        return {
            "sampled": True,
            "looks": self.looks,
            "seconds": round(self.seconds, 1),
            "statements": statements,
            "steps": list(self.steps),
            "hidden": self.hidden,
        }

    def view(self) -> View:
        """Return a table, and how to have more."""
        rows = tuple((f"{n / self.looks:.1f}", waits, short(text)) for n, waits, text in self.seen)
        table = [Table(("at once", "waits for", "statement"), rows)] if rows else []
        lines = [Line(line) for line in self.steps]
        if self.hidden:
            lines.insert(0, Line(self.hidden, grade=Grade.SKIPPED))
        verdict = f"{count(len(rows), 'statement')} seen in {count(self.looks, 'look')} over {span(self.seconds)}"
        return View((*table, *lines), verdict)


def sample(ctx: Context, seconds: float) -> Sampled:
    """Look at the sessions for some *seconds*, ten times in each."""
    db = ctx.watched
    (facts,) = db.execute(FACTS)
    started, looks = time.monotonic(), 0
    seen: Counter[tuple[str, str]] = Counter()
    with ctx.output.step(f"looking at the sessions for {seconds:g} s"):
        while looks == 0 or time.monotonic() - started < seconds:
            seen.update((row.waits, normal(row.text)) for row in db.execute(SEEN) if row.text not in ("", HIDDEN))
            looks += 1
            time.sleep(min(PAUSE, seconds))
    ranked = tuple((n, waits, text) for (waits, text), n in seen.most_common(MOST))
    hidden = "" if facts.all else hidden_words(db)
    return Sampled(looks, time.monotonic() - started, ranked, tuple(_steps(ctx, loaded=facts.loaded)), hidden)


def hidden_words(db: Database) -> str:
    """Return what a role that may not see the statements of others is told."""
    (row,) = db.execute("SELECT quote_ident(current_user) AS name")
    return f"statements of other roles are hidden: GRANT pg_read_all_stats TO {row.name};"


def _steps(ctx: Context, *, loaded: bool) -> list[str]:
    """Return what is to be done for statements to be counted, as lines to copy."""
    main = ctx.config.main_database
    if ctx.config.health.url is not None:
        lines = ["pg_stat_statements is not at work. To have it:"]
        lines += (
            [] if loaded else ['  add "pg_stat_statements" to shared_preload_libraries where it is set, and restart']
        )
        return [*lines, f"  CREATE EXTENSION pg_stat_statements;   in database {main}"]
    declared = ctx.config.databases.get(main)
    extensions = [*(declared.extensions if declared else ()), "pg_stat_statements"]
    named = ", ".join(f'"{name}"' for name in dict.fromkeys(extensions))
    libraries = str(ctx.config.settings.get("shared_preload_libraries", ""))
    named_libraries = ", ".join(dict.fromkeys([*filter(None, libraries.split(", ")), "pg_stat_statements"]))
    lines = [f"pg_stat_statements is not at work. To have it, in environments/{ctx.env}.toml:"]
    lines += ["  [settings]", f'  shared_preload_libraries = "{named_libraries}"']
    lines += [f"  [databases.{main}]", f"  extensions = [{named}]"]
    restart = "" if loaded else "   (it restarts the server)"
    return [*lines, f"then: inv provision.apply --env={ctx.env}{restart}"]
