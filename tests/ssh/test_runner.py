"""The SSH runner on a real sshd: commands, files, pipes, and hosts that are not what they should be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import fabric
import psycopg
import pytest

from pgcohesion.config.model import Host, Ssh
from pgcohesion.connections.relay import Relay
from pgcohesion.errors import CommandFailed, ConfigError, Unreachable
from pgcohesion.opening import open_context
from pgcohesion.plan import WriteFile
from pgcohesion.runner import Local, Runner
from pgcohesion.runner.ssh import SSH
from tests.ssh.sshd import Sshd
from tests.support import REPO

HOSTILE = ("", "a b", "'", '"', "$HOME", "`id`", "$(id)", "\\", "a\nb", "ü€", "*", "-n", ";", "&&")


def over_ssh(sshd: Sshd, ssh: str = "local1", **how: object) -> SSH:
    """Return a runner on the sshd."""
    settings = {"config": str(sshd.config), "connect_timeout": 2.0, **how}
    return SSH("local1", Host(ssh=ssh), Ssh(**settings), root=Path("/"), password=lambda: None)  # type: ignore[arg-type]


@pytest.fixture(params=["local", "ssh"])
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """Both real runners: a task cannot tell the difference."""
    made: Runner = Local() if request.param == "local" else over_ssh(request.getfixturevalue("sshd"))
    yield made
    made.close()


def test_words_arrive_as_they_are(runner: Runner) -> None:
    done = runner.run(("printf", "%s\\0", *HOSTILE))
    assert tuple(done.stdout.split("\0")[:-1]) == HOSTILE


def test_a_failure_quotes_the_program(runner: Runner) -> None:
    with pytest.raises(CommandFailed) as caught:
        runner.run(("sh", "-c", "echo out; echo broken >&2; exit 3"))
    assert caught.value.status == 3
    assert caught.value.why == "broken"
    assert runner.run(("sh", "-c", "exit 3"), check=False).status == 3


def test_large_input_and_output_do_not_block(runner: Runner) -> None:
    data = b"x" * 5_000_000
    done = runner.run(("sh", "-c", "tee /dev/stderr"), stdin=data)
    assert len(done.stdout) == len(done.stderr) == len(data)


def test_input_that_is_not_read_is_no_error(runner: Runner) -> None:
    assert runner.run(("true",), stdin=b"y" * 3_000_000).status == 0


def test_environment_is_added(runner: Runner) -> None:
    assert runner.run(("sh", "-c", 'printf %s "$GREETING"'), env={"GREETING": "it's $HOME"}).stdout == "it's $HOME"


def test_files_are_written_whole_and_read_back(runner: Runner, tmp_path: Path) -> None:
    path = str(tmp_path / "it's a file")
    content = bytes(range(256)) * 5000
    runner.write(WriteFile(path, content, 0o640))
    assert runner.read(path) == content
    assert Path(path).stat().st_mode & 0o777 == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["it's a file"]
    assert runner.read(str(tmp_path / "none")) is None
    assert Path(path).write_bytes(b"") == 0
    assert runner.read(path) == b""


def test_a_file_that_cannot_be_written_leaves_nothing(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("a file")
    with pytest.raises(CommandFailed):
        runner.write(WriteFile(str(tmp_path / "file" / "below"), b"x"))
    assert (tmp_path / "file").read_text() == "a file"


def test_a_pipe_talks_both_ways(runner: Runner) -> None:
    pipe = runner.pipe(("sh", "-c", 'while read line; do echo "<$line>"; done; echo end >&2'))
    pipe.send(b"one\n")
    assert pipe.receive() == b"<one>\n"
    pipe.finish()
    assert pipe.receive() == b""
    pipe.close()


def test_many_commands_share_one_connection(sshd: Sshd) -> None:
    opened: list[str] = []
    runner = over_ssh(sshd)
    runner._opening = opened.append
    for _ in range(5):
        runner.run(("true",))
    assert len(opened) == 1
    runner.close()


def test_a_host_that_is_down_is_announced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with closing(open_context("test", root=REPO)) as ctx:
        monkeypatch.setattr(ctx.output, "note", said.append)
        runner = ctx.reach("db1", Host(ssh="nobody@127.0.0.1:1"))
        for _ in range(3):
            with pytest.raises(Unreachable):
                runner.run(("true",))
    assert said == ["connecting to db1 (nobody@127.0.0.1:1)"]


def test_a_key_that_is_not_authorised(sshd: Sshd) -> None:
    with pytest.raises(Unreachable, match="does not let"):
        over_ssh(sshd, "stranger1").run(("true",))


def test_an_unknown_host_key_is_refused(sshd: Sshd) -> None:
    sshd.forget()
    with pytest.raises(Unreachable, match="is not known") as caught:
        over_ssh(sshd).run(("true",))
    assert "ssh-ed25519 SHA256:" in caught.value.why


def test_a_changed_host_key_is_refused(sshd: Sshd) -> None:
    sshd.rekey()
    with pytest.raises(Unreachable, match="has changed"):
        over_ssh(sshd).run(("true",))


def test_a_stopped_and_a_mute_host_are_errors_in_time(sshd: Sshd, mute_port: int) -> None:
    sshd.alias("mute1", mute_port)
    started = time.monotonic()
    with pytest.raises(Unreachable, match="cannot reach"):
        over_ssh(sshd, "mute1").run(("true",))
    sshd.stop()
    with pytest.raises(Unreachable, match="cannot reach"):
        over_ssh(sshd).run(("true",))
    assert time.monotonic() - started < 10


def test_who_waits_for_a_connection_hears_why_there_is_none(
    sshd: Sshd, mute_port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    sshd.alias("mute1", mute_port)
    runner, opened = over_ssh(sshd, "mute1"), list[str]()
    runner._opening = opened.append

    def ask(_: int) -> str:
        with pytest.raises(Unreachable) as caught:
            runner.run(("true",))
        return caught.value.why

    with ThreadPoolExecutor(3) as crew:
        (why,) = set(crew.map(ask, range(3)))
    assert len(opened) == 1
    assert why == f"127.0.0.1:{mute_port}: it takes the connection and says nothing"
    assert capfd.readouterr().err == ""  # Paramiko's own thread would tell it with its traceback


def test_a_connection_that_is_lost_in_the_middle(sshd: Sshd) -> None:
    runner = over_ssh(sshd)
    pipe = runner.pipe(("sh", "-c", "echo on; sleep 60"))
    assert pipe.receive() == b"on\n"
    assert runner._connection is not None
    assert runner._connection.transport is not None
    runner._connection.transport.sock.close()
    with pytest.raises(Unreachable):
        runner.run(("true",))


def test_a_goodbye_that_finds_the_way_closed_is_no_error(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    close = fabric.Connection.close

    def too_late(self: fabric.Connection) -> None:
        close(self)
        raise EOFError

    runner = over_ssh(sshd)
    runner.run(("true",))
    monkeypatch.setattr(fabric.Connection, "close", too_late)
    runner.close()


def test_a_missing_ssh_config_is_a_configuration_error(sshd: Sshd) -> None:
    with pytest.raises(ConfigError, match="there is no ssh config"):
        over_ssh(sshd, config="/nowhere/config").run(("true",))


def test_postgresql_through_the_relay(runner: Runner, tmp_path: Path) -> None:
    """A server that is not there gives psycopg's error in time; what the host said is kept."""
    relay = Relay(runner, f"{tmp_path}/.s.PGSQL.5432", user=None)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(host=relay.host, port=relay.port, user="x", connect_timeout=5)
    assert "No such file or directory" in relay.complaint
    relay.close()
    assert not Path(relay.host).exists()
