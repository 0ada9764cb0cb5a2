"""A new password for a role: a secret aside, the verifier in the server, the secret in its place, a login.

Cut off anywhere, a new rotation takes up the secret that waits aside: the password in the server is never one that
no file has.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..config.secrets import generate, path_of
from ..connections import Database
from ..errors import UsageError, suggestion
from ..redact import Secret
from .roles import password_statement

if TYPE_CHECKING:
    from ..context import Context


class Rotation:
    """The steps of one rotation, in their order: keep, set, place, prove. *path* is where the secret is in the end.

    Raises UsageError for a role without a password, and for a secret that is kept where we cannot write.
    """

    def __init__(self, ctx: Context, role: str) -> None:
        self._ctx, self._role = ctx, role
        declared = ctx.config.roles.get(role)
        if declared is None:
            raise UsageError(f"no role `{role}`", fix=suggestion(role, ctx.config.roles))
        ref = declared.password
        if ref is None or not declared.login:
            able = [name for name, other in ctx.config.roles.items() if other.login and other.password]
            raise UsageError(f"the role `{role}` does not log in with a password", fix=f"one of {', '.join(able)}")
        if ref.command is not None:
            raise UsageError(
                f"the password of `{role}` is kept by a program",
                why=f"roles.{role}.password = {ref}",
                fix="change it there, then inv provision.apply",
            )
        self._variable = ref.env
        self.path = ctx.root / "environments" / f"{ctx.env}.env" if ref.env else path_of(ref, ctx.root)
        self.aside = ctx.state / f"{quote(role, safe='')}.password.new"
        if ref.env:
            self._with("")
        self._secret: Secret | None = None

    def keep(self, _: object) -> None:
        """Write a random secret aside, unless one waits there."""
        self._secret = generate(self.aside)

    def set(self, _: object) -> None:
        """Give the server its verifier."""
        self._ctx.db.execute(password_statement(self._role, self._new()), database="postgres")

    def place(self, _: object) -> None:
        """Put the secret where the environment's file says."""
        value = self._new().reveal()
        text = self._with(value) if self._variable else value + "\n"
        mode = self.path.stat().st_mode & 0o777 if self.path.exists() else 0o600
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.path)

    def prove(self, _: object) -> None:
        """Log in with it; then it need not wait aside any more."""
        host, port = self._ctx.server.address()
        login = {"host": host, "port": str(port), "user": self._role, "password": self._new().reveal()}
        database = Database(lambda: login, self._ctx.config.main_database, "pgcohesion rotation")
        try:
            database.execute("SELECT 1")
        finally:
            database.close()
        self.aside.unlink(missing_ok=True)

    def _new(self) -> Secret:
        self._secret = self._secret or generate(self.aside)
        return self._secret

    def _with(self, value: str) -> str:
        """Return the .env file with *value* in its line. Raises UsageError when that would not change the secret."""
        name = self._variable or ""
        if name in os.environ:
            raise UsageError(
                f"the password of `{self._role}` is the variable `{name}` of this process",
                why="it wins over the environment's .env file",
                fix=f"unset {name}, and keep it in {self._shown()}",
            )
        text = self.path.read_text("utf-8") if self.path.exists() else ""
        line = re.compile(rf"^(\s*(?:export\s+)?{re.escape(name)}\s*=[ \t]*)(.*)$", re.MULTILINE)
        old = line.findall(text)
        if len(old) != 1 or (old[0][1][:1] in ("'", '"') and not re.fullmatch(r"""(['"]).*\1\s*(#.*)?""", old[0][1])):
            raise UsageError(
                f"there is no single line `{name}=...` in {self._shown()}", fix="write the secret in one line there"
            )
        return line.sub(lambda found: found[1] + value, text)

    def _shown(self) -> Path:
        return self.path.relative_to(self._ctx.root)
