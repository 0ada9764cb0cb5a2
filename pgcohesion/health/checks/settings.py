"""Settings and the files that they stand in."""

from __future__ import annotations

from typing import Any

from ...view import Grade, count, size, span
from ..altering import RELOAD, alter_system, quoted
from ..registry import YOUNG, Finding, Limits, check_of, most
from ..sessions import remark
from .server import WHOSE, setting

GIB = 1024**3


def _identifier(name: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


# A scalar subquery, so that it is asked after pg_file_settings has marked what waits for a restart.
BROKEN = """SELECT coalesce(f.name, '') AS name, f.sourcefile AS file, f.sourceline AS line, f.error, false AS kept
         FROM pg_file_settings f
        WHERE f.error IS NOT NULL AND NOT coalesce((SELECT s.pending_restart FROM pg_settings s
                                                    WHERE lower(s.name) = lower(f.name)), false)
        UNION ALL
       SELECT '', coalesce(to_jsonb(r) ->> 'file_name', current_setting('hba_file')), line_number, error,
              type IS NOT NULL
         FROM pg_hba_file_rules r WHERE error IS NOT NULL"""
MAPS = """
        UNION ALL
       SELECT '', coalesce(to_jsonb(m) ->> 'file_name', current_setting('ident_file')), line_number, error, false
         FROM pg_ident_file_mappings m WHERE error IS NOT NULL"""
IN_ORDER = """
        ORDER BY file, line"""


@check_of(
    BROKEN + MAPS + IN_ORDER,
    before=(15, BROKEN + IN_ORDER),
    cost="quick",
    guard="has_table_privilege('pg_file_settings', 'SELECT') "
    "AND has_function_privilege('pg_show_all_file_settings()', 'EXECUTE') "
    "AND has_table_privilege('pg_hba_file_rules', 'SELECT') "
    "AND has_function_privilege('pg_hba_file_rules()', 'EXECUTE') "
    "AND coalesce(has_table_privilege(to_regclass('pg_ident_file_mappings'), 'SELECT'), true) "
    "AND coalesce(has_function_privilege(to_regprocedure('pg_ident_file_mappings()'), 'EXECUTE'), true)",
    needs="GRANT SELECT ON pg_file_settings, pg_hba_file_rules TO <role>; "
    "GRANT EXECUTE ON FUNCTION pg_show_all_file_settings(), pg_hba_file_rules() TO <role>; "
    "and from PostgreSQL 15: GRANT SELECT ON pg_ident_file_mappings TO <role>; "
    "GRANT EXECUTE ON FUNCTION pg_ident_file_mappings() TO <role>;",
)
def config_errors(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Errors in the server's configuration files, pg_hba.conf and pg_ident.conf among them.

    A reload leaves such a file or setting out, and says so only in the log: a rule that was taken out still lets people
    in. The next restart does not come up. A rule that can never match does no such thing, and lets nobody in.
    """
    found = []
    for row in rows:
        line = f"line {row.line} of {remark(row.file)}"
        if row.kept:
            fix = f"-- take {line} out, or switch on what it asks for; then\n{RELOAD}"
            text = f"{row.file}, line {row.line}: {row.error}"
            found.append(Finding(Grade.WARN, text, fix, f"{row.file}:{row.line}"))
            continue
        what = f"{row.name}: {row.error}" if row.name else row.error
        if row.name and row.file.endswith("postgresql.auto.conf"):
            fix = f"ALTER SYSTEM RESET {_identifier(row.name)};\n{RELOAD}"
        else:
            fix = f"-- correct {line}, then\n{RELOAD}"
        about = row.name or f"{row.file}:{row.line}"
        found.append(Finding(Grade.FAIL, f"{row.file}, line {row.line}: {what}", fix, about))
    return most(found) or Finding(Grade.OK, "the configuration files have no error")


LOGS = {
    "log_lock_waits": ("on", "who waits for a lock"),
    "log_checkpoints": ("on", "checkpoints"),
    "log_autovacuum_min_duration": ("'10min'", "long vacuums"),
    "log_min_duration_statement": ("'1s'", "slow statements"),
}


@check_of(
    """SELECT name FROM pg_settings s
        WHERE (name IN ('log_lock_waits', 'log_checkpoints') AND setting = 'off')
           OR (name = 'log_autovacuum_min_duration' AND setting = '-1')
           OR (name = 'log_min_duration_statement' AND setting = '-1'
               AND NOT EXISTS (SELECT FROM pg_settings o
                                WHERE (o.name IN ('log_min_duration_sample', 'auto_explain.log_min_duration')
                                       AND o.setting <> '-1')
                                   OR (o.name = 'log_duration' AND o.setting = 'on')))
           OR (name = 'log_min_messages' AND setting ~ '^(log|fatal|panic)$'
               AND source NOT IN ('database', 'user', 'database user'))
        ORDER BY name""",
    cost="quick",
)
def logging(rows: list[Any], limits: Limits) -> Finding:
    """What the log leaves out that is missed after an incident: errors are a warning, the rest is a note.

    Lock waits, checkpoints, long vacuums and slow statements cost little to log, and cannot be asked for afterwards.
    """
    if not rows:
        return Finding(Grade.OK, "the log has what an incident needs")
    for row in rows:
        if row.name == "log_min_messages":
            text = "errors are not logged: log_min_messages is above them"
            return Finding(Grade.WARN, text, alter_system("log_min_messages = 'warning'"), row.name)
    fix = alter_system(*(f"{row.name} = {LOGS[row.name][0]}" for row in rows))
    return Finding(Grade.INFO, "not logged: " + ", ".join(LOGS[row.name][1] for row in rows), fix)


@check_of(
    f"""WITH hidden AS (SELECT count(*)::int AS sessions FROM pg_stat_activity
                         WHERE state = 'disabled' AND backend_type = 'client backend')
       SELECT s.name, '' AS role, '' AS database, h.sessions FROM pg_settings s, hidden h
        WHERE s.name = 'track_activities' AND s.setting = 'off'
          AND s.source NOT IN ('client', 'session', 'user', 'database', 'database user')
        UNION ALL
       SELECT split_part(c.line, '=', 1), {WHOSE},
              coalesce((SELECT quote_ident(datname) FROM pg_database d WHERE d.oid = r.setdatabase), ''), h.sessions
         FROM pg_db_role_setting r, unnest(r.setconfig) AS c(line), hidden h
        WHERE split_part(c.line, '=', 1) IN ('track_activities', 'track_counts')
          AND NOT split_part(c.line, '=', 2)::bool
        ORDER BY 1, 2, 3""",  # noqa: S608  (constants)
    cost="quick",
)
def untracked(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Sessions that are not watched: what they do is shown to nobody, or what they change is not counted.

    Checks of sessions find nothing wrong with those that they cannot see, and autovacuum does not come for rows that
    nobody counted.
    """
    found = []
    for row in rows:
        whose, fix, undo = setting(row.name, "on", "off", row.role, row.database)
        blind = row.name == "track_activities"
        hidden = f"the work of {count(row.sessions, 'session')} is hidden"
        what = hidden if blind else "autovacuum misses what they change"
        found.append(Finding(Grade.WARN, f"{row.name} is off{whose}: {what}", fix, row.name, undo=undo))
    return most(found) or Finding(Grade.OK, "what sessions do is seen and counted")


@check_of(
    f"""SELECT '' AS role, '' AS database FROM pg_settings s
        WHERE s.name = 'session_replication_role' AND s.setting = 'replica'
          AND s.source NOT IN ('client', 'session', 'user', 'database', 'database user')
        UNION ALL
       SELECT {WHOSE}, coalesce((SELECT quote_ident(datname) FROM pg_database d WHERE d.oid = r.setdatabase), '')
         FROM pg_db_role_setting r, unnest(r.setconfig) AS c(line)
        WHERE c.line ~* '^session_replication_role=replica$'
        ORDER BY 1, 2""",  # noqa: S608  (constants)
    cost="quick",
)
def unchecked_keys(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Sessions in which no foreign key is checked and no trigger fires: session_replication_role was left at replica.

    It is for what a replication applies. In an application's sessions rows come in that point nowhere, and no error
    says so.
    """
    found = []
    for row in rows:
        name = "session_replication_role"
        whose, fix, undo = setting(name, "origin", "replica", row.role, row.database)
        text = f"{name} is replica{whose}: no foreign key is checked, and triggers do not fire"
        found.append(Finding(Grade.WARN, text, fix, name, undo=undo, part=whose))
    return most(found) or Finding(Grade.OK, "foreign keys and triggers are at work in all sessions")


OF_ROLES = {"statement_timeout": "30s", "lock_timeout": "5s"}
IDLE = alter_system("idle_in_transaction_session_timeout = '10min'")


@check_of(
    """WITH kinds(name, names) AS (VALUES
           ('statement_timeout', '{statement_timeout,transaction_timeout}'::text[]),
           ('lock_timeout', '{lock_timeout,statement_timeout,transaction_timeout}'),
           ('idle_in_transaction_session_timeout',
            '{idle_in_transaction_session_timeout,transaction_timeout,idle_session_timeout}'))
       SELECT name, array(SELECT quote_ident(rolname) FROM pg_roles
                           WHERE rolcanlogin AND NOT rolsuper AND NOT rolreplication ORDER BY 1 LIMIT 5) AS roles
         FROM kinds k
        WHERE NOT EXISTS (SELECT FROM pg_settings s WHERE s.name = ANY (k.names) AND s.reset_val <> '0')
          AND NOT EXISTS (SELECT FROM pg_db_role_setting r, unnest(r.setconfig) AS c(line)
                           WHERE split_part(c.line, '=', 1) = ANY (k.names) AND split_part(c.line, '=', 2) <> '0')
        ORDER BY name""",
    cost="quick",
)
def timeouts(rows: list[Any], limits: Limits) -> Finding:
    """Timeouts that are set nowhere: neither for the server nor for a role or a database.

    One forgotten transaction or one waiting ALTER TABLE then holds up everybody for as long as it likes.
    """
    if not rows:
        return Finding(Grade.OK, "statements, lock waits and idle transactions end some day")
    names = ", ".join(row.name for row in rows)
    of_roles = [(f"ALTER ROLE {role}", row.name) for row in rows if row.name in OF_ROLES for role in row.roles]
    fix = [f"{role} SET {name} = '{OF_ROLES[name]}';" for role, name in of_roles]
    undo = [f"{role} RESET {name};" for role, name in of_roles]
    if fix:
        fix.insert(0, "-- for those of these roles that serve an application:")
    if any(row.name not in OF_ROLES for row in rows):
        fix.append(IDLE)
    return Finding(Grade.INFO, f"set nowhere: {names}", "\n".join(fix), undo="\n".join(undo))


@check_of(
    """SELECT pg_size_bytes(current_setting('shared_buffers'))::float AS buffers,
              sum(relpages::float) * current_setting('block_size')::int AS bytes
         FROM pg_class""",
    warn=10 * GIB,
    scope="database",
)
def shared_buffers(rows: list[Any], limits: Limits) -> Finding:
    """A large database behind shared_buffers that were left at their small default (limit in bytes of the database).

    The default of 128 MB suits a laptop: every read beyond it goes through the kernel, and backends write dirty pages.
    """
    (row,) = rows
    text = f"shared_buffers is {size(row.buffers)}, the database {size(row.bytes)}"
    if row.buffers > 128 * 1024**2 or limits.grade(row.bytes) is Grade.OK:
        return Finding(Grade.OK, text, value=row.bytes)
    fix = "ALTER SYSTEM SET shared_buffers = '1GB';  -- a quarter of the host's memory; it takes a restart"
    return Finding(Grade.INFO, text, fix, value=row.bytes, threshold=limits.warn)


@check_of(
    f"""SELECT s.name, '' AS role, '' AS database, '' AS other FROM pg_settings s
        WHERE s.name LIKE 'enable\\_%' AND s.boot_val = 'on' AND s.setting = 'off'
          AND s.source IN ('configuration file', 'command line', 'environment variable')
        UNION ALL
       SELECT split_part(c.line, '=', 1), {WHOSE},
              coalesce((SELECT quote_ident(datname) FROM pg_database d WHERE d.oid = r.setdatabase), ''), ''
         FROM pg_db_role_setting r, unnest(r.setconfig) AS c(line)
         JOIN pg_settings s ON s.name = split_part(c.line, '=', 1) AND s.boot_val = 'on'
        WHERE c.line ~* '^enable_[a-z_]+=(of|f|n|0)'
        UNION ALL
       SELECT r.name, '', '', s.setting FROM pg_settings r JOIN pg_settings s ON s.name = 'seq_page_cost'
        WHERE r.name = 'random_page_cost' AND r.setting::float < s.setting::float
          AND r.source NOT IN ('database', 'user', 'database user')
        UNION ALL
       SELECT e.name, '', '', current_setting('shared_buffers')
         FROM pg_settings e JOIN pg_settings b ON b.name = 'shared_buffers'  -- in pages, both of them
        WHERE e.name = 'effective_cache_size' AND e.setting::bigint < b.setting::bigint
          AND e.source NOT IN ('default', 'database', 'user', 'database user')
        ORDER BY 1, 2, 3"""  # noqa: S608  (constants)
)
def planner(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Ways of planning that are switched off for everybody, and costs that turn the world around.

    They were switched off to try something, for one query; now all the others are slow.
    """
    found = []
    for row in rows:
        if row.name == "effective_cache_size":
            text = f"effective_cache_size is below shared_buffers ({row.other}), which it includes: indexes are shunned"
            fix = "-- better: half of the memory or more\n" + alter_system(f"effective_cache_size = '{row.other}'")
            found.append(Finding(Grade.WARN, text, fix, row.name))
            continue
        if row.other:
            text = f"random_page_cost is below seq_page_cost ({row.other}): no disk is faster at random"
            fix = alter_system(f"random_page_cost = {row.other}")
            found.append(Finding(Grade.WARN, text, fix, row.name))
            continue
        whose, fix, undo = setting(row.name, "on", "off", row.role, row.database)
        found.append(Finding(Grade.WARN, f"{row.name} is off{whose}", fix, row.name, undo=undo))
    return most(found) or Finding(Grade.OK, "no way of planning is switched off")


# As many as the primary has, or more: https://www.postgresql.org/docs/current/hot-standby.html#HOT-STANDBY-ADMIN
ENOUGH = (
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
)
SAFE = ("autovacuum", "fsync", "full_page_writes", "ssl", "track_counts")
OWN = (
    "^(port|cluster_name|restore_command|(log|primary|recovery|unix_socket)_.*|.*_(file|addresses)|.*_(dir|standby).*)$"
)


# What a password may stand in is told apart by a hash of it alone, for findings go to many places.
HIDDEN = r"""(name ~* 'conninfo|passphrase|secret|token|[.].*(pass|key)'
               OR setting ~* '(pass(word|wd|phrase)?|secret|token|key)\w*\s*[=:]')"""


@check_of(
    f"""SELECT name, setting, current_setting(name) AS shown, {quoted("current_setting(name)")} AS quoted,
              context = 'postmaster' AS restart, pg_is_in_recovery() AS standby, {HIDDEN} AS hidden
         FROM pg_settings
        WHERE name !~ '{OWN}' AND context <> 'internal'
          AND source NOT IN ('session', 'client', 'override', 'user', 'database', 'database user')
        ORDER BY name""",  # noqa: S608  (constants)
    cost="quick",
    across=True,
)
def settings_differ(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Settings that are not the same on every server of the environment.

    After a failover the application meets another server. A standby that has room for fewer connections or locks than
    its primary stops replaying when the primary needs them.
    """
    servers: dict[str, dict[str, Any]] = {}
    for row in rows:
        servers.setdefault(row.host, {})[row.name] = row
    if "" not in servers:
        return Finding(Grade.UNKNOWN, "the primary did not answer")
    ours = servers.pop("")
    found = [
        _differs(row, ours[row.name])
        for theirs in servers.values()
        for row in theirs.values()
        if row.name in ours and row.setting != ours[row.name].setting
    ]
    return most(found) or Finding(Grade.OK, f"{count(len(servers), 'other server')} with the same settings")


def _differs(theirs: Any, ours: Any) -> Finding:
    if theirs.hidden or ours.hidden:
        text, fix = f"{theirs.name} is another there than on the primary", "-- compare both: a password may stand in it"
        return Finding(Grade.INFO, text, fix, theirs.name, host=theirs.host)
    there, here = theirs.shown or "''", ours.shown or "''"
    text = f"{theirs.name} is {there} there and {here} on the primary"
    if ours.name in SAFE and ours.setting == "off":
        fix = "-- off is the worse of both: change it on the primary"
        return Finding(Grade.INFO, text, fix, theirs.name, host=theirs.host)
    change = f"{theirs.name} = {ours.quoted}"
    fix = f"ALTER SYSTEM SET {change};  -- and restart" if theirs.restart else alter_system(change)
    if theirs.standby and theirs.name in ENOUGH and int(theirs.setting) < int(ours.setting):
        return Finding(Grade.WARN, f"{text}: replay stops when they are needed", fix, theirs.name, host=theirs.host)
    return Finding(Grade.INFO, text, fix, theirs.name, host=theirs.host)


@check_of(
    f"""SELECT name || ' = ' || CASE WHEN {HIDDEN} THEN '(hidden) ' || to_hex(hashtext(setting))
                                    ELSE setting || coalesce(' ' || unit, '') END AS name,
              1 AS present, NULL::float AS age
         FROM pg_settings
        WHERE source IN ('configuration file', 'command line', 'environment variable', 'default')
          AND (source <> 'default' OR name IN ('work_mem', 'shared_buffers', 'max_connections'))
        ORDER BY name""",  # noqa: S608  (a constant)
    counters=("present",),
    key="name",
)
def settings_changed(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Settings of the server that have another value than at the run before: worth a look when something is odd.

    Who changes a setting on one host by hand leaves the others, and the next restart, as they were.
    """
    before = [row.seconds for row in rows if row.seconds]
    if not before:
        return Finding(Grade.UNKNOWN, "there is no earlier run to compare with", kind=YOUNG)
    found = [
        Finding(
            Grade.INFO,
            f"{row.name}: changed in the last {span(max(before))}",
            "SELECT name, setting, sourcefile, sourceline FROM pg_settings WHERE sourcefile IS NOT NULL;",
            row.name.partition(" ")[0],
        )
        for row in rows
        if not row.seconds
    ]
    return most(found) or Finding(Grade.OK, "the settings are as they were")
