"""Scripts on a real server: those that are shipped, and what every script gets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

import pgcohesion as pg
from pgcohesion.context import Context, Options
from pgcohesion.errors import CohesionError, Locked, ServerError
from pgcohesion.opening import open_context
from pgcohesion.script import running
from pgcohesion.script.alone import OnlyCopy
from pgcohesion.script.loading import load
from tests.support import REPO, Project, project

pytestmark = pytest.mark.pg
ENV = "--env=test"
SHIPPED = {path.stem: load(path) for path in sorted((REPO / "scripts").glob("*.py"))}


@pytest.fixture(scope="module")
def live() -> Iterator[Project]:
    """A project that is set up, whose data these tests may change."""
    with project() as made:
        assert made.inv("script.setup", ENV).returncode == 0
        yield made


@pytest.fixture
def ctx(live: Project) -> Iterator[Context]:
    context = open_context("test", root=live.root)
    context.db.execute("DROP TABLE IF EXISTS made; CREATE TABLE made (n int, at timestamptz DEFAULT clock_timestamp())")
    yield context
    context.db.execute("DROP TABLE made")
    context.close()


def script(live: Project, name: str, body: str) -> None:
    """Write a script of the project; *body* is the class."""
    live.write(f"scripts/{name}.py", f"import os\nimport signal\nimport pgcohesion as pg\n\n{body}\n")


@contextlib.contextmanager
def session(ctx: Context, **more: Any) -> Iterator[psycopg.Connection[Any]]:
    """Open a session that is nobody's."""
    parameters: dict[str, Any] = {**ctx.server.parameters(), "dbname": "chanuka", **more}
    with contextlib.closing(psycopg.connect(**parameters, autocommit=True)) as connection:
        yield connection


def until(what: Callable[[], Any], seconds: float = 20) -> Any:
    """Wait until *what* is true."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
    return found


def started(live: Project, *words: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        live.command(*words),
        cwd=live.root,
        env=live.environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def sessions(ctx: Context, like: str = "pgcohesion script.%") -> list[Any]:
    query = "SELECT pid, query FROM pg_stat_activity WHERE application_name LIKE %s AND pid <> pg_backend_pid()"
    return ctx.db.execute(query, [like])


def locks(ctx: Context) -> int:
    (row,) = ctx.db.execute("SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory'")
    return int(row.n)


def dump(ctx: Context, database: str = "chanuka") -> str:
    """Return everything in a database, as SQL."""
    done = subprocess.run(
        [ctx.server.tool("pg_dump"), "--restrict-key=x", database],
        env={**os.environ, **ctx.server.tool_environment()},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def roles(ctx: Context) -> list[Any]:
    return ctx.db.execute("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1")


# --- every shipped script ---------------------------------------------------------------------------------

ARGUMENTS = {"rotate_password": ["chanuka_app"], "export_sample": ["sample.sql"], "analyze_stale": ["--min-changes=0"]}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_dry_run_writes_nothing(live: Project, ctx: Context, name: str) -> None:
    def state() -> object:
        inside = dump(ctx)
        files = {path: content for path, content in live.tree().items() if not path.endswith("server.log")}
        return inside, roles(ctx), files

    if not SHIPPED[name].changes:
        assert live.inv(f"script.{SHIPPED[name].name}", ENV, "--dry-run").returncode == 2
        return
    with session(ctx) as idle:
        idle.execute("BEGIN; SELECT 1")
        before = state()
        words = [*ARGUMENTS.get(name, []), *(["--in-transaction=0"] if name == "kill_idle" else [])]
        done = live.json(f"script.{SHIPPED[name].name}", ENV, "--dry-run", *words)
        assert done["ok"], done
        assert done["result"]["state"] == "planned"
        assert done["result"]["made"] == 0
        idle.execute("SELECT 1")
        assert state() == before
    if name not in ("setup", "migrate", "seed"):
        assert done["result"]["changes"]


def test_what_a_script_writes_by_mistake_the_server_refuses_in_a_dry_run(live: Project, ctx: Context) -> None:
    body = """class Writes(pg.Script):
    'Write while it should look.'
    resumable = True
    def steps(self, ctx):
        ctx.db.execute('INSERT INTO made VALUES (1)')
        return []
