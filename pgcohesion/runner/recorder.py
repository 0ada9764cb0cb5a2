"""The fake that tests use: remembers every call, answers what it was told to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import Unreachable
from ..plan import WriteFile
from .base import Done, Pipe, failed


class Recorder:
    """A Runner that runs nothing.

    *answers* maps the first word of a command, or the whole command, to its stdout or its exit status;
    *files* holds what :meth:`read` finds and :meth:`write` leaves. *calls* is what was asked, in order.
    """

    name = "recorder"

    def __init__(
        self, answers: Mapping[str, str | int] | None = None, files: Mapping[str, bytes] | None = None
    ) -> None:
        self.answers = dict(answers or {})
        self.files = dict(files or {})
        self.calls: list[tuple[str, ...]] = []
        self.written: list[WriteFile] = []

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> Done:
        """Record the call and return the answer that was given for it."""
        self.calls.append(tuple(argv))
        answer = self.answers.get(" ".join(argv), self.answers.get(argv[0], ""))
        status, text = (answer, "") if isinstance(answer, int) else (0, answer)
        done = Done(tuple(argv), status, text, "")
        if check and status:
            raise failed(done, self.name)
        return done

    def read(self, path: str, *, user: str | None = None) -> bytes | None:
        """Return the file's content as given or written."""
        return self.files.get(path)

    def write(self, file: WriteFile) -> None:
        """Record the file."""
        self.written.append(file)
        self.files[file.path] = file.content

    def pipe(self, argv: Sequence[str], *, user: str | None = None) -> Pipe:
        """Refuse: a recorder has no programs to talk to."""
        raise Unreachable("a recorder runs nothing", why=" ".join(argv))

    def close(self) -> None:
        """Nothing is open."""
