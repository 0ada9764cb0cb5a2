"""What a script leaves: how far it came, what it made, its own values."""

from __future__ import annotations

from typing import Any, Literal

from ..view import Answer, Grade, Line, View, count, span


class ScriptResult(Answer, frozen=True, kw_only=True):
    """The answer of a script.

    *made*, *skipped* (finished by an earlier run) and *left* count steps; *left* is None where nobody knows.
    *elapsed* in seconds; *values* are the script's own; *answer* is the plan that was shown or applied.
    """

    script: str
    env: str
    state: Literal["ok", "planned", "failed", "interrupted"]
    made: int = 0
    skipped: int = 0
    left: int | None = None
    elapsed: float = 0
    values: dict[str, Any] = {}  # noqa: RUF012  (msgspec copies it)
    answer: Answer | None = None

    @property
    def failed(self) -> bool:
        """Whether it failed, or found that what it looked at has."""
        return self.state in ("failed", "interrupted") or (self.answer is not None and self.answer.failed)

    @property
    def pending(self) -> bool:
        """Whether it was only shown."""
        return self.answer is not None and self.answer.pending

    def as_dict(self) -> dict[str, Any]:
        """Return everything."""
        counted = {name: getattr(self, name) for name in ("script", "state", "made", "skipped", "left", "values")}
        return {**(self.answer.as_dict() if self.answer else {}), **counted, "elapsed": round(self.elapsed, 3)}

    def view(self) -> View:
        """Return its values and the verdict."""
        lines = tuple(Line(f"{name}: {value}") for name, value in self.values.items())
        if self.answer is None:
            grade = Grade.FAIL if self.failed else Grade.OK
            return View(lines, f"{self.state if self.failed else 'done'} ({span(self.elapsed)})", grade)
        shown = self.answer.view()
        skipped = f"; {count(self.skipped, 'step')} finished before" if self.skipped else ""
        return View((*shown.blocks, *lines), shown.verdict + skipped, shown.grade, shown.next)
