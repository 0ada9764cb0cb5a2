"""Faults of settings, security, integrity, WAL and replication."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.pq import ExecStatus, PGconn

from pgcohesion.health.registry import Finding
from pgcohesion.view import Grade

from .stage import Fault, Lookalike, Stage, wait_for


def one(stage: Stage, query: str) -> Any:
    ((value,),) = stage.db.execute(query.encode()).fetchall()
    return value


def role(stage: Stage, name: str, words: str = "LOGIN") -> None:
    """Make a role (*name* quoted) that goes at the end."""
    stage.sql(f"CREATE ROLE {name} {words}")
    stage.later(lambda: stage.sql(f"DROP ROLE IF EXISTS {name}"))


def hba(stage: Stage, line: str) -> Path:
    """Add a line to pg_hba.conf until the end; no reload: the check reads the file."""
    file = Path(one(stage, "SHOW hba_file"))
    before = file.read_text()

    def back() -> None:
        file.write_text(before)
        stage.sql("SELECT pg_reload_conf()")

    stage.later(back)
    file.write_text(f"{before.rstrip()}\n{line}\n")
    return file


def wrong_value(stage: Stage) -> None:
    file = Path(one(stage, "SHOW data_directory")) / "postgresql.auto.conf"
    file.write_text(file.read_text() + "work_mem = 'much'\n")
    stage.later(lambda: stage.sql("ALTER SYSTEM RESET work_mem"))


def waits_for_a_restart(stage: Stage) -> None:
    stage.later(lambda: stage.sql("ALTER SYSTEM RESET max_connections"))
    stage.sql("ALTER SYSTEM SET max_connections = 77")


def wrong_rule(stage: Stage) -> str:
    file = hba(stage, "host all all nowhere/8 what")
    return f"{file}:{len(file.read_text().splitlines())}"


def wrong_map(stage: Stage) -> str:
    file = Path(one(stage, "SHOW ident_file"))
    before = file.read_text()
    stage.later(lambda: file.write_text(before))
    file.write_text(f"{before.rstrip()}\nonly two\n")
    return f"{file}:{len(file.read_text().splitlines())}"


def unencrypted_rule(stage: Stage) -> str:
    """Want encryption that is not switched on."""
    file = hba(stage, "hostssl all all 10.0.0.0/8 scram-sha-256")
    return f"{file}:{len(file.read_text().splitlines())}"


def wrong_name(stage: Stage) -> None:
    """Write a setting that does not exist into a file whose name would end a comment."""
    file = Path(one(stage, "SHOW config_file"))
    before = file.read_text()
    odd = file.with_name("it's\nSELECT 1;.conf")

    def back() -> None:
        file.write_text(before)
        odd.unlink(missing_ok=True)

    stage.later(back)
    odd.write_text("work_memory = 1\n")
    file.write_text(f"{before}\ninclude 'it''s\\nSELECT 1;.conf'\n")


def correct(stage: Stage, finding: Finding) -> None:
    assert finding.fix.splitlines()[1:] == ["SELECT pg_reload_conf();"]
    Path(one(stage, "SHOW data_directory"), "it's\nSELECT 1;.conf").write_text("work_mem = '4MB'\n")


def take_out(stage: Stage, finding: Finding) -> None:
    name, _, number = finding.object.rpartition(":")
    kept = Path(name).read_text().splitlines()
    del kept[int(number) - 1]
    Path(name).write_text("\n".join(kept) + "\n")


def trusting_rule(stage: Stage) -> None:
    hba(stage, 'host all "a b" 10.0.0.0/8 trust')


def clear_rule(stage: Stage) -> None:
    hba(stage, "host all all samenet password")


def rewrite(stage: Stage, finding: Finding) -> None:
    """Put the line that the fix gives in the place that it names."""
    file = Path(one(stage, "SHOW hba_file"))
    where, line, _ = finding.fix.splitlines()
    kept = file.read_text().splitlines()
    kept[int(where.split()[2]) - 1] = line.removeprefix("-- ")
    file.write_text("\n".join(kept) + "\n")


def refusing_rule(stage: Stage) -> None:
    hba(stage, "host all all all reject")


def old_passwords(stage: Stage) -> None:
    stage.setting("password_encryption", "md5")


def old_hash(stage: Stage) -> None:
    role(stage, '"o ld"', f"LOGIN PASSWORD 'md5{'0' * 32}'")


def new_password(stage: Stage, finding: Finding) -> None:
    setting, command = finding.fix.splitlines()
    stage.sql(setting, command.replace("\\password", "ALTER ROLE") + " PASSWORD 'new'")


def shown_past(options: str = "", *more: str) -> Any:
    """Make a view for others of a table with row security, both of its owner."""

    def seed(stage: Stage) -> str:
        role(stage, '"a reader"')
        stage.sql(
            "CREATE TABLE public.rows (id int PRIMARY KEY, who text)",
            "ALTER TABLE public.rows ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY own ON public.rows USING (who = current_user)",
            f'CREATE VIEW public."a view" {options} AS SELECT * FROM public.rows',
            *more or ('GRANT SELECT ON public."a view" TO "a reader"',),
        )
        stage.later(lambda: stage.sql('DROP VIEW public."a view"', "DROP TABLE public.rows"))
        return 'public."a view"'

    return seed


def shown_to_itself(stage: Stage) -> str:
    return str(shown_past("", "SELECT 1")(stage))


def nearly_superuser(stage: Stage) -> None:
    role(stage, '"a pp"')
    role(stage, '"the gr""oup"', "NOLOGIN")
    stage.sql("""GRANT postgres TO "the gr""oup" WITH ADMIN OPTION""", """GRANT "the gr""oup" TO "a pp\"""")


