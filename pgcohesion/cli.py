"""Invoke's side of the house: ``@task``, the namespaces of ``tasks/``, scripts, and answers to mistyped commands.

The only module that imports invoke. Stock ``invoke`` loads tasks.py, which calls :func:`namespaces`; that
turns the running Program into ours, so ``invoke``, ``inv`` and ``./inv`` behave the same.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.parser import Parser
from invoke.parser.context import ParserContext
from invoke.program import Program
from invoke.tasks import Task

from . import broken
from .errors import CohesionError, UsageError, suggestion
from .folding import columns, fold

if TYPE_CHECKING:
    from .context import Context, Options
    from .script import Script
    from .script.result import ScriptResult

F = TypeVar("F", bound=Callable[..., Any])
Prepare = Callable[[Mapping[str, Any], "Options"], "tuple[Callable[[Context], Any], Options]"]

SHARED: dict[str, tuple[Any, str]] = {
    "env": ("", "the environment (default: PGCOHESION_ENV, or development)"),
    "json": (False, "print one JSON document instead of text"),
    "dry_run": (False, "show what would be done; change nothing"),
    "yes": ("", "the environment's NAME: go on without asking"),
    "verbose": (False, "show what is done, and tracebacks"),
    "quiet": (False, "print the answer and errors only"),
    "timeout": ("", "give up after so many seconds"),
    "set": ([], "a.b=value: override the environment's file (may be given again)"),
}
CHANGING = ("dry_run", "yes")
LISTING = {"--list", "-l", "--help", "-h", "--complete"}
_ahead: dict[str, Any] = {}  # shared options that stood before the first task
_roots: list[Path] = []  # the one that tasks.py lies in


# --- tasks --------------------------------------------------------------------------------------------


@overload
def task(function: F) -> F: ...
@overload
def task(
    *,
    name: str = ...,
    changes: bool = ...,
    default: bool = ...,
    example: str = ...,
    help: Mapping[str, str] = ...,
) -> Callable[[F], F]: ...
def task(
    function: Callable[..., Any] | None = None,
    *,
    name: str = "",
    changes: bool = False,
    default: bool = False,
    example: str = "",
    help: Mapping[str, str] | None = None,  # noqa: A002  (Invoke's own word)
) -> Any:
    """Make a function of tasks/ a task. Its first parameter is the Context; the others become options.

    *changes*: takes the environment's lock, leaves an audit line and has ``--dry-run`` and ``--yes``.
    *name*: where the function's own would hide a builtin. *default*: runs when only the namespace is typed.
    *help*: a sentence for each parameter.
    """

    def make(function: Callable[..., Any]) -> Task[Any]:
        return _task(
            function,
            name or function.__name__.replace("_", "-"),
            changes=changes,
            default=default,
            example=example,
            help=dict(help or {}),
        )

    return make if function is None else make(function)


def _task(
    function: Callable[..., Any],
    name: str,
    *,
    changes: bool,
    default: bool,
    example: str,
    help: dict[str, str],  # noqa: A002
) -> Task[Any]:
    parameters = list(inspect.signature(function).parameters.values())[1:]
    full = f"{function.__module__.rpartition('.')[2]}.{name}"

    def prepare(values: Mapping[str, Any], options: Options) -> tuple[Callable[[Context], Any], Options]:
        arguments = {p.name: _converted(p, values[p.name]) for p in parameters if values.get(p.name) not in ("", None)}
        return functools.partial(function, **arguments), options

    made = _made(full, [_invoke_parameter(p) for p in parameters], prepare, function, changes=changes, help=help)
    made.is_default, made.example = default, example or f"inv {full}"  # type: ignore[attr-defined]
    return made


def _made(
    full: str,
    parameters: Sequence[inspect.Parameter],
    prepare: Prepare,
    documented: object,
    *,
    changes: bool,
    help: Mapping[str, str],  # noqa: A002
) -> Task[Any]:
    """Return the task *full*; *prepare* makes of what was typed a function of the context, or raises CohesionError."""
    shared = [name for name in SHARED if changes or name not in CHANGING]

    def body(_: object, **values: Any) -> None:
        given = {option: values.pop(option) or _ahead.get(option) for option in shared}
        code = _run(prepare, full, values, given, changes)
        if code:
            raise Exit(code=code)

    body.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [_parameter("_"), *parameters, *(_parameter(n, SHARED[n][0]) for n in shared)]
    )
    body.__name__, body.__doc__ = full.rpartition(".")[2].replace("-", "_"), documented.__doc__
    return Task(
        body,
        name=full.partition(".")[2],
        auto_shortflags=False,
        iterable=["set", *(p.name for p in parameters if p.default == [])],
        positional=[p.name for p in parameters if p.default is p.empty],
        help={**help, **{n.replace("_", "-"): SHARED[n][1] for n in shared}},
    )


def _parameter(name: str, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)


def _invoke_parameter(parameter: inspect.Parameter) -> inspect.Parameter:
    """Give Invoke a text to parse, except for flags: we convert, and say what is wrong."""
    default = parameter.default
    return _parameter(parameter.name, default if isinstance(default, bool) or default is parameter.empty else "")


def _run(prepare: Prepare, full: str, values: dict[str, Any], given: dict[str, Any], changes: bool) -> int:
    from .output import Output
    from .session import perform

    try:
        function, options = prepare(values, _options(given))
    except CohesionError as error:
        Output(json=bool(given.get("json"))).failure(given.get("env") or "", full, error)
        return error.exit_code
    return perform(function, full, _roots[0], options, {}, changes=changes, check=bool(values.get("check")))


def _options(given: Mapping[str, Any]) -> Options:
    from os import environ

    from .context import Options

    values = {name: value for name, value in given.items() if value}
    values["env"] = values.get("env") or environ.get("PGCOHESION_ENV") or "development"
    if "timeout" in values:
        values["timeout"] = _number("timeout", values["timeout"], float)
        if not values["timeout"] > 0:
            raise UsageError("`--timeout` must be more than 0", fix="--timeout 30")
    values["set"] = tuple(values.get("set", ()))
    return Options(**values)


def _converted(parameter: inspect.Parameter, value: Any) -> Any:
    kind = {"int": int, "float": float}.get(str(parameter.annotation).split(" |")[0])
    return _number(parameter.name.replace("_", "-"), value, kind) if kind else value


def _number(name: str, value: Any, kind: type[int | float]) -> Any:
    try:
        return kind(value)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise UsageError(f"`--{name} {value}` is not {wanted}", fix=f"--{name} 10") from None


# --- scripts ------------------------------------------------------------------------------------------


def _script_task(script: type[Script]) -> Task[Any]:
    """Make a script the task ``script.NAME``. Its own code converts what was typed, and says what is wrong."""
    from .script.options import REQUIRED

    found, full = script.options(), f"script.{script.name}"

    def prepare(values: Mapping[str, Any], options: Options) -> tuple[Callable[[Context], ScriptResult], Options]:
        from msgspec.structs import replace

        made = script(**{name: value for name, value in values.items() if value not in (None, [])})
        return made.call, options if options.timeout else replace(options, timeout=script.timeout)

    def default(name: str) -> Any:
        if found[name].default is REQUIRED:
            return inspect.Parameter.empty
        return found[name].default if found[name].kind is bool else [] if found[name].many else None

    parameters = [_parameter(name, default(name)) for name in found]
    texts = {option.name.replace("_", "-"): option.text for option in found.values()}
    made = _made(full, parameters, prepare, script, changes=script.changes, help=texts)
    words = ["inv", full, *(option.flag for option in found.values() if option.default is REQUIRED)]
    made.example = " ".join([*words, "--dry-run"] if script.changes else words)  # type: ignore[attr-defined]
    return made


def run_script(script: type[Script], file: str, words: Sequence[str]) -> NoReturn:
    """Run a script as a program: the same options, answers and exit codes as its task. Never returns."""
    from .opening import find_root

    try:
        _roots[:] = [find_root(Path(file).resolve().parent)]
    except CohesionError as error:
        _refuse(error, words)
    collection = Collection("script")
    collection.add_task(_script_task(script))
    program = Cohesion(namespace=Collection(collection))
    sys.argv[1:] = words
    program.run([file, f"script.{script.name}", *words])
    sys.exit(0)


# --- namespaces ---------------------------------------------------------------------------------------


def namespaces(root: Path) -> Collection:
    """Return a collection with every module of ``<root>/tasks/`` and every script of ``<root>/scripts/``.

    A file that breaks leaves the others usable.
    """
    _roots[:] = [root]
    gc.set_threshold(100_000, 50, 50)  # a short program: collecting while modules load costs a tenth of its time
    _adopt()
    collection = Collection()
    for path in sorted((root / "tasks").glob("*.py")):
        try:
            module = import_module(f"tasks.{path.stem}")
        except Exception as error:  # noqa: BLE001  (whatever a task module raises, the others stay usable)
            broken.remember(path.stem, f"tasks/{path.name}", error)
            continue
        collection.add_collection(Collection.from_module(module, name=path.stem), default=False)
    words = set(sys.argv[1:])
    if not words & set(collection.task_names) or words & LISTING or any(w.startswith("script.") for w in words):
        _add_scripts(collection, root)  # who types another task need not wait for them
    return collection


def _add_scripts(collection: Collection, root: Path) -> None:
    from .script.loading import files, load

    scripts = collection.collections.get("script") or Collection("script")
    for path in files(root):
        try:
            scripts.add_task(_script_task(load(path)))
        except Exception as error:  # noqa: BLE001  (whatever a script raises, the others stay usable)
            broken.remember(f"script.{path.stem}", f"scripts/{path.name}", error)
    if scripts.tasks:
        collection.add_collection(scripts, default=False)


def _adopt() -> None:
    """Make the Program that is running (stock ``invoke`` or ``inv``) one of ours."""
    main = sys.modules.get("invoke.main")
    program = getattr(main, "program", None)
    if type(program) is Program:
        program.__class__ = Cohesion


class Cohesion(Program):
    """Invoke's Program with shared options in any position, suggestions, and exit codes of ours."""

    def _make_parser(self) -> Parser:
        """Build the parser of the tasks that are named only; all of them would cost a tenth of a start."""
        words = {*self.core.unparsed, self.args.help.value}
        if self.args.complete.value:
            return super()._make_parser()
        contexts = [
            ParserContext(name=name, aliases=aliases, args=self.collection[name].get_arguments())
            for name, aliases in self.collection.task_names.items()
            if words.intersection((name, *aliases))
        ]
        return Parser(initial=self.initial_context, contexts=contexts)

    def parse_tasks(self) -> None:
        """Take the shared options that stand before the first task, then parse the tasks."""
        sys.stderr.writelines(f"warning: {line}\n" for line in broken.warnings(self.core.unparsed))
        try:
            self.core.unparsed[:] = _take_shared(self.core.unparsed)
            self._hear_help()
            super().parse_tasks()
        except ParseError as error:
            _refuse(self._explained(error), self.argv)
        except UsageError as error:
            _refuse(error, self.argv)

    def _hear_help(self) -> None:
        """Take ``TASK --help`` as ``--help TASK``: it must not ask for what the task needs."""
        words = self.core.unparsed
        asked = words[: words.index("--")] if "--" in words else words
        if asked and asked[0] in self.collection.task_names and {"--help", "-h"} & set(asked):
            self.args.help.value = asked[0]
            words.clear()

    def _explained(self, error: ParseError) -> UsageError:
        text = str(error)
        token = re.search(r"No idea what '(.*)' is!", text, re.DOTALL)
        if token and token[1].startswith("-"):
            context = error.context
            flags = [flag for flag in (context.flags if context else {}) if flag.startswith("--")]
            flags = [*flags, *(f"--{name.replace('_', '-')}" for name in ([] if flags else SHARED))]
            where = f"`{context.name}` has no option" if context and context.name else "no option"
            return UsageError(
                f"{where} `{token[1].partition('=')[0]}`", fix=suggestion(token[1].partition("=")[0], flags)
            )
        if token:
            return broken.no_task(token[1], sorted(self.collection.task_names))
        missing = re.search(r"'(.*)' did not receive required positional arguments: (.*)", text)
        if missing:
            words = missing[2].replace("'", "").upper()
            return UsageError(f"`{missing[1]}` needs {words}", fix=f"inv {missing[1]} {words.replace(',', '')}")
        return UsageError(text[:1].lower() + text[1:], fix="inv --help")

    def parse_cleanup(self) -> None:
        """List, help and completion; quiet when the reader goes away (``| head``)."""
        try:
            super().parse_cleanup()
        except ParseError as error:
            _refuse(self._explained(error), self.argv)
        except BrokenPipeError:
            raise Exit from None
        finally:
            _flush()

    def execute(self) -> None:
        """Run the tasks; what stands behind ``--`` goes to `db.run`."""
        try:
            super().execute()
        except KeyboardInterrupt:
            raise Exit(code=130) from None
        finally:
            _flush()

    def no_tasks_given(self) -> None:
        """List the tasks."""
        self.list_root, self.list_depth, self.list_format = None, None, "flat"
        self.list_tasks()
        raise Exit

    def print_columns(self, tuples: Sequence[tuple[str, str | None]]) -> None:
        """Print a row a line, for people and grep."""
        sys.stdout.writelines(f"{line}\n" for line in _rows(tuples, 3))
        sys.stdout.write("\n")

    def print_task_help(self, name: str) -> None:
        """Print a task's example, text and options."""
        made = self.collection[name]
        context = self.parser.contexts[name]
        lines = [f"{made.example}", "", *inspect.cleandoc(made.__doc__ or "").splitlines(), "", "Options:"]
        rows = [(_spelled(flag), text or "") for flag, text in context.help_tuples()]
        lines += _rows(rows, 2)
        sys.stdout.write("\n".join(lines) + "\n")


