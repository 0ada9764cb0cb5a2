"""The Server protocol."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class State(StrEnum):
    """Whether there is a server."""

    ABSENT = "absent"
    STOPPED = "stopped"
    RUNNING = "running"


class Server(Protocol):
    """One PostgreSQL cluster: its life cycle, and how to reach it."""

    user: str | None
    """The operating system user whose files and tools these are (None: ourselves)."""

    def state(self) -> State:
        """Return whether the cluster exists and runs."""

    def start(self) -> None:
        """Start it and wait until it accepts connections. Does nothing when it runs."""

    def stop(self) -> None:
        """Stop it (fast: sessions are ended, nothing committed is lost). Does nothing when it is stopped."""

    def restart(self) -> None:
        """Stop and start it."""

    def reload(self) -> None:
        """Make it read its configuration files again."""

    def parameters(self) -> dict[str, str]:
        """Return libpq's parameters for a superuser's session, without ``dbname``."""

    def address(self) -> tuple[str, int]:
        """Return host and port for programs of this machine, as an ordinary role."""

    def folder(self) -> str:
        """Return the folder of postgresql.conf and pg_hba.conf."""

    def data_folder(self) -> str:
        """Return the folder of the data."""

    def configuration_test(self) -> list[str]:
        """Return the command that parses the configuration files as they are on disk, and fails with complaints."""

    def tool(self, name: str) -> str:
        """Return the path of a client program of the server's own version."""

    def tool_environment(self) -> dict[str, str]:
        """Return the variables with which such a program connects as superuser."""

    def complaint(self) -> str:
        """Return what a host on the way to the server said last, or nothing."""

    def close(self) -> None:
        """Close what was opened to reach it."""
