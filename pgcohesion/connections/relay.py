"""A socket here that leads to a server's socket there, through a host's shell.

The relay on the host is perl, which every Debian has (perl-base is essential). Run as `postgres` it passes
peer authentication: no password and no open port are needed, and psycopg works as it does locally.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..runner import Pipe, Runner

PATIENCE = 0.5
"""Seconds for connections whose clients have gone to end on the host, too."""
PERL = r"""use strict; use Socket; my ($to) = @ARGV; my $s;
if ($to =~ m{^/}) { socket($s, PF_UNIX, SOCK_STREAM, 0) && connect($s, sockaddr_un($to)) or die "$to: $!\n" }
else { my ($h, $p) = $to =~ /^(.*):(\d+)$/; socket($s, PF_INET, SOCK_STREAM, 6)
       && connect($s, sockaddr_in($p, inet_aton($h))) or die "$to: $!\n" }
sub pump { my ($from, $into) = @_; my $b;
  while (sysread($from, $b, 65536)) { my $o = 0; while ($o < length $b) {
    my $n = syswrite($into, $b, length($b) - $o, $o); return unless defined $n; $o += $n } } }
$SIG{PIPE} = 'IGNORE'; my $pid = fork; die "fork: $!\n" unless defined $pid;
if (!$pid) { pump(\*STDIN, $s); shutdown($s, 1); exit 0 }
pump($s, \*STDOUT); kill 'TERM', $pid; waitpid($pid, 0);
"""


class Relay:
    """Listens here (a unix socket in a private folder, or loopback TCP) and relays each connection.

    *target* is a socket's path or ``address:port`` as the host sees it.
    """

    def __init__(self, runner: Runner, target: str, *, user: str | None, tcp: bool = False) -> None:
        self._runner, self._target, self._user = runner, target, user
        self._folder = None if tcp else Path(tempfile.mkdtemp(prefix="pgcohesion-"))
        self._listener = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX)
        if self._folder is None:
            self._listener.bind(("127.0.0.1", 0))
            self.host, self.port = "127.0.0.1", int(self._listener.getsockname()[1])
        else:
            self._listener.bind(str(self._folder / ".s.PGSQL.5432"))
            self.host, self.port = str(self._folder), 5432
        self._listener.listen()
        self.complaint = ""  # what the host's end wrote to stderr last
        self._closing = False
        self._serving: list[threading.Thread] = []
        self._start(self._accept)

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._start(lambda client=client: self._serve(client))  # type: ignore[misc]

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                pipe = self._runner.pipe(("perl", "-e", PERL, self._target), user=self._user)
            except Exception as error:  # noqa: BLE001  (a thread: the client sees its connection closed)
                self.complaint = str(error)
                return
            self._serving.append(threading.current_thread())
            self._start(lambda: _send(client, pipe))
            with contextlib.suppress(OSError):
                while data := pipe.receive():
                    client.sendall(data)
            self.complaint = pipe.close().strip() or self.complaint  # before the client hears of the end
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _start(work: Callable[[], None]) -> None:
        threading.Thread(target=work, daemon=True).start()

    def close(self) -> None:
        """Stop listening, and wait a moment for connections whose clients have gone."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        deadline = time.monotonic() + PATIENCE
        for thread in self._serving:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def _send(client: socket.socket, pipe: Pipe) -> None:
    with contextlib.suppress(OSError, ValueError):
        while data := client.recv(65536):
            pipe.send(data)
    pipe.finish()
