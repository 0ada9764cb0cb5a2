"""``provision.check``: what differs from the declared state, and what is in effect but not declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..plan import Plan
from ..server import State
from ..view import Answer, Grade, Line, View, count
from . import cluster, host

if TYPE_CHECKING:
    from ..context import Context


class Checked(Answer, frozen=True):
    """The differences, as changes that would mend them and settings that are not in effect."""

    plan: Plan
    settings: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether anything differs."""
        return bool(self.plan) or bool(self.settings)

    @property
    def pending(self) -> bool:
        """Whether anything differs."""
        return self.failed

    def as_dict(self) -> dict[str, object]:
        """Return both lists."""
        return {"changes": [change.as_dict() for change in self.plan.changes], "settings": list(self.settings)}

    def view(self) -> View:
        """Return a line a difference."""
        blocks = [Line(text, grade=Grade.FAIL) for text in self.settings]
        blocks += [change.line() for change in self.plan.changes]
        if not blocks:
            return View(verdict="as declared")
        return View(
            tuple(blocks),
            f"fail: {count(len(blocks), 'difference')}",
            Grade.FAIL,
            next=f"inv provision.apply --env={self.plan.env}",
        )


def checked(ctx: Context, plan: Plan) -> Checked:
    """Return what differs; a server that is down has no effective settings."""
    running = host.read(ctx).state is State.RUNNING
    return Checked(plan, tuple(cluster.mismatches(ctx)) if running else ())