def remainder() -> list[str]:
    """Return the words behind ``--`` on the command line, as they were given."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def _rows(rows: Sequence[tuple[str, str | None]], gap: int) -> Iterator[str]:
    """Yield names and their texts in two columns, the texts folded where a terminal is narrow."""
    left = max((len(name) for name, _ in rows), default=0) + gap
    for name, text in rows:
        yield from fold(f"  {name:<{left}}{text or ''}".rstrip(), columns(sys.stdout), left + 2)


def _spelled(flag: str) -> str:
    return flag.replace("=STRING", "=VALUE").replace("[=STRING]", "[=VALUE]")


def _take_shared(words: list[str]) -> list[str]:
    """Return *words* without the shared options in front of the first task, which are kept for all tasks."""
    _ahead.clear()
    words = list(words)
    while words and words[0].startswith("--") and words[0] != "--":
        flag, equals, value = words.pop(0).partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if name not in SHARED:
            raise UsageError(f"no option `{flag}`", fix=suggestion(flag, [f"--{n.replace('_', '-')}" for n in SHARED]))
        default = SHARED[name][0]
        if default is False:
            _ahead[name] = True
            continue
        if not equals and not words:
            raise UsageError(f"`{flag}` needs a value", fix=f"{flag} VALUE")
        value = value if equals else words.pop(0)
        _ahead[name] = [*_ahead.get(name, []), value] if isinstance(default, list) else value
    return words


def _refuse(error: CohesionError, argv: Sequence[str]) -> NoReturn:
    from .output import Output

    Output(json="--json" in argv).failure("", "", error)
    raise Exit(code=error.exit_code)


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        from .output.terminal import silence

        with contextlib.suppress(OSError):
            silence(sys.stdout)
