"""The passwords of roles: generated files that are missing, and the values that are there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..config.secrets import generate, path_of
from ..plan import Change, Step
from ..redact import Secret

if TYPE_CHECKING:
    from ..context import Context
    from .facts import Facts


def changes(ctx: Context, facts: Facts) -> Iterator[Change]:
    """Yield a change for each generated secret file that is missing."""
    for name, role in ctx.config.roles.items():
        if role.password and role.password.generate and not path_of(role.password, ctx.root).exists():
            path = path_of(role.password, ctx.root)
            yield Change(
                "create",
                f"secret roles.{name}.password",
                Step(lambda _, path=path: generate(path)),  # type: ignore[misc]
                f"a random one in {role.password.file}",
            )


def passwords(ctx: Context) -> dict[str, Secret | None]:
    """Return the roles' passwords; None for one whose file is still to be generated.

    Raises ConfigError for one that cannot be had.
    """
    return {
        name: ctx.secret(role.password, f"roles.{name}.password")
        for name, role in ctx.config.roles.items()
        if role.password is not None
    }
