"""A run, the runs so far, and two of them side by side."""

from __future__ import annotations

from datetime import UTC, datetime
from statistics import mean
from typing import Any

from msgspec import Struct, to_builtins

from ...view import Answer, Grade, Line, Table, View, count, moment
from .comparing import LEAST, Comparison, compare

PERCENTILES = ("p50", "p95", "p99", "max")
RATE, CONTROL = "tps", "control"
PLACE = ("machine.", "asked from")
"""What begins so is not the server's: where it differs, a difference may be the machine's."""
UNPLACED = ("machine.kernel",)
STEADY = 0.03  # what a machine's own speed may differ by


class Run(Struct, frozen=True):
    """One run. *rounds*: transactions a second (``tps``), and the medians of our own latencies in ms, of each round.

    One of these, ``control``, is of a computation which tells how fast the machine was. *latencies*: p50, p95, p99 and
    max in ms, of all rounds. *script*: a digest of the text of a script of one's own.
    """

    at: float
    workload: str
    script: str
    scale: int
    clients: int
    seconds: float
    rounds: dict[str, list[float]]
    latencies: dict[str, dict[str, float]]
    environment: dict[str, str]

    @property
    def work(self) -> tuple[object, ...]:
        """What two runs must have in common."""
        return self.workload, self.script, self.scale, self.clients

    @property
    def tps(self) -> list[float]:
        """Transactions a second of each round; none without pgbench."""
        return self.rounds.get(RATE, [])

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        value: dict[str, Any] = to_builtins(self)
        at = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return {**value, "at": at, "tps": mean(self.tps) if self.tps else None}


class Measured(Answer, frozen=True):
    """A run and its number; None where it cannot be kept."""

    number: int | None
    run: Run

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"id": self.number, **self.run.as_dict()}

    def view(self) -> View:
        """Return the latencies and the transactions a second."""
        run = self.run
        rows = tuple((n, *(f"{values[word]:.3f}" for word in PERCENTILES)) for n, values in run.latencies.items())
        said = f"run {self.number}" if self.number else "a run that cannot be kept"
        asked = run.environment.get("asked from", "")
        blocks = (Table((f"ms, from {asked}" if asked else "ms", *PERCENTILES), rows),)
        if not run.tps:
            return View(blocks, f"{said}: latencies only: the server's programs have no pgbench")
        spread = f"{min(run.tps):,.0f} to {max(run.tps):,.0f} in {count(len(run.tps), 'round')}"
        what = f"{run.workload}, scale {run.scale}, {count(run.clients, 'client')}"
        verdict = f"{said}: {mean(run.tps):,.0f} transactions a second ({spread}; {what})"
        return View(blocks, verdict, next="inv health.bench --compare=previous,last")


class Runs(Answer, frozen=True):
    """The runs so far."""

    runs: tuple[tuple[int, Run], ...]

    def as_dict(self) -> dict[str, Any]:
        """Return a value a run."""
        return {"runs": [{"id": number, **run.as_dict()} for number, run in self.runs]}

    def view(self) -> View:
        """Return a row a run."""
        header = ("run", "when", "workload", "scale", "clients", "tps", "commit ms", "version", "commit")
        rows = tuple(
            (
                str(number),
                moment(datetime.fromtimestamp(run.at, UTC)),
                run.workload,
                str(run.scale),
                str(run.clients),
                f"{mean(run.tps):,.0f}" if run.tps else "",
                f"{run.latencies['commit']['p50']:.3f}",
                run.environment.get("version", ""),
                run.environment.get("repository", ""),
            )
            for number, run in self.runs
        )
        table = (Table(header, rows),) if rows else ()
        return View(table, count(len(rows), "run"), next="" if rows else "inv health.bench")


class Measure(Struct, frozen=True):
    """One number of two runs, *before* and *after*; *result* is of speeds: more is faster."""

    name: str
    before: float
    after: float
    result: Comparison

    @property
    def change(self) -> str:
        """How much faster or slower."""
        return f"{abs(self.result.ratio - 1):.1%} {'faster' if self.result.ratio > 1 else 'slower'}"

    @property
    def interval(self) -> str:
        """Between which changes of the speed the true one lies."""
        return f"{self.result.low - 1:+.1%} to {self.result.high - 1:+.1%}"