"""
    script(live, "writes", body)
    assert live.json("script.writes", ENV, "--dry-run")["error"]["sqlstate"] == "25006"
    assert made(ctx) == []
    assert live.inv("script.writes", ENV).returncode == 0
    assert made(ctx) == [1]


@pytest.mark.parametrize("name", SHIPPED)
def test_each_is_a_program_with_the_same_options_from_any_folder(live: Project, tmp_path: Path, name: str) -> None:
    file = live.root / "scripts" / f"{name}.py"
    how: dict[str, Any] = {"cwd": tmp_path, "env": live.environment(PYTHONPATH=str(REPO)), "text": True}
    helped = subprocess.run([sys.executable, file, "--help"], capture_output=True, check=True, **how).stdout
    assert helped == live.inv(f"script.{SHIPPED[name].name}", "--help").stdout
    wrong = subprocess.run(
        [sys.executable, file, *ARGUMENTS.get(name, []), "--evn=test"], capture_output=True, check=False, **how
    )
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean `--env`?" in wrong.stderr


def test_a_program_exits_as_its_task_does(live: Project, ctx: Context, tmp_path: Path) -> None:
    file = live.root / "scripts" / "analyze_stale.py"
    how: dict[str, Any] = {"cwd": tmp_path, "env": live.environment(PYTHONPATH=str(REPO)), "text": True}
    for words, code in ((["--min-changes=0"], 0), (["--min-changes=x"], 2), (["--timeout=0.001"], 4)):
        done = subprocess.run([sys.executable, file, ENV, *words, "--json"], capture_output=True, check=False, **how)
        assert done.returncode == code, done.stderr
        assert json.loads(done.stdout)["ok"] is (code == 0)


def test_setup_reset_migrate_and_seed_are_the_rooms(fresh: Project) -> None:
    assert fresh.inv("script.migrate", ENV).returncode == 2
    assert fresh.inv("script.setup", ENV).returncode == 0
    for name in ("setup", "migrate", "seed"):
        assert "no changes" in fresh.inv(f"script.{name}", ENV).stdout
    fresh.write("migrations/0009_more.sql", "-- More.\ncreate table more (x int);\n")
    fresh.write("seeds/sample/0009_more.sql", "-- More.\ninsert into more values (1);\n")
    assert fresh.json("script.migrate", ENV)["result"]["made"] == 1
    assert fresh.json("script.seed", ENV)["result"]["made"] == 1
    ctx = open_context("test", root=fresh.root)
    ctx.db.execute("INSERT INTO chanuka.more VALUES (2)")
    assert len(ctx.db.execute("SELECT x FROM chanuka.more")) == 2
    ctx.close()
    assert fresh.inv("script.reset", ENV).returncode == 0
    assert len(ctx.db.execute("SELECT x FROM chanuka.more")) == 1
    ctx.close()


def test_analyze_refreshes_what_changed_whatever_its_name(live: Project, ctx: Context) -> None:
    schema, table = 'Sch"e;ma', 'we ird"; DROP TABLE made; --\n%s {x}'
    name = SQL("{}").format(Identifier(schema, table))
    ctx.db.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema)))
    try:
        ctx.db.execute(SQL("CREATE TABLE {} (n int)").format(name))
        ctx.db.execute(SQL("INSERT INTO {} SELECT generate_series(1, 50)").format(name))
        ctx.db.execute("INSERT INTO made SELECT generate_series(1, 5)")
        ctx.db.execute("SELECT pg_stat_force_next_flush()")
        result = SHIPPED["analyze_stale"](min_changes=20).call(ctx)
        assert f"analyze {schema}.{table}" in [c["what"] for c in result.as_dict()["changes"]]
        left = ctx.db.execute("SELECT relname FROM pg_stat_user_tables WHERE n_mod_since_analyze > 20")
        assert left == []
        assert ctx.db.execute("SELECT relname FROM pg_stat_user_tables WHERE n_mod_since_analyze = 5") != []
        assert SHIPPED["analyze_stale"](min_changes=20).call(ctx).made == 0
    finally:
        ctx.db.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(schema)))


def test_kill_idle_ends_what_is_idle_and_nothing_else(live: Project, ctx: Context) -> None:
    with session(ctx, application_name="stuck; --") as stuck, session(ctx) as idle, session(ctx) as busy:
        stuck.execute("BEGIN; SELECT 1")
        busy.execute("BEGIN")
        with busy.cursor() as working:
            busy.pgconn.send_query(b"SELECT pg_sleep(60)")
            done = live.json("script.kill-idle", ENV, "--in-transaction=0")
            assert [change["what"] for change in done["result"]["changes"]] == [f"end session {stuck.info.backend_pid}"]
            assert "stuck; --: idle in transaction" in done["result"]["changes"][0]["detail"]
            busy.cancel()
            assert working is not None
        with pytest.raises(psycopg.OperationalError):
            stuck.execute("SELECT 1")
        idle.execute("SELECT 1")
        assert live.json("script.kill-idle", ENV, "--idle=0")["result"]["made"] >= 1
        ctx.db.forget()  # ours were idle, too
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")


def test_a_session_that_woke_up_meanwhile_lives(ctx: Context) -> None:
    with session(ctx) as woken, session(ctx) as other:
        for one in (woken, other):
            one.execute("BEGIN; SELECT 1")
        kill = SHIPPED["kill_idle"]

        class Late(kill):  # type: ignore[misc,valid-type]
            """Wake one up between the look and the end."""

            def steps(self, ctx: pg.ScriptContext) -> Iterator[pg.Change]:
                for change in super().steps(ctx):
                    woken.execute("SELECT 2")
                    yield change

        Late(in_transaction=0).call(ctx)
        woken.execute("SELECT 3")
        with pytest.raises(psycopg.OperationalError):
            other.execute("SELECT 3")


# --- waiting ----------------------------------------------------------------------------------------------


def test_waiting_ends_when_the_database_answers_or_time_is_over(fresh: Project) -> None:
    absent = fresh.inv("script.wait-for-database", ENV, "--timeout=1")
    assert absent.returncode == 4
    assert "`test` has no database yet" in absent.stderr
    assert not (fresh.root / ".pgcohesion").exists()
    assert fresh.inv("script.setup", ENV).returncode == 0
    assert fresh.json("script.wait-for-database", ENV)["result"]["values"]["waited"] < 10
    fresh.inv("db.stop", ENV)
    began = time.monotonic()
    down = fresh.json("script.wait-for-database", ENV, "--timeout=1")
    assert time.monotonic() - began < 10
    assert (down["error"]["code"], down["result"]["state"]) == ("timeout", "failed")
    assert "not running" in down["error"]["why"]
    waiting = started(fresh, "script.wait-for-database", ENV, "--timeout=30")
    fresh.inv("db.start", ENV)
    assert waiting.wait(30) == 0
    waiting.communicate()
    secret = fresh.root / ".pgcohesion/test/superuser.password"
    right = secret.read_text()
    secret.write_text("wrong\n")
    refused = fresh.inv("script.wait-for-database", ENV, "--timeout=30")
    secret.write_text(right)
    assert refused.returncode == 3
    assert "password authentication failed" in refused.stderr


# --- a new password -----------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
import pgcohesion.provision.rotation as rotation
from pgcohesion.script.loading import load
setattr(rotation.Rotation, sys.argv[1], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
sys.argv[1:] = ["chanuka_app", "--env=test"]
load(Path("scripts/rotate_password.py")).main()
"""


