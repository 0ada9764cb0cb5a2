"""A host over SSH (Fabric and Paramiko), with host keys always checked.

Fabric accepts any host key; here an unknown or changed key is refused. Commands go over channels of our
own instead of Connection.run, which feeds stdin a character per 10 ms and costs 50 ms a call.
"""

from __future__ import annotations

import contextlib
import logging
import re
import shlex
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Never

import fabric
import paramiko

from ..config.model import Host, Ssh
from ..errors import ConfigError, Unreachable
from ..plan import WriteFile
from ..redact import Secret
from .base import Done, Pipe, failed, read_with, write_with

SILENCE = {
    "TimeoutError": "no answer in time",
    "No existing session": "it takes the connection and says nothing",
    "Error reading SSH protocol banner": "it takes the connection and says nothing",
}
FRESH = 1.0  # seconds in which a host that was not to be reached is not tried again: threads ask one after the other
DEAD_AFTER_MS = 15_000  # unacknowledged data: the host is gone (TCP_USER_TIMEOUT)
# What goes wrong is raised; without a handler Paramiko's threads write it to stderr, too.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class SSH:
    """Runs programs on a host. The connection opens with the first use.

    Raises Unreachable for a host that does not answer, is not who it was, or does not let us in;
    ConfigError when sudo wants a password and none is declared.
    """

    def __init__(
        self,
        name: str,
        host: Host,
        ssh: Ssh,
        *,
        root: Path,
        password: Callable[[], Secret | None],
        remaining: Callable[[], float | None] = lambda: None,
        opening: Callable[[str], None] = lambda _: None,
    ) -> None:
        assert host.ssh
        self.name, self.host, self.ssh, self.root = name, host, ssh, root
        self._password, self._remaining, self._opening = password, remaining, opening
        self._connection: fabric.Connection | None = None
        self._sudo: str | None = None  # what to send to sudo; "" where it asks for nothing
        self._lock = threading.Lock()
        self._failure, self._failed = Unreachable(""), -FRESH

    # --- the Runner protocol ---------------------------------------------------------------------------

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> Done:
        """Run a program to its end. *env* must hold no secret: it stands in the command line."""
        command, prefix = self._command([*(("env", *(f"{k}={v}" for k, v in env.items())) if env else ()), *argv], user)
        status, out, err = self._exec(command, prefix + stdin)
        done = Done(tuple(argv), status, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))
        if check and status:
            raise failed(done, self.name)
        return done

    def read(self, path: str, *, user: str | None = None) -> bytes | None:
        """Return a file's content, or None."""
        return read_with(self, path, user)

    def write(self, file: WriteFile) -> None:
        """Write a file aside and move it into place."""
        write_with(self, file)

    def pipe(self, argv: Sequence[str], *, user: str | None = None) -> Pipe:
        """Start a program and talk to it."""
        command, prefix = self._command(argv, user, bounded=False)
        channel = self._channel()
        channel.exec_command(command.encode())
        if prefix:
            channel.sendall(prefix)
        return ChannelPipe(channel)

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            _end(connection)

    # --- commands ---------------------------------------------------------------------------------------

    def _command(self, argv: Sequence[str], user: str | None, *, bounded: bool = True) -> tuple[str, bytes]:
        remaining = self._remaining() if bounded else None
        if remaining is not None:
            argv = ("timeout", "-k", "5", f"{max(remaining, 0.1):.1f}", *argv)
        if user is None:
            return shlex.join(argv), b""
        if self._sudo is None:
            self._sudo = self._probe_sudo()
        how = ("sudo", "-k", "-S", "-p", "") if self._sudo else ("sudo", "-n")
        return shlex.join((*how, "-H", "-u", user, "--", *argv)), f"{self._sudo}\n".encode() if self._sudo else b""

    def _probe_sudo(self) -> str:
        status, _, err = self._exec("LC_ALL=C sudo -n true", b"")
        if status == 0:
            return ""
        secret = self._password()
        if secret is not None:
            status, _, err = self._exec("LC_ALL=C sudo -k -S -p '' true", f"{secret.reveal()}\n".encode())
            if status == 0:
                return secret.reveal()
        why = err.decode("utf-8", "replace").strip() or f"exit status {status}"
        if secret is None and "password is required" in why:
            raise ConfigError(
                f"sudo on `{self.name}` asks for a password",
                why=why,
                fix="allow it without (NOPASSWD)\n"
                f'or set hosts.{self.name}.sudo_password = {{ env = "SUDO_PASSWORD" }}',
            )
        raise Unreachable(
            f"sudo on `{self.name}` refuses",
            why=why,
            fix=f"mend what hosts.{self.name}.sudo_password leads to"
            if secret is not None and "incorrect password" in why
            else f"let `{self._user()}` use sudo on {self.name}, or log in as a user who may",
        )

    def _user(self) -> str:
        return str(self._open().user)

    def _exec(self, command: str, stdin: bytes) -> tuple[int, bytes, bytes]:
        channel = self._channel()
        errors: list[bytes] = []
        try:
            channel.exec_command(command.encode())
            threads = [
                threading.Thread(target=lambda: errors.append(_drain(channel.recv_stderr)), daemon=True),
                threading.Thread(target=_feed, args=(channel, stdin), daemon=True),
            ]
            for thread in threads:
                thread.start()
            out = _drain(channel.recv)
            status = channel.recv_exit_status()
            threads[0].join()
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._lost(error) from error
        finally:
            channel.close()
        if status == -1:
            raise self._lost(EOFError("the connection was lost before the command ended"))
        return status, out, b"".join(errors)

    def _lost(self, error: Exception) -> Unreachable:
        self.close()
        return Unreachable(
            f"lost the connection to `{self.name}`",
            why=str(error) or type(error).__name__,
            fix="run the same command again: it goes on from what was done",
        )

    # --- the connection ---------------------------------------------------------------------------------

    def _channel(self) -> paramiko.Channel:
        connection = self._open()
        transport = connection.transport
        if transport is None or not transport.is_active():
            self.close()
            transport = self._open().transport
        assert transport is not None
        try:
            channel: paramiko.Channel = transport.open_session(timeout=self.ssh.connect_timeout)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._lost(error) from error
        return channel

    def _open(self) -> fabric.Connection:
        with self._lock:
            if self._connection is None:
                if time.monotonic() - self._failed < FRESH:
                    raise Unreachable(self._failure.what, why=self._failure.why, fix=self._failure.fix)
                self._connection = self._connect()
            return self._connection

    def _connect(self) -> fabric.Connection:
        self._opening(f"connecting to {self.name} ({self.host.ssh})")
        connection = self._make()
        try:
            connection.open()
        except (paramiko.SSHException, OSError, EOFError, ValueError) as error:
            _end(connection)
            self._failure, self._failed = self._refused(error, connection), time.monotonic()
            raise self._failure from error
        self._tune(connection)
        return connection

    def _make(self) -> fabric.Connection:
        path = str((self.root / Path(self.ssh.config).expanduser()).resolve()) if self.ssh.config else None
        if path and not Path(path).is_file():
            raise ConfigError(
                f"there is no ssh config `{self.ssh.config}`", fix="mend ssh.config in the environment's file"
            )
        config = fabric.Config(runtime_ssh_path=path) if path else fabric.Config()
        remaining = self._remaining()
        timeout = self.ssh.connect_timeout if remaining is None else min(self.ssh.connect_timeout, max(remaining, 1.0))
        connect = {"banner_timeout": timeout, "auth_timeout": timeout, "channel_timeout": timeout}
        gateway = (
            fabric.Connection(self.host.via, config=config, connect_timeout=int(timeout)) if self.host.via else None
        )
        connection = fabric.Connection(
            self.host.ssh,
            config=config,
            gateway=gateway,
            connect_timeout=int(timeout),
            connect_kwargs=connect,
        )
        hop: Any = connection
        while isinstance(hop, fabric.Connection):
            hop.connect_kwargs.setdefault("banner_timeout", timeout)
            self._trust(hop)
            hop = hop.gateway
        return connection

    def _trust(self, connection: fabric.Connection) -> None:
        """Load the known host keys and refuse all others."""
        for file in self._known_hosts(connection):
            if file.is_file():
                connection.client.load_host_keys(str(file))
        connection.client.set_missing_host_key_policy(_Refuse(self.name))

    def _known_hosts(self, connection: fabric.Connection) -> list[Path]:
        if self.ssh.known_hosts:
            return [self.root / Path(self.ssh.known_hosts).expanduser()]
        named = str(connection.ssh_config.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2"))
        return [Path("/etc/ssh/ssh_known_hosts"), *(Path(name).expanduser() for name in shlex.split(named))]

    def _tune(self, connection: fabric.Connection) -> None:
        transport = connection.transport
        assert transport is not None
        transport.set_keepalive(self.ssh.keepalive)
        sock = transport.sock
        if isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER_MS)

    def _refused(self, error: Exception, connection: fabric.Connection) -> Unreachable:
        where, try_it = f"{connection.host}:{connection.port}", self.host.login
        if isinstance(error, paramiko.BadHostKeyException):
            return Unreachable(
                f"the host key of `{self.name}` has changed",
                why=f"{where} answers with another {error.key.get_name()} key than the one that is known:"
                " another machine, or somebody in between",
                fix=f"if you know why: ssh-keygen -R {shlex.quote(_known_name(connection))}\n"
                f"then {try_it} and compare the key",
            )
        if isinstance(error, _UnknownKey):
            return Unreachable(
                f"the host key of `{self.name}` is not known",
                why=f"{where} answers with {error}",
                fix=f"{try_it}, compare the key, and answer yes: that writes it down",
            )
        if isinstance(error, (paramiko.AuthenticationException, ValueError)):
            return Unreachable(
                f"`{self.name}` does not let `{connection.user}` in",
                why=f"{where}: {error}",
                fix=f"check the key: {try_it}",
            )
        return Unreachable(
            f"cannot reach `{self.name}`", why=f"{where}: {_why(error)}", fix=f"{try_it}  # and see what it says"
        )


