"""Faults of the door: the server answers its superuser, and the application does not get in."""

from __future__ import annotations

from pathlib import Path

from pgcohesion.health.registry import Finding
from pgcohesion.view import Grade
from tests.pg.seeded.stage import Fault, Lookalike, Stage, wait_for

APP = "chanuka_app"
LIBRARIES = f"ALTER ROLE {APP} RESET session_preload_libraries"


def known(stage: Stage) -> str:
    (row,) = stage.db.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [APP]).fetchall()
    return str(row[0])


def another_password(stage: Stage) -> None:
    back = f"ALTER ROLE {APP} PASSWORD '{known(stage)}'"
    stage.later(lambda: stage.sql(back))
    stage.sql(f"ALTER ROLE {APP} PASSWORD 'another'")


def declared_password(stage: Stage, finding: Finding) -> None:
    """Its fix is `inv db.setup`."""
    assert finding.fix.startswith("inv db.setup --env=test")
    password = stage.ctx.secret(stage.ctx.config.roles[APP].password, "")  # type: ignore[arg-type]
    assert password is not None
    stage.sql(f"ALTER ROLE {APP} PASSWORD '{password.reveal()}'")


def closed_to_it(stage: Stage) -> None:
    stage.sql(f'REVOKE CONNECT ON DATABASE "{stage.database}" FROM PUBLIC')


def library_that_is_gone(stage: Stage) -> None:
    stage.sql(f"ALTER ROLE {APP} SET session_preload_libraries = 'gone'")
    stage.later(lambda: stage.sql(LIBRARIES))


def rule_against_it(stage: Stage) -> None:
    ((name,),) = stage.db.execute("SHOW hba_file").fetchall()
    file = Path(name)
    before = file.read_text()
    stage.later(lambda: reloaded(stage, file, before))
    reloaded(stage, file, f"host all {APP} all reject\n{before}")


def no_rule_against_it(stage: Stage, finding: Finding) -> None:
    assert finding.fix.endswith("SELECT pg_reload_conf();")
    ((name,),) = stage.db.execute("SHOW hba_file").fetchall()
    reloaded(stage, Path(name), Path(name).read_text().partition("\n")[2])


def reloaded(stage: Stage, file: Path, text: str) -> None:
    loaded = "SELECT pg_conf_load_time()"
    before = stage.connect().execute(loaded).fetchall()
    file.write_text(text)
    stage.sql("SELECT pg_reload_conf()")
    wait_for(lambda: stage.connect().execute(loaded).fetchall() > before)


def granted_by_name(stage: Stage) -> str:
    closed_to_it(stage)
    stage.sql(f'GRANT CONNECT ON DATABASE "{stage.database}" TO {APP}')
    return APP


FAULTS = [
    Fault(
        "a password that is not the declared one",
        "application_login",
        another_password,
        APP,
        (),
        Grade.FAIL,
        mend=declared_password,
    ),
    Fault("a database that the application may not enter", "application_login", closed_to_it, APP, (), Grade.FAIL),
    Fault("a library of sessions that is gone", "application_login", library_that_is_gone, APP, (), Grade.FAIL),
    Fault(
        "a rule that rejects the application",
        "application_login",
        rule_against_it,
        APP,
        (),
        Grade.FAIL,
        mend=no_rule_against_it,
    ),
]
LOOKALIKES = [
    Lookalike("a database that only the application may enter", "application_login", granted_by_name),
]