def login(ctx: Context, password: str) -> bool:
    host, port = ctx.server.address()
    try:
        psycopg.connect(host=host, port=port, user="chanuka_app", password=password, dbname="chanuka").close()
    except psycopg.OperationalError as error:
        if "password authentication failed" not in str(error):
            raise
        return False
    return True


def test_a_password_is_rotated_and_never_shown(live: Project, ctx: Context) -> None:
    file = live.root / ".pgcohesion/test/chanuka_app.password"
    old = file.read_text().strip()
    done = live.inv("script.rotate-password", "chanuka_app", ENV, "--verbose", "--json")
    new = file.read_text().strip()
    assert done.returncode == 0
    assert new != old
    assert (login(ctx, old), login(ctx, new)) == (False, True)
    assert old not in done.stdout + done.stderr
    assert new not in done.stdout + done.stderr
    assert "SCRAM-SHA-256$" not in done.stdout + done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    assert list((live.root / ".pgcohesion/test").glob("*.new")) == []
    assert "no changes" in live.inv("provision.plan", ENV).stdout


@pytest.mark.parametrize("step", ["keep", "set", "place", "prove"])
def test_killed_at_any_step_a_rotation_goes_on(live: Project, ctx: Context, step: str) -> None:
    file = live.root / ".pgcohesion/test/chanuka_app.password"
    old = file.read_text().strip()
    how: dict[str, Any] = {"cwd": live.root, "env": live.environment(PYTHONPATH=str(REPO)), "capture_output": True}
    killed = subprocess.run([sys.executable, "-c", KILLED, step], check=False, **how)
    assert killed.returncode == -signal.SIGKILL
    assert login(ctx, old) is (step in ("keep", "set"))
    assert (file.read_text().strip() == old) is (step != "prove")
    waiting = list((live.root / ".pgcohesion/test").glob("*.new"))
    assert len(waiting) == (step != "keep")
    kept = waiting[0].read_text() if waiting else None
    assert live.inv("script.rotate-password", "chanuka_app", ENV).returncode == 0
    assert kept in (None, file.read_text())
    assert login(ctx, file.read_text().strip())
    assert not login(ctx, old)
    assert list((live.root / ".pgcohesion/test").glob("*.new")) == []


