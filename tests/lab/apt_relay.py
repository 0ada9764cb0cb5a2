"""A small caching apt relay: the only way out that a lab host has (standard library only).

Serves each Debian source of this machine's own apt below its own name (``http://BIND:PORT/debian/...``) and
forwards to those sources and to nothing else. Downloads go through apt's own client, so its proxies and
certificates hold. Files under pool/ and by-hash/ never change and are kept for good; indexes are asked for
again after ten minutes, and the kept copy serves when the source is out of reach.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

SUITES = ("bookworm", "bookworm-updates", "bookworm-security")
PORT = 3142
INDEX_SECONDS = 600
_FETCH = "/usr/lib/apt/apt-helper -q -o APT::Sandbox::User=root -o Acquire::Retries=2 download-file"
_FORMAT = "$(REPO_URI) $(RELEASE) $(COMPONENT)"


@dataclass(frozen=True)
class Source:
    """One suite of a Debian archive that this machine's apt knows; `slug` names the archive in the relay."""

    slug: str
    uri: str
    suite: str
    component: str

    def line(self, relay: str) -> str:
        """The line for a host's sources.list."""
        return f"deb {relay}/{self.slug} {self.suite} {self.component}"


def sources() -> list[Source]:
    """The Debian 12 sources of this machine's apt, in its own reading of its files."""
    if not shutil.which("apt-get"):
        return []
    argv = ["apt-get", "indextargets", "--no-release-info", "--format", _FORMAT, "Created-By: Packages"]
    listed = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    slugs: dict[str, str] = {}
    found = []
    for line in dict.fromkeys(listed.splitlines()):
        uri, suite, component = line.rsplit(" ", 2)
        if suite in SUITES and component == "main":
            slug = slugs.setdefault(uri, _unused(uri.rstrip("/").rsplit("/", 1)[-1], slugs))
            found.append(Source(slug, uri.rstrip("/"), suite, component))
    return found


def _unused(slug: str, taken: dict[str, str]) -> str:
    return slug if slug not in taken.values() else f"{slug}-{len(taken) + 1}"


class Relay(ThreadingHTTPServer):
    """The server, on a socket that already listens."""

    daemon_threads = True

    def __init__(self, listening: socket.socket, cache: Path) -> None:
        super().__init__(listening.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.cache = cache
        self.archives = {source.slug: source.uri for source in sources()}
        self._guard = threading.Lock()
        self._locks: dict[Path, threading.Lock] = {}

    def file(self, slug: str, path: str) -> Path | int:
        """The cached file, downloaded when need be; or the HTTP status that says why not."""
        kept = self.cache / slug / path
        with self._guard:
            lock = self._locks.setdefault(kept, threading.Lock())
        with lock:
            if _fresh(kept):
                return kept
            status = _download(f"{self.archives[slug]}/{quote(path)}", kept)
        return kept if status == 200 or (status != 404 and kept.exists()) else status


def _fresh(kept: Path) -> bool:
    if not kept.exists():
        return False
    forever = "/pool/" in str(kept) or "/by-hash/" in str(kept)
    return forever or time.time() - kept.stat().st_mtime < INDEX_SECONDS


def _download(url: str, target: Path) -> int:
    """Fetch with apt's own client; the HTTP status to answer with."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    argv, env = [*_FETCH.split(), url, str(part)], {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        return 404 if re.search(r"^ +404 ", done.stdout + done.stderr, re.MULTILINE) else 504
    os.utime(part)
    part.replace(target)
    return 200


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Relay

    def do_GET(self) -> None:
        slug, _, path = unquote(self.path).lstrip("/").partition("/")
        if slug not in self.server.archives or not path or ".." in path.split("/"):
            self.send_error(404)
            return
        found = self.server.file(slug, path)
        if isinstance(found, int):
            self.send_error(found)
            return
        self._send(found)

    def _send(self, file: Path) -> None:
        with file.open("rb") as body:
            self.send_response(200)
            self.send_header("Content-Length", str(os.fstat(body.fileno()).st_size))
            self.end_headers()
            shutil.copyfileobj(body, self.wfile, 1 << 20)


class _Quiet(_Handler):
    def log_message(self, *_: object) -> None:
        pass


def listen(address: str, port: int = 0, device: str | None = None) -> socket.socket:
    """A listening socket. With `device`, what arrives on another network device is not answered."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if device:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    listening.bind((address, port))
    listening.listen(64)
    return listening


@contextmanager
def serving(cache: Path) -> Iterator[str]:
    """A relay on the loopback for as long as the block lasts; yields its address."""
    relay = Relay(listen("127.0.0.1"), cache)
    relay.RequestHandlerClass = _Quiet
    thread = threading.Thread(target=relay.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{relay.socket.getsockname()[1]}"
    finally:
        relay.shutdown()
        relay.server_close()
        thread.join()


if __name__ == "__main__":
    Relay(socket.socket(fileno=sys.stdin.fileno()), Path(sys.argv[1])).serve_forever()
