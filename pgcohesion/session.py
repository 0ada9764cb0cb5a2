"""One run of one task: options, signals, deadline, lock, audit, answer, exit code."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from .config import load
from .context import Context, Options
from .errors import (
    BUG,
    CHANGES_PENDING,
    FAILED,
    CohesionError,
    DeadlineExceeded,
    Interrupted,
    Stop,
)
from .interrupts import deliver, heard
from .locks import whoami
from .output import Output
from .output.logs import configure
from .redact import redact
from .view import Answer

GRACE_AFTER_DEADLINE = 3.0
MISLEADING = ("PGSERVICE", "PGSERVICEFILE", "PGHOSTADDR", "PGOPTIONS", "PGREQUIREAUTH")
"""Variables of libpq that would lead our sessions, and those of programs that we start, elsewhere."""


def perform(
    function: Callable[..., Any],
    task: str,
    root: Path,
    options: Options,
    arguments: Mapping[str, Any],
    *,
    changes: bool = False,
    check: bool = False,
) -> int:
    """Run a task's function and print its answer or its error. Returns the exit code."""
    output = Output(json=options.json, quiet=options.quiet, verbose=options.verbose)
    run_id = uuid.uuid4().hex[:12]
    for name in MISLEADING:
        os.environ.pop(name, None)
    log = configure(verbose=options.verbose, env=options.env, task=task, run_id=run_id)
    try:
        with _signals(task, options):
            loaded = load(root, options.env, sets=options.set)
            ctx = Context(loaded, options=options, output=output, log=log, task=task)
            try:
                exclusive = changes and not options.dry_run
                with ctx.alone() if exclusive else nullcontext(), _audit(ctx, run_id) if exclusive else nullcontext():
                    answer = function(ctx, **arguments)
                return _report(answer, ctx, check)
            finally:
                ctx.close()
    except Stop as stop:
        return _fail(output, options, task, stop.error)
    except CohesionError as error:
        log.debug("failed", exc_info=options.verbose)
        return _fail(output, options, task, error)
    except KeyboardInterrupt:
        return _fail(output, options, task, Interrupted("interrupted"))
    except Exception as error:  # noqa: BLE001  (the last resort: a bug becomes a line and a debug log)
        return _fail(output, options, task, _bug(error, root, output, options))


def _report(answer: Any, ctx: Context, check: bool) -> int:
    if not isinstance(answer, Answer):
        return int(answer or 0)
    ctx.output.answer(ctx.env, ctx.task, answer)
    if answer.code is not None:
        return answer.code
    if answer.failed:
        return FAILED
    return CHANGES_PENDING if check and answer.pending else 0


def _fail(output: Output, options: Options, task: str, error: CohesionError) -> int:
    output.failure(options.env, task, error)
    return error.exit_code


def _bug(error: Exception, root: Path, output: Output, options: Options) -> CohesionError:
    import traceback

    text = redact("".join(traceback.format_exception(error)))
    if options.verbose:
        output.traceback(text)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = root / ".pgcohesion" / "logs" / f"debug-{stamp}-{os.getpid()}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{' '.join(map(redact, sys.argv))}\n{text}")
        fix = f"the details are in {path.relative_to(root)}"
    except OSError:
        fix = "add --verbose to see where"
    failure = CohesionError(f"unexpected error: {type(error).__name__}: {error}", fix=fix)
    assert failure.exit_code == BUG
    return failure


# --- signals ------------------------------------------------------------------------------------------


@contextmanager
def _signals(task: str, options: Options) -> Iterator[None]:
    """Turn SIGINT, SIGTERM and the deadline into a Stop in the main thread; the second signal leaves at once."""
    stopping = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            _leave(Interrupted.exit_code)
        stopping = True
        name = signal.Signals(number).name
        deliver(
            Stop(
                Interrupted(
                    f"`{task}` was interrupted ({name})", fix="run the same command again: it goes on from there"
                )
            )
        )

    def deadline(number: int, frame: FrameType | None) -> None:
        signal.signal(
            signal.SIGALRM, lambda *_: _leave(DeadlineExceeded.exit_code, f"error: `{task}` hung after its timeout\n")
        )
        signal.setitimer(signal.ITIMER_REAL, GRACE_AFTER_DEADLINE)
        deliver(
            Stop(
                DeadlineExceeded(
                    f"`{task}` did not end within {options.timeout:g} s",
                    why="`--timeout` ran out; what had been done stays, the rest was not",
                    fix="run the same command again, with more time",
                )
            )
        )

    old = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    old[signal.SIGALRM] = signal.signal(signal.SIGALRM, deadline)
    if options.timeout is not None:
        signal.setitimer(signal.ITIMER_REAL, max(options.timeout, 0.001))
    try:
        with heard(old):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in old.items():
            signal.signal(number, handler)


def _leave(code: int, message: str = "") -> None:
    from .runner.local import kill_all

    with suppress(OSError):
        os.write(2, message.encode())
    kill_all()
    os._exit(code)


# --- audit --------------------------------------------------------------------------------------------


@contextmanager
def _audit(ctx: Context, run_id: str) -> Iterator[None]:
    """Leave a line at the start and the end of a changing task in ``.pgcohesion/audit.jsonl``."""
    started = time.monotonic()
    line = {
        "run_id": run_id,
        "env": ctx.env,
        "task": ctx.task,
        "host": ctx.host,
        "who": whoami(ctx.task),
        "command": redact(" ".join(sys.argv[1:])),
    }
    _append(ctx, {**line, "event": "start"})
    result = "ok"
    try:
        yield
    except (CohesionError, Stop) as error:
        failure = error.error if isinstance(error, Stop) else error
        result = failure.code
        raise
    except BaseException as error:
        result = type(error).__name__
        raise
    finally:
        seconds = round(time.monotonic() - started, 3)
        _append(ctx, {**line, "event": "end", "result": result, "elapsed": seconds})
        ctx.log.info("task ended", result=result, duration_ms=round(seconds * 1000))


def _append(ctx: Context, line: Mapping[str, object]) -> None:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    text = redact(json.dumps({"ts": now, **line}, ensure_ascii=False)) + "\n"
    handle = os.open(ctx.root / ".pgcohesion" / "audit.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)