def superuser_at_times(stage: Stage) -> str:
    role(stage, "dba", "SUPERUSER NOLOGIN")
    role(stage, "person", "LOGIN IN ROLE dba")
    return "person"


def superuser_never(stage: Stage) -> str:
    role(stage, "nobody_in_it", "NOLOGIN IN ROLE postgres")
    return "nobody_in_it"


def pool_of_superuser(stage: Stage) -> None:
    role(stage, '"bo ""ss"', "LOGIN SUPERUSER PASSWORD 'x'")
    for _ in range(3):
        stage.connect(user='bo "ss', password="x")


def psql_of_superuser(stage: Stage) -> None:
    for _ in range(6):
        stage.connect(application_name="psql")


def reads_files(stage: Stage) -> None:
    role(stage, '"it\'s"')
    role(stage, '"gro up"', "NOLOGIN")
    stage.sql('GRANT "gro up" TO "it\'s"', 'GRANT pg_read_server_files TO "gro up"')


def group_of_nobody(stage: Stage) -> str:
    role(stage, "nobody_in_it", "NOLOGIN")
    stage.sql("GRANT pg_write_server_files TO nobody_in_it")
    return "nobody_in_it"


def open_schema(stage: Stage) -> None:
    stage.sql('CREATE SCHEMA "my ""s"', 'GRANT CREATE ON SCHEMA "my ""s" TO PUBLIC')


def usable_schema(stage: Stage) -> None:
    stage.sql("CREATE SCHEMA used", "GRANT USAGE ON SCHEMA used TO PUBLIC")


def open_table(stage: Stage) -> None:
    stage.sql('CREATE TABLE public."odd ""t" (a int)', 'GRANT SELECT, INSERT ON public."odd ""t" TO PUBLIC')


def ends_soon(stage: Stage) -> None:
    role(stage, '"tem\'p"', f"LOGIN VALID UNTIL '{one(stage, 'SELECT now() + interval $$2 days$$')}'")


