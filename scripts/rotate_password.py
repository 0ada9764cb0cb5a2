"""A new password for a role, in the server and where programs find it."""

from __future__ import annotations

from collections.abc import Iterator

import pgcohesion as pg


class RotatePassword(pg.Script):
    """Give a role a new password, in the server and its file."""

    role: str = pg.arg(help="a role that logs in")
    timeout = 60

    def steps(self, ctx: pg.ScriptContext) -> Iterator[pg.Change]:
        """Yield four steps that may be cut off anywhere: a new run takes up the secret that waits aside."""
        ctx.running()
        ctx.expect(4)
        new, step = pg.provision.rotate(ctx, self.role), pg.plan.Step
        yield pg.Change("create", f"secret of role {self.role}", step(new.keep), "a random one, kept aside")
        yield pg.Change("alter", f"password of role {self.role}", step(new.set), "a SCRAM verifier")
        yield pg.Change("alter", f"secret of role {self.role}", step(new.place), f"in {new.path.name}")
        yield pg.Change("run", f"log in as {self.role}", step(new.prove), "with the new password")


if __name__ == "__main__":
    RotatePassword.main()
