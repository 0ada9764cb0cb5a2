"""What an application needs to know to reach its databases: the environment's file, or the variables it already has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from .config import Loaded, bare, load
from .errors import ConfigError
from .opening import context_of, find_root

if TYPE_CHECKING:
    from .config import Monitoring
    from .connections import ConnectionConfig, Target


class DatabaseConfig:
    """An environment as an application sees it."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.env, self.root, self.config = loaded.env, loaded.root, loaded.config

    def feature(self, name: str) -> bool:
        """Return whether a feature flag is on."""
        return self.config.feature(name)

    def get_connection_config(self) -> ConnectionConfig:
        """Return where the servers are and how to connect to them; the same value each time.

        Variables that name a database (README, "What you already have") win over the environment's file.
        Raises ConfigError when neither says where it is.
        """
        return self._connection

    def get_monitoring_config(self) -> Monitoring:
        """Return what is watched, and how often."""
        return self.config.monitoring

    @cached_property
    def _connection(self) -> ConnectionConfig:
        from .connections import ConnectionConfig

        targets, source = self._targets()
        config = self.config
        return ConnectionConfig(
            targets,
            config.connections,
            config.monitoring,
            application_name=f"{config.application.name or 'pgcohesion'} {self.env}",
            read_replicas=config.feature("read_replicas"),
            circuit_breaker=config.feature("circuit_breaker"),
            retry=config.feature("retry"),
            query_statistics=config.feature("query_statistics"),
            source=source,
        )

    def _targets(self) -> tuple[tuple[Target, ...], str]:
        from .conninfo import find, resolve

        found = find(self._variables(), env=self.env)
        declared = bool(self.loaded.layers) and (self.root / "environments").is_dir()
        if found is not None and not (declared and all(name.startswith("PG") for name in found.source)):
            targets = [
                target
                for one in (found, *found.replicas)
                for target in resolve(one.parameters, one.password or found.password)
            ]
            return tuple(targets), ", ".join(found.source)
        if not declared:
            raise ConfigError(
                "nothing says where the database is",
                why="there is no environments/ folder here or above, and no variable such as DATABASE_URL",
                fix="set DATABASE_URL, or change into a pgcohesion repo",
            )
        return self._declared(), f"environments/{self.env}.toml"

    def _variables(self) -> Mapping[str, str]:
        """Return the variables, without general ones that `db.run` exported for another environment."""
        exported_for = os.environ.get("PGCOHESION_ENV", self.env)
        if exported_for == self.env:
            return self.loaded.variables
        return {name: value for name, value in self.loaded.variables.items() if self.env.upper() in name.upper()}

    def _declared(self) -> tuple[Target, ...]:
        """Return the servers of the environment's file: the primary as programs reach it, then the replicas."""
        from .conninfo import resolve
        from .database import application

        ctx = context_of(self.loaded)
        try:
            parameters, password = application(ctx)
        finally:
            ctx.close()
        places = [{}, *(_place(replica) for replica in self.config.application.replicas)]
        return tuple(target for place in places for target in resolve({**parameters, **place}, password))


def _place(text: str) -> dict[str, str]:
    """Return host and port of ``host``, ``host:port`` or ``[address]:port``."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit():
        return {"host": text.strip("[]")}
    return {"host": host.strip("[]"), "port": port}


def get_database_config(env: str | None = None, *, root: Path | None = None) -> DatabaseConfig:
    """Return the configuration of an environment: *env*, or PGCOHESION_ENV, or ``development``.

    Outside a repo, variables alone tell: DATABASE_URL and its like, and PGCOHESION__SECTION__KEY for all else.
    Raises UsageError for an unknown environment, ConfigError with every problem of its files.
    """
    name = env or os.environ.get("PGCOHESION_ENV") or "development"
    try:
        folder = root or find_root()
    except ConfigError:
        return DatabaseConfig(bare(name, Path.cwd()))
    return DatabaseConfig(load(folder, name))
