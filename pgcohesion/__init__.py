"""pgcohesion: operate PostgreSQL. ``import pgcohesion`` is the only door; each name loads when it is used."""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself would be most of what this module costs
__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import backup as backup
    from . import database as database
    from . import dev as dev
    from . import environments as environments
    from . import errors as errors
    from . import health as health
    from . import migrate as migrate
    from . import plan as plan
    from . import provision as provision
    from . import setup as setup
    from . import suite as suite
    from . import testing as testing
    from .application import DatabaseConfig as DatabaseConfig
    from .application import get_database_config as get_database_config
    from .cli import task as task
    from .context import Context as Context
    from .errors import CohesionError as CohesionError
    from .opening import open_context as open_context
    from .orchestrator import Orchestrator as Orchestrator
    from .orchestrator import get_database_orchestrator as get_database_orchestrator
    from .plan import Change as Change
    from .plan import Plan as Plan
    from .script import Script as Script
    from .script import arg as arg
    from .script.context import ScriptContext as ScriptContext
    from .script.result import ScriptResult as ScriptResult
    from .shortcuts import check_health as check_health
    from .shortcuts import connect as connect
    from .shortcuts import execute as execute
    from .shortcuts import transaction as transaction
    from .view import Answer as Answer

_ROOMS = ("backup", "errors", "health", "migrate", "plan", "provision", "testing")
_FOR_TASKS = ("database", "dev", "environments", "setup", "suite")  # what only this repo's own tasks compose
_NAMES = {
    "Answer": "view",
    "Change": "plan",
    "CohesionError": "errors",
    "Context": "context",
    "DatabaseConfig": "application",
    "Orchestrator": "orchestrator",
    "Plan": "plan",
    "Script": "script",
    "ScriptContext": "script.context",
    "ScriptResult": "script.result",
    "arg": "script",
    "check_health": "shortcuts",
    "connect": "shortcuts",
    "execute": "shortcuts",
    "get_database_config": "application",
    "get_database_orchestrator": "orchestrator",
    "open_context": "opening",
    "task": "cli",
    "transaction": "shortcuts",
}
__all__ = ["__version__", *_ROOMS, *_NAMES]  # noqa: PLE0604  (names that load when they are used)


if not TYPE_CHECKING:  # for a type checker, a name that is not listed does not exist

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name in _ROOMS or name in _FOR_TASKS:
            return import_module(f"{__name__}.{name}")
        if name in _NAMES:
            value = globals()[name] = getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)
            return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
