"""What the environments are, what they say, and where each value comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins

from .config import explain, load, names
from .config.layers import is_reference
from .config.problems import dotted
from .database import Variables, variables
from .errors import CohesionError, UsageError
from .view import Answer, Grade, Line, Table, View, count

if TYPE_CHECKING:
    from .context import Context


class Row(Struct, frozen=True):
    """An environment: *problem* is the first line of what is wrong with its file."""

    name: str
    hosts: tuple[str, ...] = ()
    protected: bool = False
    description: str = ""
    problem: str = ""


class Listed(Answer, frozen=True):
    """All environments."""

    environments: tuple[Row, ...]
    current: str

    @property
    def failed(self) -> bool:
        """Whether one of them cannot be read."""
        return any(row.problem for row in self.environments)

    def view(self) -> View:
        """Return a row an environment; a star marks the one in use."""
        rows = tuple(
            (
                ("* " if row.name == self.current else "  ") + row.name,
                ", ".join(row.hosts) or "this machine",
                "yes" if row.protected else "",
                row.problem or row.description,
            )
            for row in self.environments
        )
        return View(
            (Table(("  environment", "hosts", "protected", "what"), rows),),
            count(len(rows), "environment"),
            Grade.FAIL if self.failed else Grade.OK,
        )


def list_environments(ctx: Context) -> Listed:
    """Return the environments that have a file."""
    return Listed(tuple(_row(ctx, name) for name in names(ctx.root)), ctx.env)


def _row(ctx: Context, name: str) -> Row:
    try:
        config = load(ctx.root, name, environ=ctx.loaded.variables if name == ctx.env else None).config
    except CohesionError as error:
        return Row(name, problem=f"{error.what}: {error.why.splitlines()[0] if error.why else ''}")
    hosts = tuple(host for host, declared in config.hosts.items() if declared.ssh)
    return Row(name, hosts, config.protected, config.description)


class Shown(Answer, frozen=True):
    """The values of an environment after all layers; secrets are references."""

    values: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return the values as the file has them."""
        return {"config": self.values}

    def view(self) -> View:
        """Return ``key = value`` lines."""
        return View(tuple(Line(f"{key} = {value}") for key, value in _flat(self.values, ())))


def _flat(value: Any, key: tuple[str, ...]) -> list[tuple[str, str]]:
    if isinstance(value, dict) and value and not is_reference(value):
        return [pair for name, below in value.items() for pair in _flat(below, (*key, name))]
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [pair for n, below in enumerate(value) for pair in _flat(below, (*key, str(n)))]
    return [(dotted(key), _literal(value))]


def _literal(value: Any) -> str:
    import json

    if isinstance(value, dict):
        return f"{{ {', '.join(f'{k} = {_literal(v)}' for k, v in value.items())} }}" if value else "{}"
    return json.dumps(value, ensure_ascii=False)


def show(ctx: Context, form: str = "", *, reveal: bool = False) -> Shown | Variables:
    """Return what the environment says after all layers, or its connection as the variables of a form.

    Raises UsageError for a form that does not exist, and for *reveal* without one: the values hold no secret.
    """
    if form:
        return variables(ctx, form, reveal=reveal)
    if reveal:
        raise UsageError("`--reveal` goes with `--format`", fix=f"inv env.show --format=url --reveal --env={ctx.env}")
    return Shown(_present(to_builtins(ctx.config)))


def _present(value: Any) -> Any:
    """Drop what is not set: None, and the empty tables and lists of defaults."""
    if isinstance(value, dict):
        return {
            k: _present(v)
            for k, v in value.items()
            if v is not None and v not in ({}, [], "") and not (k == "generate" and v is False)
        }
    return [_present(item) for item in value] if isinstance(value, list) else value


class Source(Struct, frozen=True):
    """A layer's value of a key; *wins*: it is the one in use."""

    place: str
    value: str
    wins: bool


class Explained(Answer, frozen=True):
    """Every layer that sets a key, the lowest first."""

    key: str
    sources: tuple[Source, ...]
    value: str

    def view(self) -> View:
        """Return a row a layer; the value in use is the verdict."""
        rows = tuple(("*" if source.wins else "", source.place, source.value) for source in self.sources)
        blocks = (Table(("", "where", "value"), rows),) if rows else (Line("no layer sets it: this is the default"),)
        return View(blocks, f"{self.key} = {self.value}")


def explain_key(ctx: Context, key: str) -> Explained:
    """Return where the value of *key* comes from. Raises UsageError for a key that no environment can have."""
    sources = tuple(Source(place, _literal(value), wins) for place, value, wins in explain(ctx.loaded, key))
    value: Any = to_builtins(ctx.config)
    for part in key.split("."):
        value = (
            value[int(part)]
            if isinstance(value, list) and part.isdigit()
            else (value.get(part) if isinstance(value, dict) else None)
        )
    return Explained(key, sources, "not set" if value is None else _literal(_present(value)))