def _end(connection: fabric.Connection) -> None:
    """Close it, and the way to it; behind a jump host the goodbye may find that way closed already."""
    for hop in (connection, connection.gateway):
        if isinstance(hop, fabric.Connection):
            with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
                hop.close()


def _why(error: Exception) -> str:
    if isinstance(error, paramiko.ChannelException):
        return f"the host on the way gets no connection to it: {error.text}"
    words = re.sub(r"^\[Errno \w+\] ", "", str(error)) or type(error).__name__
    return SILENCE.get(words, words)


def _known_name(connection: fabric.Connection) -> str:
    return connection.host if connection.port == 22 else f"[{connection.host}]:{connection.port}"


class _UnknownKey(paramiko.SSHException):
    pass


class _Refuse(paramiko.MissingHostKeyPolicy):
    def __init__(self, name: str) -> None:
        self.name = name

    def missing_host_key(self, client: object, hostname: str, key: paramiko.PKey) -> Never:
        raise _UnknownKey(f"{key.get_name()} {key.fingerprint}")


def _feed(channel: paramiko.Channel, data: bytes) -> None:
    """Send *data* to a program, which may end without reading all of it."""
    with contextlib.suppress(OSError):
        channel.sendall(data)
        channel.shutdown_write()


def _drain(receive: Callable[[int], bytes]) -> bytes:
    parts = []
    while part := receive(65536):
        parts.append(part)
    return b"".join(parts)


class ChannelPipe:
    """A running program on the host."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def send(self, data: bytes) -> None:
        """Write all of *data*."""
        self._channel.sendall(data)

    def receive(self) -> bytes:
        """Return the next bytes; empty at the end."""
        return self._channel.recv(65536)

    def finish(self) -> None:
        """Close the program's stdin."""
        with contextlib.suppress(OSError):
            self._channel.shutdown_write()

    def close(self) -> str:
        """Close the channel (its program sees the end of its stdin) and return its stderr."""
        error = b""
        while self._channel.recv_stderr_ready():
            error += self._channel.recv_stderr(65536)
        self._channel.close()
        return error.decode("utf-8", "replace")
