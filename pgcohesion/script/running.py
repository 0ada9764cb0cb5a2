"""One run of a script: the lock, each step with its retries, the ledger, the result."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, cast

from ..connections.sqlstates import ENDS_SESSION
from ..errors import CohesionError, DeadlineExceeded, Interrupted, ServerError, Stop, Unreachable
from ..plan import Applied, Change, Planned
from ..view import Answer, count
from .base import Script
from .context import ScriptContext
from .ledger import Ledger
from .result import ScriptResult

if TYPE_CHECKING:
    from ..context import Context

BACKOFF, BACKOFF_LIMIT = 0.1, 5.0  # seconds; a wait is random below min(limit, backoff * 2 ** attempt)
QUERY_CANCELED = "57014"
LOST = ENDS_SESSION | {"40003", "57P03"}
IDENTITY = """
SELECT system_identifier::text AS system, (SELECT oid FROM pg_database WHERE datname = current_database()) AS database
  FROM pg_control_system()
"""


def run(script: Script, outer: Context) -> ScriptResult:
    """Run *script*; an error that is raised has the ScriptResult as its ``result``."""
    ctx = ScriptContext(outer, script)
    try:
        with ctx.only_copy() if type(script).run is not Script.run else nullcontext():
            value = _bounded(script, ctx)
    except (CohesionError, Stop) as raised:
        error = raised.error if isinstance(raised, Stop) else raised
        _explain(error, ctx)
        error.result = _result(ctx, "interrupted" if isinstance(error, Interrupted) else "failed")
        raise
    finally:
        ctx.close()
    if isinstance(value, Planned):
        ctx.values.clear()  # they tell of what was done
    ctx.values.update(value if isinstance(value, dict) else {})
    state = "planned" if isinstance(value, Planned) else "ok"
    return _result(ctx, state, value if isinstance(value, Answer) else None)


def _bounded(script: Script, ctx: ScriptContext) -> Any:
    try:
        return script.run(ctx)
    except ServerError as error:
        if error.sqlstate == QUERY_CANCELED:
            ctx.checkpoint()  # then it was the deadline
        raise


def _result(ctx: ScriptContext, state: Any, answer: Answer | None = None) -> ScriptResult:
    left = 0 if state == "ok" else None
    if ctx.expected is not None and state != "ok":
        left = ctx.expected - ctx.made - ctx.skipped
    return ScriptResult(
        script=ctx.script.name,
        env=ctx.env,
        state=state,
        made=ctx.made,
        skipped=ctx.skipped,
        left=left,
        elapsed=time.monotonic() - ctx.began,
        values=ctx.values,
        answer=answer,
    )


def _explain(error: CohesionError, ctx: ScriptContext) -> None:
    if isinstance(error, DeadlineExceeded) and ctx.doing:
        error.why = "\n".join(filter(None, [error.why, f"it was at: {ctx.doing}"]))
    if ctx.made:
        again = "it goes on from here" if ctx.script.resumable else "it begins again with what is left to do"
        ctx.output.note(f"{count(ctx.made, 'step')} made, `{ctx.doing}` was next; when it is run again, {again}")


# --- steps --------------------------------------------------------------------------------------------


def make(ctx: ScriptContext, steps: Callable[[ScriptContext], Iterable[Change]]) -> Planned | Applied:
    """Make the changes that *steps* yields; with ``--dry-run`` show them."""
    ledger = _ledger(ctx) if ctx.script.resumable else None
    fresh = ctx.script.given.get("fresh", False)

    @contextmanager
    def within() -> Iterator[None]:
        with ctx.only_copy():
            if ledger is not None and fresh:
                ledger.forget()
            yield

    def one(change: Change, do: Callable[[str], None]) -> None:
        _try(ctx, change, do)
        if ledger is not None:
            ledger.add(change)
        ctx.made += 1

    made = ctx.apply_each(lambda: _left(ctx, steps, None if fresh else ledger), within=within, make=one)
    if ledger is not None and isinstance(made, Applied):
        ledger.forget()
    return made


def _ledger(ctx: ScriptContext) -> Ledger:
    ctx.running()
    (server,) = ctx.db.execute(IDENTITY)
    options = {name: value for name, value in ctx.script.given.items() if name != "fresh"}
    return Ledger(ctx.state, ctx.script.name, {"options": options, **server._asdict()})


def _left(
    ctx: ScriptContext, steps: Callable[[ScriptContext], Iterable[Change]], ledger: Ledger | None
) -> Iterator[Change]:
    """Yield the steps that no earlier run has finished; a step that comes twice was finished twice."""
    ctx.skipped = 0
    finished = ledger.read() if ledger else Counter[tuple[str, str]]()
    for change in _returning(ctx, steps(ctx)):
        if finished[change.verb, change.what] > 0:
            finished[change.verb, change.what] -= 1
            ctx.skipped += 1
        else:
            yield change


def _returning(ctx: ScriptContext, items: Iterable[Change]) -> Generator[Change, None, None]:
    ctx.values.update((yield from cast("Generator[Change, None, Any]", items)) or {})


def _try(ctx: ScriptContext, change: Change, do: Callable[[str], None]) -> None:
    """Make one step; try again, after a random pause, what failed for a reason that may go away."""
    ctx.doing = change.what
    number = ctx.made + ctx.skipped + 1
    prefix = f"{number} of {ctx.expected}: " if ctx.expected else f"{number}: "
    for attempt in range(ctx.script.retries + 1):
        ctx.checkpoint()
        ctx.still_alone()
        try:
            return do(prefix)
        except CohesionError as error:
            if attempt == ctx.script.retries or not may_go_away(error, change):
                raise
            ctx.output.note(f"`{change.what}` is tried again: {(error.why or error.what).splitlines()[0]}")
            ctx.log.warning("retry", what=change.what, attempt=attempt + 1, error=error.what)
        ctx.pause(random.uniform(0, min(BACKOFF_LIMIT, BACKOFF * 2**attempt)))  # noqa: S311  (no secret)
    return None


def may_go_away(error: CohesionError, change: Change) -> bool:
    """Return whether a step may be tried again.

    Serialisation failures, deadlocks and lock timeouts left nothing behind. A lost connection leaves open what was
    done: only a change that says it is idempotent is made again.
    """
    state = error.sqlstate or "" if isinstance(error, ServerError) else ""
    if isinstance(error, Unreachable) or state in LOST or state.startswith("08"):
        return change.idempotent
    return state.startswith("40") or state == "55P03"