def test_a_secret_of_an_env_file_is_replaced_in_its_line(live: Project, ctx: Context) -> None:
    words = ("--set", "roles.chanuka_app.password.env=APP_SECRET")
    env = live.root / "environments/test.env"
    env.write_text("# ours\nOTHER=a=b\nexport APP_SECRET = 'old one'  # keep\nLAST=1")
    env.chmod(0o640)
    done = live.inv("script.rotate-password", "chanuka_app", ENV, *words)
    assert done.returncode == 0, done.stderr
    first, second, third, fourth = env.read_text().split("\n")
    assert (first, second, fourth) == ("# ours", "OTHER=a=b", "LAST=1")
    assert third.startswith("export APP_SECRET = ")
    assert login(ctx, third.rpartition(" ")[2])
    assert env.stat().st_mode & 0o777 == 0o640
    for content, variables in (("", {}), ("APP_SECRET=a\nAPP_SECRET=b\n", {}), ("APP_SECRET=a\n", {"APP_SECRET": "b"})):
        env.write_text(content)
        refused = live.inv("script.rotate-password", "chanuka_app", ENV, *words, env={"APP_SECRET": "", **variables})
        assert refused.returncode == 2
        assert env.read_text() == content
    env.unlink()
    command = ("--set", "roles.chanuka_app.password.command=echo x")
    assert "change it there" in live.inv("script.rotate-password", "chanuka_app", ENV, *command).stderr
    unknown = live.inv("script.rotate-password", "chanuka_ap", ENV)
    assert (unknown.returncode, "did you mean `chanuka_app`" in unknown.stderr) == (2, True)
    assert live.inv("script.rotate-password", "chanuka_owner", ENV).returncode == 2
    assert live.inv("provision.apply", ENV).returncode == 0  # what the file has, again
    assert live.inv("script.rotate-password", "chanuka_app", ENV).returncode == 0


# --- a sample -------------------------------------------------------------------------------------------------


