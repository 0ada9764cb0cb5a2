"""The one object that every task, script and room gets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, cached_property, partial
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from .config import Loaded
from .errors import ConfigError, Refused
from .plan import Applied, Change, Plan, Planned, Run, Sql, Step, WriteFile
from .redact import Secret
from .runner import Done, Local, Runner
from .server import State

if TYPE_CHECKING:
    from .config import SecretRef
    from .config.model import Host
    from .connections import Database
    from .output import Output
    from .output.logs import Log
    from .server import Server

UNGUARDED = ("development", "test")
POSTGRESQL = 5432
LOOPBACK = ("", "localhost", "127.0.0.1", "::1")


class Options(Struct, frozen=True):
    """What every task takes. *timeout* in seconds; *yes* is the name of the environment that may be changed."""

    env: str = "development"
    json: bool = False
    dry_run: bool = False
    yes: str = ""
    verbose: bool = False
    quiet: bool = False
    timeout: float | None = None
    set: tuple[str, ...] = ()


class Context:
    """An environment at work: its configuration, its host, its server, its databases.

    Everything is opened with the first use and closed by :meth:`close`. *runner* and *server* can be given
    by tests; :class:`pgcohesion.testing.Recorder` is the shipped fake.
    """

    def __init__(  # noqa: PLR0913  (parts that tests replace, by name)
        self,
        loaded: Loaded,
        *,
        options: Options,
        output: Output,
        log: Log,
        task: str = "",
        runner: Runner | None = None,
        server: Server | None = None,
        host: str = "",
    ) -> None:
        self.loaded, self.options, self.output, self.log, self.task = loaded, options, output, log, task
        self.env, self.config, self.root = loaded.env, loaded.config, loaded.root
        self.started = time.monotonic()
        self._runner, self._server = runner, server
        self._database: Database | None = None
        self._ends: float | None = None
        self._opening = RLock()  # several threads may ask for the same part first
        self._host = host
        self._others: dict[str, Context] = {}

    # --- where -----------------------------------------------------------------------------------------

    @property
    def host(self) -> str:
        """The name of the host that this is about: the primary, unless :meth:`on` chose another."""
        return self._host or self.config.primary[0]

    def on(self, host: str) -> Context:
        """Return the context of another host of the environment; it is closed with this one."""
        if host == self.host:
            return self
        if host not in self._others:
            self._others[host] = Context(
                self.loaded, options=self.options, output=self.output, log=self.log, task=self.task, host=host
            )
        return self._others[host]

    def another(self, output: Output, **options: Any) -> Context:
        """Return a context of the same host with connections, *output* and *options* of its own: for a thread."""
        from msgspec.structs import replace

        changed = replace(self.options, **options)
        return Context(self.loaded, options=changed, output=output, log=self.log, task=self.task, host=self._host)

    @cached_property
    def state(self) -> Path:
        """The git-ignored folder of this environment's state."""
        return self.root / ".pgcohesion" / self.env

    @property
    def backup_folder(self) -> str:
        """Where backups lie on the primary, as ``[backup] folder`` says, or where they do without it."""
        named = self.config.backup.folder
        if self.config.postgresql.source == "embedded":
            folder = self.root / Path(named).expanduser() if named else self.state / "backups"
            return str(folder.absolute())
        return named or f"/var/backups/pgcohesion/{self.config.postgresql.cluster}"

    def remaining(self) -> float | None:
        """Return the seconds that `--timeout` and :meth:`within` leave, or None without both."""
        ends = [] if self.options.timeout is None else [self.started + self.options.timeout]
        ends += [] if self._ends is None else [self._ends]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Bound what a host is asked in this block, connecting included."""
        self._ends = time.monotonic() + seconds
        try:
            yield
        finally:
            self._ends = None

    @property
    def runner(self) -> Runner:
        """The host's runner."""
        with self._opening:
            if self._runner is None:
                self._runner = self.reach(self.host, self.config.hosts.get(self.host) or self.config.primary[1])
            return self._runner

    def reach(self, name: str, host: Host) -> Runner:
        """Return a new runner of a machine; whoever asks for it closes it."""
        if host.ssh is None:
            return Local()
        from .runner.ssh import SSH

        key = f"hosts.{name}.sudo_password"
        return SSH(
            name,
            host,
            self.config.ssh,
            root=self.root,
            remaining=self.remaining,
            opening=cache(self.output.note),  # once, however often a host that is down is asked
            password=lambda: self.secret(host.sudo_password, key) if host.sudo_password else None,
        )

    @property
    def server(self) -> Server:
        """The environment's PostgreSQL."""
        with self._opening:
            if self._server is None:
                if self.config.postgresql.source == "packages":
                    from .server.packaged import Packaged

                    self._server = Packaged(self.runner, self.env, self.config.postgresql)
                else:
                    from .server.embedded import Embedded

                    self._server = Embedded(self.root, self.env, self.state, self.config.postgresql)
            return self._server

    @property
    def db(self) -> Database:
        """The environment's databases, as superuser."""
        with self._opening:
            if self._database is None:
                from .connections import Database

                name = f"pgcohesion {self.task}".strip()
                self._database = Database(
                    self.server.parameters, self.config.main_database, name, self.server.complaint
                )
            return self._database

    @cached_property
    def watched(self) -> Database:
        """The databases as health sees them: the primary's by ``[health] url``, or as ``[health] role``, or as ever."""
        config = self.config.health
        if config.url is None or self.host != self.config.primary[0]:
            return self.db.as_role(config.role) if config.role else self.db
        from .connections import Database

        parameters = dict(self._url)
        database = parameters.pop("dbname", self.config.main_database)
        return Database(lambda: parameters, database, f"pgcohesion {self.task}".strip(), pooled=True)

    @cached_property
    def _url(self) -> dict[str, str]:
        """Where ``[health] url`` leads, as libpq's parameters."""
        from .conninfo import parse

        url = self.config.health.url
        value = self.secret(url, "health.url") if url else None
        if value is None:
            raise ConfigError("there is no URL to look at", why="health.url has no value yet", fix=f"set {url}")
        return parse(value.reveal())

    @property
    def watched_name(self) -> str:
        """What the server is called that health asks: the name of its host, or where ``[health] url`` leads."""
        if not self.only_looked_at or self.host in self.config.hosts:
            return self.host
        host, port = self.watched_address
        return f"{self.host if host[:1] in ('', '/', '@') else host}:{port}"

    @property
    def watched_address(self) -> tuple[str, int]:
        """The first host and port to which ``[health] url`` leads."""
        url = self._url
        return url.get("host", "").split(",")[0], int(url.get("port", "").split(",")[0] or POSTGRESQL)

    @property
    def watched_here(self) -> bool:
        """Whether ``[health] url`` leads to this machine, if only into a tunnel that begins here."""
        hosts = self._url.get("hostaddr", self._url.get("host", "")).split(",")
        return all(host in LOOPBACK or host.startswith(("/", "@")) for host in hosts)

    @property
    def only_looked_at(self) -> bool:
        """Whether health asks a server that is not ours to manage, by ``[health] url``."""
        return self.config.health.url is not None

    def ours(self) -> None:
        """Raise Refused where the server is only looked at."""
        if self.only_looked_at:
            raise Refused(
                f"the server of `{self.env}` is only looked at",
                why="[health] url leads to a server that this environment does not manage",
                fix="declare it: environments/*.toml say how",
            )

    def up(self) -> None:
        """Raise ServerDown unless the server that health asks runs; one that is only looked at says so itself."""
        if not self.only_looked_at:
            self.running()

    def running(self) -> None:
        """Raise ServerDown unless the server runs."""
        from .server.packaged import Packaged, down

        state = self.server.state()
        if state is not State.RUNNING and self.host != self.config.primary[0] and isinstance(self.server, Packaged):
            raise self.server.down_there(self.config.hosts[self.host].login, absent=state is State.ABSENT)
        if state is State.ABSENT:
            raise ConfigError(
                f"`{self.env}` has no database yet", why="it was never set up", fix=f"inv db.setup --env={self.env}"
            )
        if state is State.STOPPED:
            raise down(self.env, "it is stopped")

    # --- what ------------------------------------------------------------------------------------------

    def run(self, argv: Sequence[str], *, user: str | None = None, check: bool = True) -> Done:
        """Run a program on the primary host."""
        self.log.debug("run", host=self.host, command=" ".join(argv)[:200])
        return self.runner.run(argv, user=user, check=check)

    def render(self, template: str, **values: Any) -> str:
        """Render ``templates/<template>``; the environment is there as ``env`` and ``config``."""
        from .render import render

        return render(self.root / "templates", template, {"env": self.env, "config": self.config, **values})

    def secret(self, ref: SecretRef, key: str) -> Secret | None:
        """Return the value of a reference; None when its generated file is still to be made."""
        from .config.secrets import resolve

        return resolve(ref, key, root=self.root, variables=self.loaded.variables)

    # --- do --------------------------------------------------------------------------------------------

    def apply(self, plan: Plan, *, next: str = "") -> Planned | Applied:  # noqa: A002  (the word of cli.md)
        """Make the changes of *plan*, or with ``--dry-run`` show them: the only place that knows of it.

        Raises Refused when a guard says no; an error or an interrupt says how far it came.
        """
        if self.options.dry_run:
            return Planned(plan, verbose=self.options.verbose, next=next)
        self._guard(plan)
        started, done = time.monotonic(), 0
        try:
            for group in plan.groups():
                self._make(group)
                done += len(group)
        except BaseException:
            rest = len(plan.changes) - done
            self.output.note(
                f"{done} of {len(plan.changes)} changes were made, {rest} not:"
                f" `{plan.changes[done].what}` was next; running it again goes on from here"
            )
            raise
        return Applied(plan, time.monotonic() - started, next=next)

    def apply_each(
        self,
        steps: Callable[[], Iterable[Change]],
        *,
        within: Callable[[], AbstractContextManager[object]] = nullcontext,
        make: Callable[[Change, Callable[[str], None]], None] = lambda _, do: do(""),
    ) -> Planned | Applied:
        """Make the changes that *steps* yields one by one, as they come; with ``--dry-run`` show them all.

        *within* is held meanwhile; *make* gets each change and what does it, which takes a prefix of the progress line.
        A guard first lets *steps* yield everything, to show it: they only read, what changes is in the Changes.
        """
        if self.options.dry_run:
            self.only_read()
            return Planned(Plan(self.env, tuple(steps())), verbose=self.options.verbose)
        started = time.monotonic()
        made: list[Change] = []
        with within():
            asked = self._asked(steps)
            for change in steps():
                if not asked:
                    self._guard(Plan(self.env, (change,)))
                make(change, partial(self._make, (change,)))
                made.append(change)
        return Applied(Plan(self.env, tuple(made)), time.monotonic() - started)

    def only_read(self) -> None:
        """Be told that from now on nothing may be written (a ScriptContext makes its sessions read-only)."""

    def _asked(self, steps: Callable[[], Iterable[Change]]) -> bool:
        """Ask for the whole of what *steps* would do, where that may be guarded; return whether it was."""
        if self.options.yes == self.env or not (self.config.protected or self.env not in UNGUARDED):
            return False
        plan = Plan(self.env, tuple(steps()))
        self._guard(plan)
        return self.config.protected or plan.destroys

    def _make(self, group: tuple[Change, ...], prefix: str = "") -> None:
        with self.output.step(prefix + group[0].what):
            self._do(group)
        for change in group:
            self.output.done(change)
            self.log.info("changed", verb=change.verb, what=change.what)

    def _do(self, group: tuple[Change, ...]) -> None:
        action = group[0].action
        if isinstance(action, Sql):
            self._do_sql(group)
        elif isinstance(action, WriteFile):
            self.runner.write(action)
        elif isinstance(action, Run):
            self.run(action.argv, user=action.user)
        elif isinstance(action, Step):
            action.call(self)

    def _do_sql(self, group: tuple[Change, ...]) -> None:
        from .connections.batch import execute

        actions = [change.action for change in group if isinstance(change.action, Sql)]
        first = actions[0]
        if not first.transaction:  # DROP DATABASE ends sessions: none of ours may be left to fail later
            self.db.forget()
        connection = self.db.connection(first.database or "postgres", first.role)
        execute(
            connection,
            [(change.what, a.statement) for change, a in zip(group, actions, strict=True)],
            transaction=first.transaction,
        )

    def _guard(self, plan: Plan) -> None:
        guarded = self.config.protected or (plan.destroys and self.env not in UNGUARDED)
        if not plan or not guarded or self.options.yes == self.env:
            return
        flag = f"--yes {self.env}"
        if self.options.yes:
            raise Refused(f"`--yes {self.options.yes}` does not name `{self.env}`", fix=f"if you mean it: {flag}")
        reason = "the environment is protected" if self.config.protected else "it destroys data"
        if not self.output.interactive:
            raise Refused(
                f"`{self.env}` is not changed without a word",
                why=f"{reason}, and there is no terminal to ask at",
                fix=f"look at it with --dry-run, then add {flag}",
            )
        self.output.plan(plan.changes)
        if self.output.confirm(f"{reason}. Type `{self.env}` to go on: ") != self.env:
            raise Refused("nothing was changed", why=f"`{self.env}` was not typed")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the environment's lock, here and on its host. Raises Locked when another run has it."""
        from .locks import host_lock, local_lock

        with local_lock(self.state, self.env, self.task):
            if self.config.primary[1].ssh is None:
                yield
            else:
                with host_lock(self.runner, self.env):
                    yield

    def close(self) -> None:
        """Close all connections, to databases and to hosts."""
        watched = self.__dict__.get("watched")
        for part in (*self._others.values(), watched, self._database, self._server, self._runner):
            if part is not None:
                part.close()
