"""What is typed and what comes back: text, JSON, exit codes; golden files beside this one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import Project

Golden = Callable[[str, str], None]

TEXTS = {
    "list": ("--list",),
    "help": ("db.setup", "--help"),
    "help-positional": ("--help", "env.explain"),
    "help-script": ("script.export-sample", "--help"),
    "env-list": ("env.list",),
    "env-show": ("env.show", "--env=staging"),
    "env-show-variables": ("env.show", "--env=staging", "--format=all"),
    "env-explain": ("env.explain", "settings.shared_buffers", "--env=staging"),
    "env-explain-secret": ("env.explain", "roles.chanuka_app.password"),
    "health-list": ("health.list",),
    "setup-dry-run": ("db.setup", "--dry-run"),
    "status-absent": ("db.status",),
    "render": ("provision.render", "--env=production"),
}
FAILURES = {
    "no-task": (("db.setpu",), 2),
    "no-namespace": (("nothing.like.it",), 2),
    "no-flag": (("db.setup", "--dry-rnu"), 2),
    "no-flag-in-front": (("--evn=x", "db.setup"), 2),
    "no-environment": (("db.status", "--env=stagin"), 2),
    "no-key": (("env.explain", "settigns.work_mem"), 2),
    "no-format": (("env.show", "--format=djnago"), 2),
    "no-argument": (("env.explain",), 2),
    "no-number": (("db.status", "--timeout=soon"), 2),
    "no-value": (("db.status", "--set", "settings.work_mem"), 2),
    "no-check": (("health.check", "--only=conections"), 2),
    "no-role": (("db.url", "--role=chanuka_ap"), 2),
    "not-set-up": (("db.start",), 2),
    "no-program": (("db.run",), 2),
    "unreachable": (("db.status", "--env=staging", "--set", "hosts.db1.ssh=nobody@localhost:1"), 3),
    "no-secret": (("provision.plan", "--set", "roles.chanuka_app.password.env=NOT_SET"), 2),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text(bare: Project, golden: Golden, name: str) -> None:
    done = bare.inv(*TEXTS[name])
    assert done.stderr == ""
    golden(f"{name}.txt", done.stdout)


@pytest.mark.parametrize("name", [name for name in TEXTS if not name.startswith(("list", "help"))])
def test_json_is_one_document(bare: Project, golden: Golden, name: str) -> None:
    done = bare.inv(*TEXTS[name], "--json")
    document = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert {"schema_version", "ok", "env", "task", "time", "result"} <= document.keys()
    golden(f"{name}.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("name", FAILURES)
def test_failure(bare: Project, golden: Golden, name: str) -> None:
    words, code = FAILURES[name]
    done = bare.inv(*words)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    golden(f"error-{name}.txt", done.stderr)
    assert done.returncode == code


@pytest.mark.parametrize("name", FAILURES)
def test_failure_as_json(bare: Project, name: str) -> None:
    words, code = FAILURES[name]
    done = bare.inv(*words, "--json")
    document = json.loads(done.stdout)
    assert document["ok"] is False
    assert {"code", "what", "why", "fix"} <= document["error"].keys()
    assert done.returncode == code


@pytest.mark.parametrize(
    "words",
    [
        ("--env=staging", "env.show"),
        ("env.show", "--env=staging"),
        ("env.show", "--env", "staging"),
        ("--env", "staging", "env.show"),
    ],
)
def test_the_environment_may_stand_anywhere(bare: Project, words: tuple[str, ...]) -> None:
    assert bare.json(*words)["env"] == "staging"


def test_the_environment_comes_from_a_variable_too(bare: Project) -> None:
    assert bare.json("env.show", env={"PGCOHESION_ENV": "production"})["env"] == "production"
    assert bare.json("env.show", "--env=test", env={"PGCOHESION_ENV": "production"})["env"] == "test"


def test_two_tasks_may_have_two_environments(bare: Project) -> None:
    done = bare.inv("env.show", "--env=test", "--json", "env.show", "--env=staging", "--json")
    assert [json.loads(line)["env"] for line in done.stdout.splitlines()] == ["test", "staging"]


def test_layers_override_in_order(bare: Project) -> None:
    def work_mem(*words: str, **env: str) -> object:
        return bare.json("env.show", "--env=staging", *words, env=env)["result"]["config"]["settings"]["work_mem"]

    dotenv = bare.root / "environments" / "staging.env"
    assert work_mem() == "8MB"
    dotenv.write_text("PGCOHESION__SETTINGS__WORK_MEM=9MB\n")
    try:
        assert work_mem() == "9MB"
        assert work_mem(PGCOHESION__SETTINGS__WORK_MEM="10MB") == "10MB"
        assert work_mem("--set", "settings.work_mem=11MB", PGCOHESION__SETTINGS__WORK_MEM="10MB") == "11MB"
        explained = bare.inv(
            "env.explain",
            "settings.work_mem",
            "--env=staging",
            "--set",
            "settings.work_mem=11MB",
            env={"PGCOHESION__SETTINGS__WORK_MEM": "10MB"},
        ).stdout
        places = ["environments/staging.toml:", "environments/staging.env", "process environment", "command line"]
        assert [place in line for place, line in zip(places, explained.splitlines()[1:], strict=False)] == [True] * 4
    finally:
        dotenv.unlink()


def test_all_problems_of_a_file_are_reported_at_once_without_secrets(bare: Project, golden: Golden) -> None:
    (bare.root / "environments" / "broken.toml").write_text("""extends = "base"