def has_ended(stage: Stage) -> None:
    role(stage, '"to o"', f"LOGIN VALID UNTIL '{one(stage, 'SELECT now() - interval $$1 hour$$')}'")


def ended_long_ago(stage: Stage) -> str:
    role(stage, "gone", "LOGIN VALID UNTIL '2020-01-01'")
    return "gone"


def definer(stage: Stage) -> None:
    stage.sql(
        """CREATE FUNCTION public."do ""it"(a int, "b c" text) RETURNS int SECURITY DEFINER LANGUAGE plpgsql
           AS $$ BEGIN RETURN a; END $$"""
    )


def careful_definers(stage: Stage) -> None:
    stage.sql(
        "CREATE FUNCTION public.bound() RETURNS int SECURITY DEFINER LANGUAGE sql RETURN 1",
        """CREATE FUNCTION public.pinned() RETURNS int SECURITY DEFINER LANGUAGE sql SET search_path = public, pg_temp
           AS 'SELECT 1'""",
        "CREATE FUNCTION public.mine() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'",
        "REVOKE ALL ON FUNCTION public.mine() FROM PUBLIC",
    )


def open_database(stage: Stage) -> str:
    stage.sql(f'GRANT CREATE ON DATABASE "{stage.database}" TO PUBLIC')
    return stage.database


def open_columns(stage: Stage) -> None:
    stage.sql(
        f'CREATE TABLE {ODD} (id int PRIMARY KEY, "sal ary" int, b int)',
        f'GRANT UPDATE ("sal ary", b), SELECT ("sal ary") ON {ODD} TO PUBLIC',
    )


def open_tomorrow(stage: Stage) -> None:
    stage.sql(
        'CREATE SCHEMA "my ""s"',
        'ALTER DEFAULT PRIVILEGES FOR ROLE chanuka_owner IN SCHEMA "my ""s" GRANT SELECT, INSERT ON TABLES TO PUBLIC',
    )


def seen_by_who_sees_all(stage: Stage) -> str:
    """Let only a role read the table that no row security holds."""
    stage.sql(
        'CREATE ROLE "by ""pass" BYPASSRLS',
        f"CREATE TABLE {ODD} (id int PRIMARY KEY)",
        f"ALTER TABLE {ODD} ENABLE ROW LEVEL SECURITY",
        f'GRANT SELECT ON {ODD} TO "by ""pass"',
    )
    stage.later(lambda: stage.sql(f"DROP TABLE {ODD}", 'DROP ROLE "by ""pass"'))
    return ODD


def policy_unused(stage: Stage) -> None:
    stage.sql('CREATE TABLE public."odd ""t" (a int)', 'CREATE POLICY p ON public."odd ""t" USING (a > 0)')


def no_policy(stage: Stage) -> None:
    stage.sql(
        'CREATE TABLE public."no p" (a int)',
        'ALTER TABLE public."no p" ENABLE ROW LEVEL SECURITY',
        'GRANT SELECT ON public."no p" TO chanuka_readonly',
    )


def write_policy(stage: Stage, finding: Finding) -> None:
    stage.sql(finding.fix.replace("condition", "a > 0"))


def nobodys_rows(stage: Stage) -> None:
    stage.sql("CREATE TABLE public.locked (a int)", "ALTER TABLE public.locked ENABLE ROW LEVEL SECURITY")


def other_library(stage: Stage) -> str:
    stage.sql("UPDATE pg_database SET datcollversion = '0.1' WHERE datname = current_database()")
    return stage.database


COLLATION = 'CREATE COLLATION public."odd c" (provider = {}, locale = {})'


def template(stage: Stage) -> None:
    stage.later(lambda: stage.sql("ALTER DATABASE template1 REFRESH COLLATION VERSION"))
    stage.sql("UPDATE pg_database SET datcollversion = '0.1' WHERE datname = 'template1'")
    with pytest.raises(psycopg.Error, match="collation version"):
        stage.sql("CREATE DATABASE never_made TEMPLATE template1")