class Compared(Answer, frozen=True):
    """Two runs side by side, the older one first; *differs* is what else is not the same."""

    numbers: tuple[int, int]
    measures: tuple[Measure, ...]
    differs: dict[str, tuple[str, str]]
    slower_by: float | None = None

    @property
    def main(self) -> Measure | None:
        """What the verdict is about: transactions a second, or commits where there was no pgbench."""
        found = {one.name: one for one in self.measures}
        return found.get(RATE) or found.get("commit")

    @property
    def machine(self) -> float:
        """How many times as fast the machine itself was at the later run; 1 where no difference shows."""
        control = next((one.result for one in self.measures if one.name == CONTROL), None)
        return control.ratio if control and control.differs else 1.0

    @property
    def comparable(self) -> bool:
        """Whether both were measured at the same place, which was as fast both times."""
        return not self.elsewhere and abs(self.machine - 1) < STEADY

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """What differs and is not the server's."""
        return tuple(name for name in self.differs if name.startswith(PLACE) and name not in UNPLACED)

    @property
    def failed(self) -> bool:
        """Whether the later run is surely slower by more than was allowed."""
        if self.slower_by is None or self.main is None:
            return False
        slower = self.main.result.ratio / min(self.machine, 1.0)  # the machine's own part is nobody's regression
        return self.main.result.differs and slower < 1 - self.slower_by / 100

    def as_dict(self) -> dict[str, Any]:
        """Return the tests' numbers and what differs."""
        return {
            "runs": list(self.numbers),
            "comparable": self.comparable,
            "machine": self.machine,
            "main": self.main.name if self.main else None,
            "measures": {one.name: {**to_builtins(one), "differs": one.result.differs} for one in self.measures},
            "differs": to_builtins(self.differs),
        }

    def view(self) -> View:
        """Return what the difference is, and what else differs."""
        first, second = self.numbers
        rows = tuple(
            (
                one.name if one.name == RATE else f"{one.name}, ms",
                f"{one.before:,.0f}" if one.name == RATE else f"{one.before:.3f}",
                f"{one.after:,.0f}" if one.name == RATE else f"{one.after:.3f}",
                one.change if one.result.differs else "no difference shown",
                one.interval,
                f"{one.result.p:.2g}",
            )
            for one in self.measures
        )
        header = ("median or mean", f"run {first}", f"run {second}", "the later is", "95 %, of the speed", "p")
        blocks: list[Line | Table] = [Table(header, rows)] if rows else []
        blocks += [Line(f"{name}: {old or '-'} -> {new or '-'}", mark="~") for name, (old, new) in self.differs.items()]
        if self.elsewhere:
            text = f"not measured at the same place: {', '.join(self.elsewhere)}: the difference may be that"
            blocks.append(Line(text, grade=Grade.WARN))
        if abs(self.machine - 1) >= STEADY:
            pace = f"{abs(self.machine - 1):.0%} {'faster' if self.machine > 1 else 'slower'}"
            text = f"the machine itself was {pace} at run {second} (control): measure both again while it is quiet"
            blocks.append(Line(text, grade=Grade.WARN))
        return View(tuple(blocks), self._words(), Grade.FAIL if self.failed else Grade.OK)

    def _words(self) -> str:
        head = "run {} -> run {}: ".format(*self.numbers)
        main = self.main
        if main is None:
            return f"{head}they have no {LEAST} rounds that can be compared"
        found = main.result
        if found.differs:
            return f"{head}{main.change} ({main.interval}, p = {found.p:.2g})"
        needed = f"; about {count(found.needed, 'round')} each would show 5 %" if found.needed else ""
        return f"{head}no difference that these runs can show ({main.interval}, p = {found.p:.2g}{needed})"


def side_by_side(first: tuple[int, Run], second: tuple[int, Run], slower_by: float | None = None) -> Compared:
    """Return two runs of the same work compared, the older one first."""
    (one, old), (two, new) = sorted((first, second), key=lambda pair: (pair[1].at, pair[0]))
    pairs = {
        name: (old.environment.get(name, ""), new.environment.get(name, ""))
        for name in sorted({*old.environment, *new.environment})
    }
    measures = [
        _measure(name, old.rounds[name], new.rounds[name])
        for name in old.rounds
        if min(len(old.rounds[name]), len(new.rounds.get(name, ()))) >= LEAST
    ]
    differs = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return Compared((one, two), tuple(measures), differs, slower_by)


def _measure(name: str, before: list[float], after: list[float]) -> Measure:
    if name == RATE:
        return Measure(name, mean(before), mean(after), compare(before, after))
    speeds = compare([1 / ms for ms in before], [1 / ms for ms in after])
    return Measure(name, mean(before), mean(after), speeds)
