"""The class that a script is."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from .options import Option, arg, declared, values

if TYPE_CHECKING:
    from ..context import Context
    from ..plan import Change
    from .context import ScriptContext
    from .result import ScriptResult

FRESH = Option("fresh", bool, False, "forget the steps that an earlier run has finished", ())


class Script:
    """A script: annotated attributes are its options, :meth:`steps` what it does.

    A subclass ``KillIdle`` in ``scripts/kill_idle.py`` is the task ``script.kill-idle``, the program
    ``python scripts/kill_idle.py`` and, in Python, ``KillIdle(idle=60).call(ctx)``.
    """

    timeout: ClassVar[float | None] = None
    """Seconds after which it is stopped; ``--timeout`` wins."""
    retries: ClassVar[int] = 0
    """How often a step is tried again that failed for a reason that may go away (see running.py)."""
    resumable: ClassVar[bool] = False
    """Whether a run after a failure or an interrupt leaves out the steps that are finished."""
    parallel_copies: ClassVar[bool] = False
    """Whether several may run at once in one environment."""
    changes: ClassVar[bool] = False
    """Whether it changes something: it has `--dry-run`, guards and an audit line. Always with :meth:`steps`."""
    name: ClassVar[str]
    """The class's name with dashes; the task's without ``script.``."""

    def __init_subclass__(cls, **how: Any) -> None:
        super().__init_subclass__(**how)
        cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", cls.__name__).lower()
        cls.changes = cls.changes or cls.steps is not Script.steps

    def __init__(self, **given: Any) -> None:
        """Take the options by name. Raises UsageError for a wrong one."""
        self.given = values(self.options(), given, f"script.{self.name}")
        vars(self).update(self.given)

    @classmethod
    @cache
    def options(cls) -> dict[str, Option]:
        """Return the options by name."""
        found = declared(cls, Script)
        return {**found, FRESH.name: FRESH} if cls.resumable else found

    def steps(self, ctx: ScriptContext) -> Iterable[Change]:
        """Yield the changes to make, one by one; itself it only reads.

        What a generator returns, a dict, joins the result's values.
        """
        raise NotImplementedError(f"{type(self).__name__} has neither steps nor run")

    def run(self, ctx: ScriptContext) -> Any:
        """Make the steps. Override it in a script that reads or waits: it returns a dict, an Answer or nothing."""
        return ctx.make(self.steps)

    def call(self, ctx: Context) -> ScriptResult:
        """Run in an open environment. Errors are raised; how far it came is in their ``result``."""
        from .running import run

        return run(self, ctx)

    @classmethod
    def main(cls) -> NoReturn:
        """Be a program: the file's last line, under ``if __name__ == "__main__"``."""
        from ..cli import run_script

        run_script(cls, str(sys.modules[cls.__module__].__file__), sys.argv[1:])


__all__ = ["Script", "arg"]