OLDER = "UPDATE pg_collation SET collversion = '0.1' WHERE collname = 'odd c'"


def collation(stage: Stage) -> None:
    """Make a collation that has a version: the server for 18 is built without ICU, 15 has no other with one."""
    builtin = stage.db.info.server_version >= 170000
    stage.sql(COLLATION.format(*(("builtin", "'C.UTF-8'") if builtin else ("icu", "'en'"))))


def other_collation(stage: Stage) -> None:
    collation(stage)
    stage.sql('CREATE TABLE public.words (w text COLLATE "odd c")')
    stage.sql('CREATE INDEX "odd i" ON public.words (w)', OLDER)


def collation_of_no_index(stage: Stage) -> None:
    collation(stage)
    stage.sql(OLDER)


def lost_extension(stage: Stage) -> None:
    """Give an extension a name of which the server has no files."""
    stage.sql("CREATE EXTENSION hstore", "UPDATE pg_extension SET extname = 'lo st' WHERE extname = 'hstore'")


def found_again(stage: Stage, finding: Finding) -> None:
    assert 'DROP EXTENSION "lo st"' in finding.fix
    stage.sql("UPDATE pg_extension SET extname = 'hstore' WHERE extname = 'lo st'")


def old_extension(stage: Stage) -> None:
    stage.sql("CREATE EXTENSION hstore WITH SCHEMA public VERSION '1.4'")