protectd = true
[postgresql]
version = "new"
[roles.chanuka_app]
password = "hunter2-in-clear"
logon = true
[databases.chanuka]
owner = "chanuka_ownr"
[[hba]]
type = "hosts"
""")
    try:
        done = bare.inv("env.show", "--env=broken")
        assert done.returncode == 2
        golden("error-config.txt", done.stderr)
        assert "hunter2" not in done.stderr + bare.inv("env.show", "--env=broken", "--json", "--verbose").stdout
    finally:
        (bare.root / "environments" / "broken.toml").unlink()


def test_a_broken_task_module_names_itself_and_leaves_the_others_usable(bare: Project) -> None:
    path = bare.write("tasks/broken.py", "import pgcohesion as pg\n\nnonsense(\n")
    try:
        listed = bare.inv("--list")
        assert listed.returncode == 0
        assert "db.setup" in listed.stdout
        assert "warning: tasks/broken.py:3 cannot be loaded: SyntaxError" in listed.stderr
        path.write_text("import pgcohesion as pg\n\nraise RuntimeError('not today')\n")
        asked = bare.inv("broken.task")
        assert asked.returncode == 2
        assert "tasks/broken.py:3 cannot be loaded: RuntimeError: not today" in asked.stderr
        assert bare.inv("env.list").returncode == 0
    finally:
        path.unlink()


def test_a_bug_becomes_a_line_and_a_masked_private_log(bare: Project) -> None:
    path = bare.write(
        "tasks/buggy.py",
        """
import pgcohesion as pg

@pg.task
def crash(ctx: pg.Context) -> None:
    '''Crash.'''
    raise ZeroDivisionError("with " + ctx.secret(ctx.config.roles["chanuka_app"].password, "x").reveal())
""",
    )
    try:
        done = bare.inv("buggy.crash", "--env=staging", env={"CHANUKA_APP_PASSWORD": "do-not-show-me"})
        assert done.returncode == 1
        assert done.stderr.startswith("error: unexpected error: ZeroDivisionError: with ***\n")
        (log,) = (bare.root / ".pgcohesion" / "logs").glob("debug-*.log")
        assert log.stat().st_mode & 0o777 == 0o600
        assert "Traceback" in log.read_text()
        assert "do-not-show-me" not in log.read_text() + done.stderr
        log.unlink()
    finally:
        path.unlink()


def test_a_timeout_bounds_a_task_and_its_children(bare: Project) -> None:
    path = bare.write(
        "tasks/slow.py",
        """
import pgcohesion as pg

@pg.task
def sleep(ctx: pg.Context) -> None:
    '''Sleep.'''
    ctx.run(("sh", "-c", "sleep 47.25; echo done"))
""",
    )
    try:
        started = time.monotonic()
        done = bare.inv("slow.sleep", "--timeout=1")
        assert done.returncode == 4
        assert time.monotonic() - started < 10
        assert "`slow.sleep` did not end within 1 s" in done.stderr
        while "47.25" in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout:
            assert time.monotonic() - started < 20  # it is killed, and takes a moment to go
    finally:
        path.unlink()


def test_a_reader_that_goes_away_is_no_error(bare: Project) -> None:
    for words in (("--list",), ("env.show",), ("db.setup", "--dry-run"), ("provision.render",)):
        with subprocess.Popen(
            bare.command(*words), cwd=bare.root, env=bare.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout
            assert process.stderr
            process.stdout.close()
            assert process.stderr.read() == b"", words


def test_ctrl_c_exits_130(bare: Project) -> None:
    path = bare.write(
        "tasks/slow.py",
        """
import pgcohesion as pg

@pg.task
def sleep(ctx: pg.Context) -> None:
    '''Sleep.'''
    ctx.output.note("sleeping")
    ctx.run(("sleep", "47.5"))
""",
    )
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            process = subprocess.Popen(
                bare.command("slow.sleep"), cwd=bare.root, env=bare.environment(), stderr=subprocess.PIPE, text=True
            )
            assert process.stderr
            assert process.stderr.readline() == "sleeping\n"
            process.send_signal(number)
            _, err = process.communicate()
            assert process.returncode == 130
            assert number.name in err
    finally:
        path.unlink()


def test_logs_as_json(bare: Project) -> None:
    done = bare.inv("db.status", env={"PGCOHESION_LOG": "json"})
    for line in done.stderr.splitlines():
        assert {"ts", "level", "event", "env", "task", "run_id"} <= json.loads(line).keys()


def test_unprintable_terminals_do_not_break_it(bare: Project) -> None:
    done = subprocess.run(
        bare.command("env.list"),
        cwd=bare.root,
        env=bare.environment(PYTHONIOENCODING="ascii", LC_ALL="C"),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0


def test_stock_invoke_and_python_see_the_same_tasks_module() -> None:
    code = "import tasks, tasks.db, sys; print(tasks.__file__.endswith('tasks.py'), tasks.db.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        env={**os.environ},
        check=True,
    )
    assert done.stdout.split() == ["True", "tasks.db"]


def test_the_second_ctrl_c_leaves_at_once(bare: Project) -> None:
    path = bare.write(
        "tasks/stubborn.py",
        """
import time
import pgcohesion as pg

@pg.task
def sleep(ctx: pg.Context) -> None:
    '''Sleep.'''
    try:
        ctx.output.note("sleeping")
        time.sleep(47)
    finally:
        ctx.output.note("tidying up")
        time.sleep(47)
""",
    )
    try:
        with subprocess.Popen(
            bare.command("stubborn.sleep"), cwd=bare.root, env=bare.environment(), stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr
            for line in ("sleeping\n", "tidying up\n"):
                assert process.stderr.readline() == line
                process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
        assert process.returncode == 130
    finally:
        path.unlink()
