"""Files of tasks/ and scripts/ that cannot be loaded, and what is said when somebody types what they would hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .errors import UsageError, suggestion

_broken: dict[str, tuple[str, Exception]] = {}


def remember(name: str, file: str, error: Exception) -> None:
    """Remember that *file*, which would be the namespace ``db`` or the task ``script.kill_idle``, raised *error*."""
    _broken[name.replace("_", "-")] = file, error


def warnings(words: Sequence[str]) -> Iterator[str]:
    """Yield a line for each broken file but those that *words* name: they get an error of their own."""
    named = {*words, *(word.partition(".")[0] for word in words)}
    for name in (name for name in _broken if name not in named):
        yield f"{_why(name)}; {'it is' if name.startswith('script.') else 'its tasks are'} missing"


def no_task(name: str, known: Sequence[str]) -> UsageError:
    """Return the error of a task that does not exist."""
    space = name.partition(".")[0]
    for broken in (name, space):
        if broken in _broken:
            return UsageError(f"no task `{name}`", why=_why(broken), fix=f"mend {_broken[broken][0]}")
    close = suggestion(name, known)
    if not close.startswith("did you mean"):
        same = [task for task in known if task.startswith(f"{space}.")]
        close = f"`{space}` has {', '.join(same)}" if same else "inv --list shows all tasks"
    else:
        close = close.partition(" (")[0] + " (inv --list shows all)"
    return UsageError(f"no task `{name}`", fix=close)


def _why(name: str) -> str:
    import traceback

    file, error = _broken[name]
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    line = getattr(error, "lineno", None) or next(
        (f.lineno for f in reversed(frames) if f.filename.endswith(f"/{file}")), None
    )
    return f"{file}{f':{line}' if line else ''} cannot be loaded: {type(error).__name__}: {error}"