def drop_slot(stage: Stage, name: str) -> None:
    stage.sql(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{name}'")


def write(stage: Stage, segments: int) -> None:
    for _ in range(segments):
        stage.sql("SELECT pg_logical_emit_message(false, 'x', 'y')", "SELECT pg_switch_wal()")


def lost_slot(stage: Stage) -> None:
    stage.setting("max_slot_wal_keep_size", "1MB")
    stage.sql("SELECT pg_create_physical_replication_slot('left_behind', true)")
    stage.later(lambda: drop_slot(stage, "left_behind"))
    write(stage, 3)
    stage.sql("CHECKPOINT")


def unreserved_slot(stage: Stage) -> str:
    stage.sql("SELECT pg_create_physical_replication_slot('not_reserving', false)")
    stage.later(lambda: drop_slot(stage, "not_reserving"))
    return "not_reserving"


def full_wal(stage: Stage) -> None:
    write(stage, 3)
    stage.setting("max_wal_size", "32MB")


class Standby:
    """A wal receiver that says what it likes: only as much of the protocol as a primary believes."""

    def __init__(self, stage: Stage) -> None:
        hba(stage, "local replication all scram-sha-256")
        stage.sql("SELECT pg_reload_conf()")
        given = {**stage.ctx.server.parameters(), "replication": "true", "application_name": "it's"}
        info = psycopg.conninfo.make_conninfo(**given).encode()
        wait_for(lambda: self._connect(info))
        stage.later(self.connection.finish)
        self.stage = stage
        start = self._position("flush")
        answer = self.connection.exec_(b"START_REPLICATION PHYSICAL %X/%X" % (start >> 32, start & 0xFFFFFFFF))
        assert answer.status == ExecStatus.COPY_BOTH, self.connection.error_message
        self.confirm()

    def _connect(self, info: bytes) -> bool:
        self.connection = PGconn.connect(info)
        return self.connection.status == 0

    def _position(self, which: str) -> int:
        return int(one(self.stage, f"SELECT pg_current_wal_{which}_lsn() - '0/0'"))

    def confirm(self) -> None:
        """Say that all is replayed."""
        at = self._position("insert")  # a commit here is asynchronous: what is flushed may be a segment behind
        self.connection.put_copy_data(struct.pack("!cQQQQ?", b"r", at, at, at, 0, False))
        self.connection.flush()


standbys: list[Standby] = []


def late_standby(stage: Stage) -> None:
    standbys.append(Standby(stage))
    write(stage, 2)  # the first one may be nearly full


def catch_up(stage: Stage, finding: Finding) -> None:
    """Apply the fix, which only looks, then let the standby replay."""
    standbys.pop().confirm()


def punctual_standby(stage: Stage) -> None:
    standby = Standby(stage)
    write(stage, 1)
    standby.confirm()
    wait_for(lambda: one(stage, "SELECT max(pg_current_wal_lsn() - replay_lsn) < 1000 FROM pg_stat_replication"))


SUBSCRIBE = """CREATE SUBSCRIPTION "su ""b" CONNECTION 'host=/nowhere dbname=x' PUBLICATION p
               WITH (connect = false, slot_name = 'x')"""


def unsubscribe(stage: Stage) -> None:
    for end in ("DISABLE", "SET (slot_name = NONE)"):
        with suppress(psycopg.Error):
            stage.sql(f'ALTER SUBSCRIPTION "su ""b" {end}')
    stage.sql('DROP SUBSCRIPTION IF EXISTS "su ""b"')


def away_publisher(stage: Stage) -> None:
    stage.later(lambda: unsubscribe(stage))
    stage.sql(SUBSCRIBE, 'ALTER SUBSCRIPTION "su ""b" ENABLE')


def disable(stage: Stage, finding: Finding) -> None:
    stage.sql(finding.fix.splitlines()[-1].rpartition(": ")[2])


def disabled_subscription(stage: Stage) -> None:
    stage.later(lambda: unsubscribe(stage))
    stage.sql(SUBSCRIBE)


def left_disabled(stage: Stage) -> None:
    """Have a subscription that has copied a table, as the catalogue tells it, and that somebody disabled."""
    stage.later(lambda: unsubscribe(stage))
    stage.sql(
        "CREATE TABLE public.followed ()",
        SUBSCRIBE,
        "INSERT INTO pg_subscription_rel SELECT oid, 'public.followed'::regclass, 'r', '0/1' FROM pg_subscription",
    )


LAG = ("health.limits.replication_lag.warn=1e6",)
ODD = 'public."odd ""t"'

FAULTS = [
    Fault("a view that goes past row security", "row_security_views", shown_past(), least=15),
    Fault("a role that may become superuser, through a group", "superusers", nearly_superuser, 'the gr"oup'),
    Fault("a setting that the server cannot read", "config_errors", wrong_value, "work_mem", grade=Grade.FAIL),
    Fault("a rule that the server cannot read", "config_errors", wrong_rule, grade=Grade.FAIL, mend=take_out),
    Fault("a rule that can never match", "config_errors", unencrypted_rule, mend=take_out),
    Fault("a file with an odd name", "config_errors", wrong_name, "work_memory", grade=Grade.FAIL, mend=correct),
    Fault("a map that the server cannot read", "config_errors", wrong_map, grade=Grade.FAIL, mend=take_out, least=15),
    Fault(
        "a rule that trusts a network",
        "hba_rules",
        trusting_rule,
        'host all "a b" 10.0.0.0 255.0.0.0 trust',
        mend=rewrite,
    ),
    Fault(
        "a rule that takes passwords in clear", "hba_rules", clear_rule, "host all all samenet password", mend=rewrite
    ),
    Fault("passwords that will be stored as md5", "password_encryption", old_passwords),
    Fault("a password that is stored as md5", "md5_passwords", old_hash, "o ld", mend=new_password),
    Fault(
        "an application that is superuser",
        "superuser_sessions",
        pool_of_superuser,
        'bo "ss',
        sets=("health.limits.superuser_sessions.warn=3",),
    ),
    Fault("a role that reads the host's files, through a group", "server_file_roles", reads_files, "gro up"),
    Fault("a schema for everybody's functions", "public_create", open_schema, 'my "s'),
    Fault("a table that everybody may change", "public_grants", open_table, ODD),
    Fault("a database for everybody's schemas", "public_create", open_database),
    Fault("columns that everybody may change", "public_grants", open_columns, ODD),
    Fault("tables that everybody will be able to change", "public_grants", open_tomorrow, '"my ""s"'),
    Fault("a password that ends in two days", "role_expiry", ends_soon, "tem'p"),
    Fault("a password that has ended", "role_expiry", has_ended, "to o", grade=Grade.FAIL),
    Fault(
        "a definer function with the caller's path",
        "definer_paths",
        definer,
        'public."do ""it"(a integer, "b c" text)',
    ),
    Fault("a policy that nothing applies", "row_security", policy_unused, ODD),
    Fault("row security that hides all rows", "row_security", no_policy, 'public."no p"', mend=write_policy),
    Fault("a database under another C library", "database_collation", other_library, grade=Grade.FAIL, least=17),
    Fault("a template under another C library", "template_collations", template, "template1", least=17),
    Fault("a collation that changed", "collations", other_collation, 'public."odd c"', grade=Grade.FAIL),
    Fault("an extension whose files are gone", "extension_updates", lost_extension, "lo st", mend=found_again),
    Fault("an extension left at an old version", "extension_updates", old_extension, "hstore"),
    Fault("a slot whose WAL has gone", "lost_slots", lost_slot, "left_behind", grade=Grade.FAIL),
    Fault("more WAL than the settings allow", "wal_size", full_wal, sets=("health.limits.wal_size.warn=0.6",)),
    Fault("a standby that does not replay", "replication_lag", late_standby, "it's", sets=LAG, mend=catch_up),
    Fault(
        "a subscription whose publisher is away",
        "subscriptions",
        away_publisher,
        'su "b',
        grade=Grade.FAIL,
        mend=disable,
    ),
    Fault("a subscription that was left disabled", "subscribed_tables", left_disabled, 'su "b', least=15),
]
LOOKALIKES = [
    Lookalike("a view that reads as who asks", "row_security_views", shown_past("WITH (security_invoker)")),
    Lookalike("a view that chooses the rows", "row_security_views", shown_past("WITH (security_barrier)")),
    Lookalike("a view for its owner alone", "row_security_views", shown_to_itself),
    Lookalike(
        "a view of a table whose owner is held, too",
        "row_security_views",
        shown_past(
            "",
            "ALTER TABLE public.rows FORCE ROW LEVEL SECURITY",
            "ALTER TABLE public.rows OWNER TO chanuka_owner",
            'ALTER VIEW public."a view" OWNER TO chanuka_owner',
            'GRANT SELECT ON public."a view" TO "a reader"',
        ),
    ),
    Lookalike("a person who becomes superuser when that is needed", "superusers", superuser_at_times),
    Lookalike("a group of superusers that nobody is in", "superusers", superuser_never),
    Lookalike("a setting that only waits for a restart", "config_errors", waits_for_a_restart),
    Lookalike("a rule that refuses the world", "hba_rules", refusing_rule),
    Lookalike("a person's psql sessions as superuser", "superuser_sessions", psql_of_superuser),
    Lookalike("a group that nobody is in", "server_file_roles", group_of_nobody),
    Lookalike("a schema that everybody may use", "public_create", usable_schema),
    Lookalike("a password that ended years ago", "role_expiry", ended_long_ago),
    Lookalike("definer functions that are careful", "definer_paths", careful_definers),
    Lookalike("row security on what nobody else may read", "row_security", nobodys_rows),
    Lookalike("row security on what is for a role that it does not hold", "row_security", seen_by_who_sees_all),
    Lookalike("a changed collation that no index uses", "collations", collation_of_no_index),
    Lookalike("a slot that keeps nothing yet", "lost_slots", unreserved_slot),
    Lookalike("a standby that has just replayed", "replication_lag", punctual_standby, sets=LAG),
    Lookalike("a subscription that was made disabled", "subscriptions", disabled_subscription),
]