def test_a_sample_is_complete_anonymous_and_loads(live: Project, ctx: Context, tmp_path: Path) -> None:
    file = tmp_path / "sample.sql"
    done = live.json("script.export-sample", str(file), ENV, "--bills=30")
    assert done["ok"], done
    text = file.read_text()
    for query in (
        "SELECT unnest(ARRAY[handle, display_name, email]) FROM chanuka.users",
        "SELECT email FROM chanuka.legislators WHERE email IS NOT NULL",
        "SELECT body FROM chanuka.comments",
    ):
        assert [row[0] for row in ctx.db.execute(query) if row[0] in text] == []
    assert live.json("script.export-sample", str(tmp_path / "again.sql"), ENV, "--bills=30")["ok"]
    assert (tmp_path / "again.sql").read_text() == text
    ctx.db.forget()
    ctx.db.execute("CREATE DATABASE loaded TEMPLATE chanuka", database="postgres")
    try:
        names = "bills, users, legislators, committees, topics, parties"
        ctx.db.execute(f"SET search_path = chanuka; TRUNCATE {names} CASCADE", database="loaded")
        loaded = subprocess.run(
            [ctx.server.tool("psql"), "-XqAtv", "ON_ERROR_STOP=1", "-f", file, "loaded"],
            env={**os.environ, **ctx.server.tool_environment()},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (loaded.returncode, loaded.stderr) == (0, "")

        def count(table: str, where: str = "true", database: str = "loaded") -> int:
            return int(ctx.db.execute(f"SELECT count(*) FROM chanuka.{table} WHERE {where}", database=database)[0][0])

        assert count("bills") == 30
        bills = [row[0] for row in ctx.db.execute("SELECT bill_id FROM chanuka.bills", database="loaded")]
        mine = f"bill_id IN ({', '.join(map(str, bills))})"
        for table in ("bill_versions", "sponsors", "bill_actions", "votes", "comments", "follows"):
            assert count(table) == count(table, mine, "chanuka") > 0, table
        assert count("vote_positions") > 0
        assert count("comment_reactions") > 0
        assert count("legislators", "email IS NOT NULL OR born_on IS NOT NULL") == 0
        assert count("users", "district IS NOT NULL") == 0
        statuses = "SELECT bill_id, status FROM chanuka.bills WHERE " + mine + " ORDER BY 1"
        assert ctx.db.execute(statuses, database="loaded") == ctx.db.execute(statuses)
        ctx.db.execute("INSERT INTO chanuka.topics (slug, name) VALUES ('new', 'New')", database="loaded")
    finally:
        ctx.db.forget("loaded")
        ctx.db.execute("DROP DATABASE loaded WITH (FORCE)", database="postgres")


def test_a_sample_that_cannot_be_written_leaves_nothing(live: Project, ctx: Context, tmp_path: Path) -> None:
    for to in (tmp_path / "absent" / "x.sql", tmp_path):
        failed = live.inv("script.export-sample", str(to), ENV)
        assert (failed.returncode, "cannot write" in failed.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []


# --- what every script gets ---------------------------------------------------------------------------------

ROWS = """
class {name}(pg.Script):
    "Insert rows, and meet {what} on the way."
    resumable = True
    rows: int = 4
    def steps(self, ctx):
        ctx.expect(self.rows)
        for n in range(1, self.rows + 1):
            yield pg.Change("run", f"row {{n}}", ctx.sql("INSERT INTO made VALUES ({{n:l}})", n=n))
            if n == 2 and os.path.exists("trouble"):
                {trouble}
"""


def made(ctx: Context) -> list[int]:
    return [row.n for row in ctx.db.execute("SELECT n FROM made ORDER BY at")]


def test_killed_in_the_middle_it_goes_on_from_there(live: Project, ctx: Context) -> None:
    kill = 'yield pg.Change("run", "die", pg.plan.Step(lambda _: os.kill(os.getpid(), signal.SIGKILL)))'
    script(live, "rows", ROWS.format(name="Rows", what="a kill", trouble=kill))
    trouble = live.root / "trouble"
    trouble.touch()
    assert live.inv("script.rows", ENV).returncode == -signal.SIGKILL
    assert made(ctx) == [1, 2]
    trouble.unlink()
    planned = live.json("script.rows", ENV, "--dry-run")["result"]
    assert [change["what"] for change in planned["changes"]] == ["row 3", "row 4"]
    assert live.json("script.rows", ENV, "--rows=1", "--dry-run")["result"]["skipped"] == 0
    result = live.json("script.rows", ENV)["result"]
    assert (result["made"], result["skipped"], result["left"]) == (2, 2, 0)
    assert made(ctx) == [1, 2, 3, 4]
    assert list((live.root / ".pgcohesion/test/scripts").iterdir()) == []
    assert live.json("script.rows", ENV)["result"]["made"] == 4


def test_fresh_begins_again_and_another_database_knows_nothing(live: Project, ctx: Context) -> None:
    fail = 'yield pg.Change("run", "fail", ctx.sql("SELECT 1/0"))'
    script(live, "rows", ROWS.format(name="Rows", what="a failure", trouble=fail))
    (live.root / "trouble").touch()
    failed = live.json("script.rows", ENV)
    assert (failed["error"]["sqlstate"], failed["result"]["state"]) == ("22012", "failed")
    assert (failed["result"]["made"], failed["result"]["skipped"], failed["result"]["left"]) == (2, 0, 2)
    assert live.json("script.rows", ENV)["result"]["skipped"] == 2
    (live.root / "trouble").unlink()
    ctx.db.execute("CREATE DATABASE other", database="postgres")
    sets = ("--set=databases.other.owner=chanuka_owner", "--set=application.database=other")
    other = live.json("script.rows", ENV, "--dry-run", *sets)["result"]
    ctx.db.execute("DROP DATABASE other WITH (FORCE)", database="postgres")
    assert (other["skipped"], len(other["changes"])) == (0, 4)
    assert live.json("script.rows", ENV, "--fresh", "--dry-run")["result"]["skipped"] == 0
    assert live.json("script.rows", ENV, "--dry-run")["result"]["skipped"] == 2
    again = live.json("script.rows", ENV, "--fresh")["result"]
    assert (again["made"], again["skipped"]) == (4, 0)
    assert made(ctx) == [1, 2, 1, 2, 3, 4]


def test_a_step_that_comes_twice_is_made_twice(ctx: Context) -> None:
    class Twice(pg.Script):
        """Do the same three times, and fail before the third."""

        resumable = True

        def steps(self, ctx: pg.ScriptContext) -> Iterator[pg.Change]:
            for _ in range(2):
                yield pg.Change("run", "row", ctx.sql("INSERT INTO made VALUES (1)"))
            yield pg.Change("run", "maybe", ctx.sql(f"SELECT 1/{int(mended)}"))
            yield pg.Change("run", "row", ctx.sql("INSERT INTO made VALUES (2)"))

    mended = False
    with pytest.raises(ServerError):
        Twice().call(ctx)
    mended = True
    result = Twice().call(ctx)
    assert (result.made, result.skipped, made(ctx)) == (2, 2, [1, 1, 2])


HANGS = """
class Hangs(pg.Script):
    "Hang in a statement."
    def steps(self, ctx):
        yield pg.Change("run", "row", ctx.sql("INSERT INTO made VALUES (1)"))
        yield pg.Change("run", "hang", ctx.sql("INSERT INTO made SELECT 2 FROM pg_sleep(60)"))
"""


def hanging(live: Project, ctx: Context, *words: str) -> subprocess.Popen[str]:
    script(live, "hangs", HANGS)
    process = started(live, "script.hangs", ENV, *words)
    until(lambda: [s for s in sessions(ctx) if "pg_sleep" in s.query])
    return process


def test_a_timeout_bounds_a_statement_that_hangs(live: Project, ctx: Context) -> None:
    script(live, "hangs", HANGS)
    began = time.monotonic()
    done = live.json("script.hangs", ENV, "--timeout=1")
    assert time.monotonic() - began < 10
    assert done["error"]["code"] == "timeout"
    assert "it was at: hang" in done["error"]["why"]
    assert done["result"]["made"] == 1
    assert live.inv("script.hangs", ENV, "--timeout=1").returncode == 4
    until(lambda: not sessions(ctx))
    assert (locks(ctx), made(ctx)) == (0, [1, 1])


def test_where_no_signal_comes_the_server_bounds_a_statement(ctx: Context) -> None:
    class Hangs(pg.Script):
        """Hang, in a thread."""

        timeout = 0.3

        def steps(self, ctx: pg.ScriptContext) -> list[pg.Change]:
            return [pg.Change("run", "hang", ctx.sql("SELECT pg_sleep(60)"))]

    raised: list[CohesionError] = []

    def call() -> None:
        try:
            Hangs().call(ctx)
        except CohesionError as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(20)
    assert [error.code for error in raised] == ["timeout"]
    assert raised[0].result.elapsed < 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_and_nothing_stays(live: Project, ctx: Context, number: signal.Signals) -> None:
    process = hanging(live, ctx, "--json")
    assert locks(ctx) == 1
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert json.loads(out)["result"]["state"] == "interrupted"
    assert "1 step made, `hang` was next" in err
    until(lambda: not sessions(ctx))
    assert (locks(ctx), made(ctx)) == (0, [1])
    audit = (live.root / ".pgcohesion/audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["result"] for line in audit[-1:]] == ["interrupted"]
    assert live.inv("script.analyze-stale", ENV).returncode == 0


def test_what_a_killed_script_was_doing_ends_too(live: Project, ctx: Context) -> None:
    process = hanging(live, ctx)
    process.kill()
    process.communicate()
    until(lambda: not sessions(ctx))
    assert (locks(ctx), made(ctx)) == (0, [1])


def test_a_second_copy_is_refused_and_told_who_is_first(live: Project, ctx: Context) -> None:
    with OnlyCopy(ctx, "analyze-stale"):
        (first,) = sessions(ctx, "pgcohesion script.analyze-stale")
        refused = live.inv("script.analyze-stale", ENV)
        assert refused.returncode == 5
        assert f"process {first.pid} of the server (pgcohesion script.analyze-stale, postgres) since " in refused.stderr
        assert live.inv("script.analyze-stale", ENV, "--dry-run").returncode == 0
        assert live.inv("script.kill-idle", ENV).returncode == 0
        with pytest.raises(Locked):
            SHIPPED["analyze_stale"]().call(ctx)
    assert live.inv("script.analyze-stale", ENV).returncode == 0
    process = hanging(live, ctx)
    second = live.inv("script.hangs", ENV)
    process.terminate()
    process.communicate()
    assert second.returncode == 5


def test_scripts_that_read_run_one_at_a_time_too_unless_they_say_otherwise(live: Project, ctx: Context) -> None:
    for name, parallel in (("one", False), ("many", True)):
        body = f"parallel_copies = {parallel}\n    def run(self, ctx): return {{'n': 1}}"
        script(live, name, f"class {name.title()}(pg.Script):\n    'Read.'\n    {body}")
        with OnlyCopy(ctx, name):
            assert live.inv(f"script.{name}", ENV).returncode == (0 if parallel else 5)
        assert live.json(f"script.{name}", ENV)["result"]["values"] == {"n": 1}


def test_a_lock_that_was_lost_is_taken_again_or_ends_the_run(ctx: Context) -> None:
    thief = OnlyCopy(ctx, "lossy")

    class Lossy(pg.Script):
        """Lose the lock between two steps."""

        stolen: bool = False

        def steps(self, ctx: pg.ScriptContext) -> Iterator[pg.Change]:
            yield pg.Change("run", "one", ctx.sql("INSERT INTO made VALUES (1)"))
            end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory'"
            ctx.db.execute(end)
            if self.stolen:
                thief.__enter__()
            yield pg.Change("run", "two", ctx.sql("INSERT INTO made VALUES (2)"))

    assert Lossy().call(ctx).made == 2
    with pytest.raises(Locked):
        Lossy(stolen=True).call(ctx)
    thief.__exit__()
    assert made(ctx) == [1, 2, 1]


def test_steps_are_tried_again_when_that_helps(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "BACKOFF", 0.0)
    ctx.db.execute("CREATE SEQUENCE tries")
    flaky = """DO $$ BEGIN
      IF nextval('tries') < 3 THEN RAISE EXCEPTION 'not yet' USING ERRCODE = {state:l}; END IF;
      INSERT INTO made VALUES (1); END $$"""
    dying = """DO $$ BEGIN
      IF nextval('tries') < 3 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
      INSERT INTO made VALUES (1); END $$"""

    class Flaky(pg.Script):
        """Need three tries."""

        retries = 2
        state: str = "40001"
        dies: bool = False
        idempotent: bool = False

        def steps(self, ctx: pg.ScriptContext) -> Iterator[pg.Change]:
            action = ctx.sql(dying) if self.dies else ctx.sql(flaky, state=self.state)
            yield pg.Change("run", "it", action, idempotent=self.idempotent)

    def tried(**how: Any) -> int:
        ctx.db.execute("ALTER SEQUENCE tries RESTART")
        with contextlib.suppress(CohesionError):
            Flaky(**how).call(ctx)
        (row,) = ctx.db.execute("SELECT last_value AS n FROM tries")
        return int(row.n)

    try:
        assert [tried(), tried(state="40P01"), tried(state="55P03"), tried(dies=True, idempotent=True)] == [3] * 4
        assert made(ctx) == [1] * 4
        assert [tried(state="23505"), tried(dies=True), tried(state="23505", idempotent=True)] == [1] * 3
        assert made(ctx) == [1] * 4
    finally:
        ctx.db.execute("DROP SEQUENCE tries")


def test_a_protected_environment_guards_scripts(live: Project, ctx: Context) -> None:
    guard = ("--set", "protected=true")
    ctx.db.execute("INSERT INTO made VALUES (1)")
    script(live, "adds", "class Adds(pg.Script):\n    'Add.'\n    def steps(self, ctx):\n"
           "        yield pg.Change('run', 'a row', ctx.sql('INSERT INTO made VALUES (2)'))\n")  # fmt: skip
    refused = live.inv("script.adds", ENV, *guard)
    assert (refused.returncode, "--yes test" in refused.stderr) == (5, True)
    assert live.inv("script.adds", ENV, *guard, "--yes=live").returncode == 5
    assert made(ctx) == [1]
    assert live.inv("script.adds", ENV, *guard, "--yes=test").returncode == 0
    assert made(ctx) == [1, 2]


def test_what_drops_is_guarded_when_it_comes(live: Project) -> None:
    """A step that no look ahead has shown."""
    text = (live.root / "environments/test.toml").read_text()
    (live.root / "environments/stage.toml").write_text(text)
    ctx = open_context("stage", root=live.root, options=Options(env="stage"))
    looks = iter([False, True])

    class Drops(pg.Script):
        """Drop later."""

        parallel_copies = True

        def steps(self, ctx: pg.ScriptContext) -> Iterator[pg.Change]:
            if next(looks):
                yield pg.Change("drop", "everything", pg.plan.Step(lambda _: pytest.fail("dropped")))

    with pytest.raises(CohesionError, match="not changed without a word"):
        Drops().call(ctx)
    ctx.close()
    (live.root / "environments/stage.toml").unlink()


def test_a_script_in_python_leaves_its_callers_connections_alone(ctx: Context) -> None:
    mine = ctx.db.connection()
    result = SHIPPED["analyze_stale"](min_changes=10**9).call(ctx)
    assert isinstance(result, pg.ScriptResult)
    assert (result.state, result.made, mine.closed) == ("ok", 0, False)
    until(lambda: not sessions(ctx, "pgcohesion script.analyze-stale"))

    class Fails(pg.Script):
        """Fail."""

        def steps(self, ctx: pg.ScriptContext) -> list[pg.Change]:
            return [pg.Change("run", "it", ctx.sql("SELECT 1/0"))]

    with pytest.raises(ServerError) as caught:
        Fails().call(ctx)
    assert caught.value.result.state == "failed"


def test_a_broken_script_names_itself_and_leaves_the_others_usable(live: Project) -> None:
    live.write("scripts/_helper.py", "raise RuntimeError('not a script')\n")
    for body, why in (
        ("nonsense(\n", ":1 cannot be loaded: SyntaxError"),
        ("x = 1\n", "it has no Script called BadOne"),
    ):
        live.write("scripts/bad_one.py", body)
        listed = live.inv("--list")
        assert "script.analyze-stale" in listed.stdout
        assert (f"warning: scripts/bad_one.py{why}" in listed.stderr) or why in listed.stderr
        asked = live.inv("script.bad-one")
        assert asked.returncode == 2
        assert "fix: mend scripts/bad_one.py" in asked.stderr
        assert live.inv("script.analyze-stale", ENV).returncode == 0
    (live.root / "scripts/bad_one.py").unlink()
    missing = live.inv("script.analyse-stale")
    assert (missing.returncode, "did you mean `script.analyze-stale`" in missing.stderr) == (2, True)
