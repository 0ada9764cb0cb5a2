"""Who gets in, and who may do what."""

from __future__ import annotations

from typing import Any

from ...view import Grade, count, span
from ..altering import RELOAD, alter_system
from ..catalogue import MEMBERS, THEIRS
from ..registry import Finding, Limits, check_of, most
from ..sessions import remark

DAY = 86400.0
WIDE = "^((0|128|192|224|240|248|252|254)[.]|([8ce]000)?::)"
"""Masks of no network that somebody has: they let in the world, or a large part of it."""
LOCK = "SET lock_timeout = '2s';"


@check_of(
    """SELECT usename AS name, quote_ident(usename) AS ident, usesysid = 10 AS first, count(*)::int AS sessions
         FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
        WHERE r.rolsuper AND backend_type = 'client backend' AND application_name NOT LIKE 'pgcohesion%'
          AND application_name NOT IN ('psql', 'pg_dump', 'pg_dumpall', 'pg_restore', 'vacuumdb', 'reindexdb')
        GROUP BY usename, usesysid ORDER BY sessions DESC""",
    warn=5,
    cost="quick",
)
def superuser_sessions(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """An application that works as a superuser (limit: sessions of one superuser, psql and pg_dump left out).

    One SQL injection is then the whole host, no row security holds, and the reserved slots are used up.
    """
    found = []
    for row in rows:
        undo = ""
        if row.first:
            fix = f"CREATE ROLE application LOGIN;  -- grant it what it needs and connect as it, not as {row.ident}"
        else:
            fix = f"ALTER ROLE {row.ident} NOSUPERUSER;  -- after granting it what it needs"
            undo = f"ALTER ROLE {row.ident} SUPERUSER;"
        text = f"superuser {row.name} has {count(row.sessions, 'session')}"
        found.append(limits.finding(row.sessions, text, fix=fix, object=row.name, undo=undo))
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(
        Grade.OK, "no application works as a superuser"
    )


@check_of(
    """WITH RECURSIVE behind(direct, role) AS (
           SELECT member, member FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
            WHERE g.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
           UNION SELECT b.direct, m.member FROM behind b JOIN pg_auth_members m ON m.roleid = b.role)
       SELECT r.rolname AS name, g.rolname AS power, quote_ident(r.rolname) AS ident,
              CASE WHEN current_setting('server_version_num')::int >= 160000
                   THEN ' GRANTED BY ' || quote_ident(by.rolname) ELSE '' END AS by,
              CASE WHEN m.admin_option THEN ' WITH ADMIN OPTION' ELSE '' END AS admin
         FROM pg_auth_members m
         JOIN pg_roles g ON g.oid = m.roleid
         JOIN pg_roles r ON r.oid = m.member
         LEFT JOIN pg_roles by ON by.oid = m.grantor
        WHERE g.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
          AND NOT r.rolsuper AND r.oid >= 16384
          AND EXISTS (SELECT FROM behind b JOIN pg_roles l ON l.oid = b.role
                       WHERE b.direct = m.member AND l.rolcanlogin AND NOT l.rolsuper)
        ORDER BY g.rolname, r.rolname""",
    cost="quick",
)
def server_file_roles(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Roles that run programs or read and write files on the server's host.

    Each of the three memberships is as good as superuser: it can rewrite pg_hba.conf or the data files.
    """
    verbs = {
        "pg_execute_server_program": "runs programs on the host",
        "pg_read_server_files": "reads the host's files",
        "pg_write_server_files": "writes the host's files",
    }
    found = [
        Finding(
            Grade.WARN,
            f"role {row.name} {verbs[row.power]} ({row.power})",
            f"REVOKE {row.power} FROM {row.ident}{row.by};",
            row.name,
            undo=f"GRANT {row.power} TO {row.ident}{row.admin}{row.by};",
        )
        for row in rows
    ]
    return most(found) or Finding(Grade.OK, "only superusers reach the host's files")


@check_of(
    """SELECT rolname AS name, quote_ident(rolname) AS ident FROM pg_authid
        WHERE rolcanlogin AND rolpassword LIKE 'md5%' ORDER BY rolname""",
    cost="quick",
    guard="has_table_privilege('pg_authid', 'SELECT')",
    needs="superuser, or GRANT SELECT ON pg_authid TO <role>; (it shows the password hashes: think twice)",
)
def md5_passwords(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Passwords that are stored as md5.

    Who gets hold of an md5 hash logs in with it, without knowing the password; PostgreSQL 18 calls them deprecated.
    """
    found = [
        Finding(
            Grade.WARN,
            f"the password of role {row.name} is stored as md5",
            f"SET password_encryption = 'scram-sha-256';\n\\password {row.ident}",
            row.name,
        )
        for row in rows
    ]
    return most(found) or Finding(Grade.OK, "no password is stored as md5")


@check_of("SELECT reset_val AS method FROM pg_settings WHERE name = 'password_encryption'", cost="quick")
def password_encryption(rows: list[Any], limits: Limits) -> Finding:
    """How new passwords are stored.

    While it says md5, each password that is set becomes a hash that can be used as it is.
    """
    (row,) = rows
    if row.method == "scram-sha-256":
        return Finding(Grade.OK, "new passwords are stored as scram-sha-256")
    fix = alter_system("password_encryption = 'scram-sha-256'")
    return Finding(Grade.WARN, f"new passwords are stored as {row.method}", fix)


@check_of(
    f"""SELECT coalesce(to_jsonb(r) ->> 'file_name', current_setting('hba_file')) AS file, line_number AS line,
              address = 'all' OR coalesce(netmask ~ '{WIDE}', false) AS world,
              type, coalesce((SELECT string_agg(' ' || regexp_replace(x, '(passwd|secrets)=.*', '\\1=***'), '')
                                 FROM unnest(options) AS x), '') AS options,
              (SELECT string_agg(CASE WHEN x ~ '^[[:alnum:]_+/.@-]+$' THEN x ELSE quote_ident(x) END, ',')
                 FROM unnest(database) AS x) AS databases,
              (SELECT string_agg(CASE WHEN x ~ '^[[:alnum:]_+/.@-]+$' THEN x ELSE quote_ident(x) END, ',')
                 FROM unnest(user_name) AS x) AS users,
              coalesce(address, '') AS address, coalesce(netmask, '') AS mask, auth_method AS method,
              current_setting('listen_addresses') !~ '^(localhost|127[.][0-9.]+|::1|[, ])*$' AS listens
         FROM pg_hba_file_rules r
        WHERE error IS NULL AND auth_method <> 'reject'
          AND (auth_method IN ('trust', 'password', 'ident') OR address = 'all' OR netmask ~ '{WIDE}')
        ORDER BY 1, 2""",  # noqa: S608  (constants)
    cost="quick",
    guard="has_table_privilege('pg_hba_file_rules', 'SELECT') "
    "AND has_function_privilege('pg_hba_file_rules()', 'EXECUTE')",
    needs="GRANT SELECT ON pg_hba_file_rules TO <role>; GRANT EXECUTE ON FUNCTION pg_hba_file_rules() TO <role>;",
)
def hba_rules(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Rules of pg_hba.conf that let in too many: no password, one in clear, a name on trust, the whole world.

    With trust anybody who reaches the port is whoever they say they are, superuser too.
    """
    found = []
    for row in rows:
        judged = _rule(row)
        if judged is None:
            continue
        grade, what, safe = judged
        address = row.address if not row.mask else f"{row.address} {row.mask}"
        rule = " ".join(part for part in (row.type, row.databases, row.users, address, row.method) if part)
        better = " ".join(part for part in safe if part)
        fix = (
            f"-- line {row.line} of {remark(row.file)}, or the environment's hba, when its roles have passwords:\n"
            f"-- {better}\n{RELOAD}"
        )
        found.append(Finding(grade, f"line {row.line}: {rule}: {what}", fix, rule))
    return most(found) or Finding(Grade.OK, "pg_hba.conf asks everybody who they are")


def _rule(row: Any) -> tuple[Grade, str, tuple[str, ...]] | None:
    loopback = row.address.startswith("127.") or row.address in ("::1", "samehost")
    near = row.type == "local" or (loopback and not row.world)
    address = row.address if not row.mask else f"{row.address} {row.mask}"
    safe = (row.type, row.databases, row.users, address, "scram-sha-256")
    if row.method == "trust":
        grade = Grade.FAIL if row.listens and not near else Grade.WARN
        return grade, "nobody is asked for a password", safe
    if row.method == "password" and row.type not in ("local", "hostssl", "hostgssenc"):
        return Grade.WARN, "passwords travel in clear", safe
    if row.method == "ident" and row.listens and not near:
        return Grade.WARN, "the host that connects says itself who that is", safe
    if row.world and row.type not in ("hostssl", "hostgssenc") and row.listens:
        method = row.method + row.options if row.method != "password" else "scram-sha-256"
        return (
            Grade.WARN,
            "every address may try, unencrypted",
            ("hostssl", row.databases, row.users, "fd00::/8" if ":" in row.address else "10.0.0.0/8", method),
        )
    return None


@check_of(
    """SELECT n.nspname AS name, 'schema' AS kind, quote_ident(n.nspname) AS ident
         FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
        WHERE a.grantee = 0 AND a.privilege_type = 'CREATE'
          AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid
                                                    AND d.deptype = 'e')
        UNION ALL
       SELECT d.datname, 'database', quote_ident(d.datname) FROM pg_database d, aclexplode(d.datacl) AS a
        WHERE d.datname = current_database() AND a.grantee = 0 AND a.privilege_type = 'CREATE'
        ORDER BY kind, name""",
    scope="database",
    cost="quick",
)
def public_create(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Schemas, and the database itself, in which every role may create objects.

    A function or an operator put there is picked up by others' statements, and runs with their rights (CVE-2018-1058).
    """
    found = [
        Finding(
            Grade.WARN,
            f"every role may create {'objects' if row.kind == 'schema' else 'schemas'} in {row.kind} {row.name}",
            f"REVOKE CREATE ON {row.kind.upper()} {row.ident} FROM PUBLIC;",
            row.name,
            undo=f"GRANT CREATE ON {row.kind.upper()} {row.ident} TO PUBLIC;",
        )
        for row in rows
    ]
    return most(found) or Finding(Grade.OK, "PUBLIC creates nothing")


@check_of(
    """WITH ours AS MATERIALIZED (
            SELECT c.oid, c.relacl, n.nspname, c.relname
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
               AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                                                         AND d.deptype = 'e'))
       SELECT format('%I.%I', c.nspname, c.relname) AS name, 'TABLE' AS kind,
              string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type) AS rights,
              bool_or(a.privilege_type <> 'SELECT') AS writes, '' AS by
         FROM ours c, aclexplode(c.relacl) AS a
        WHERE a.grantee = 0
        GROUP BY c.nspname, c.relname
        UNION ALL
       SELECT name, 'COLUMNS', string_agg(format('%s (%s)', privilege_type, columns), ', ' ORDER BY privilege_type),
              bool_or(privilege_type <> 'SELECT'), ''
         FROM (SELECT format('%I.%I', c.nspname, c.relname) AS name, x.privilege_type,
                      string_agg(quote_ident(t.attname), ', ' ORDER BY t.attnum) AS columns
                 FROM pg_attribute t JOIN ours c ON c.oid = t.attrelid, aclexplode(t.attacl) AS x
                WHERE t.attacl IS NOT NULL AND t.attnum > 0 AND NOT t.attisdropped AND x.grantee = 0
                GROUP BY c.nspname, c.relname, x.privilege_type) a
        GROUP BY name
        UNION ALL
       SELECT coalesce(quote_ident(n.nspname), current_database()::text), 'DEFAULT',
              string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type), bool_or(a.privilege_type <> 'SELECT'),
              format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s', pg_get_userbyid(f.defaclrole),
                     ' IN SCHEMA ' || quote_ident(n.nspname))
         FROM pg_default_acl f LEFT JOIN pg_namespace n ON n.oid = f.defaclnamespace, aclexplode(f.defaclacl) AS a
        WHERE f.defaclobjtype = 'r' AND a.grantee = 0
        GROUP BY f.oid, f.defaclrole, n.nspname
        ORDER BY writes DESC, kind DESC, name""",
    scope="database",
)
def public_grants(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Tables that every role may read or change, in whole, by column, or from the day they are made.

    A right of PUBLIC is every role's, also of those that are made tomorrow, and no REVOKE from one of them helps.
    """
    found = []
    for row in rows:
        text, its = f"every role has {row.rights} on {row.name}", ""
        fix = f"REVOKE ALL ON TABLE {row.name} FROM PUBLIC;"
        undo = f"GRANT {row.rights} ON TABLE {row.name} TO PUBLIC;"
        if row.kind == "COLUMNS":
            fix, its = f"REVOKE {row.rights} ON TABLE {row.name} FROM PUBLIC;", "columns"
        elif row.kind == "DEFAULT":
            text = f"every role gets {row.rights} on each table that will be made in {row.name}: {row.by}"
            fix = f"{row.by} REVOKE ALL ON TABLES FROM PUBLIC;"
            undo, its = f"{row.by} GRANT {row.rights} ON TABLES TO PUBLIC;", row.by
        found.append(Finding(Grade.WARN if row.writes else Grade.INFO, text, fix, row.name, undo=undo, part=its))
    return most(found) or Finding(Grade.OK, "no table is everybody's")


@check_of(
    """SELECT a.usename AS name, count(*)::int AS sessions, min(host(a.client_addr)) AS address,
              current_setting('ssl') = 'on' AS able
         FROM pg_stat_activity a
         LEFT JOIN pg_stat_ssl s USING (pid)
         LEFT JOIN pg_stat_gssapi g USING (pid)
        WHERE a.client_addr IS NOT NULL AND NOT a.client_addr <<= '127.0.0.0/8' AND a.client_addr <> '::1'
          AND a.client_addr IS DISTINCT FROM inet_server_addr()
          AND a.usename IS NOT NULL AND NOT coalesce(s.ssl, false) AND NOT coalesce(g.encrypted, false)
        GROUP BY a.usename ORDER BY sessions DESC, name""",
    warn=1,
    cost="quick",
)
def cleartext_sessions(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Sessions from other hosts that are not encrypted.

    Whoever sits between the two hosts reads the data, and can put statements of their own in between.
    """
    found = []
    for row in rows:
        state = "" if row.able else ", and ssl is off"
        text = f"{count(row.sessions, 'session')} of {row.name}, from {row.address}, not encrypted{state}"
        then = "-- then make the rule in pg_hba.conf hostssl, and give the client sslmode=verify-full"
        on = "" if row.able else "-- with ssl_cert_file and ssl_key_file in place\nALTER SYSTEM SET ssl = on;\n"
        found.append(limits.finding(row.sessions, text, fix=f"{on}{RELOAD}\n{then}", object=row.name))
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(
        Grade.OK, "no session crosses the network in clear"
    )


@check_of(
    """SELECT rolname AS name, quote_ident(rolname) AS ident, rolvaliduntil::text AS until,
              (now() + '90 days')::date::text AS later,
              extract(epoch FROM CASE WHEN isfinite(rolvaliduntil) THEN rolvaliduntil - now() END)::float AS left
         FROM pg_roles
        WHERE rolcanlogin AND rolvaliduntil < now() + '90 days' AND isfinite(rolvaliduntil) ORDER BY rolvaliduntil""",
    warn=-7,
    fail=0,
    cost="quick",
)
def role_expiry(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Roles whose password ends (limits in days after its end: -7 warns a week before).

    From that moment on the application cannot open a new connection, while old ones hide it until the next restart.
    """
    found = []
    for row in rows:
        fix = f"ALTER ROLE {row.ident} VALID UNTIL '{row.later}';  -- with a new password: \\password {row.ident}"
        undo = f"ALTER ROLE {row.ident} VALID UNTIL '{row.until}';"
        if row.left < -30 * DAY:
            text = f"the password of role {row.name} ended {span(-row.left)} ago: nobody needs it?"
            found.append(Finding(Grade.INFO, text, f"ALTER ROLE {row.ident} NOLOGIN;", row.name))
            continue
        text = f"the password of role {row.name} " + (
            f"ends in {span(row.left)}" if row.left > 0 else f"ended {span(-row.left)} ago"
        )
        found.append(limits.finding(-row.left / DAY, text, fix=fix, object=row.name, undo=undo))
    return most([one for one in found if one.grade is not Grade.OK]) or Finding(Grade.OK, "no password ends soon")


@check_of(
    """SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS name,
              quote_ident(n.nspname) AS home, pg_get_userbyid(p.proowner) AS owner
         FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.prosecdef AND p.prosqlbody IS NULL AND p.prokind IN ('f', 'p', 'w')
          AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
          AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS c(line) WHERE c.line LIKE 'search_path=%')
          AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
                       WHERE a.grantee <> p.proowner)
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                                                    AND d.deptype = 'e')
        ORDER BY name""",
    scope="database",
)
def definer_paths(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """SECURITY DEFINER functions without a search_path of their own.

    The caller decides which schema their unqualified names are looked up in, and so which code runs as the owner.
    """
    found = [
        Finding(
            Grade.WARN,
            f"{row.name} runs as {row.owner} with the caller's search_path",
            # The comment stands first: what is pasted must end at the statement.
            "-- first every schema whose objects it names without one; pg_temp stays last\n"
            f"ALTER ROUTINE {row.name} SET search_path = {row.home}, pg_temp;",
            row.name,
            undo=f"ALTER ROUTINE {row.name} RESET search_path;",
        )
        for row in rows
    ]
    return most(found) or Finding(Grade.OK, "every SECURITY DEFINER function has its own search_path")


@check_of(
    f"""SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relrowsecurity AS enabled,
              (SELECT count(*)::int FROM pg_policy p WHERE p.polrelid = c.oid) AS policies
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
          AND CASE WHEN c.relrowsecurity
                   THEN EXISTS (SELECT FROM aclexplode(c.relacl) AS a
                                  LEFT JOIN pg_roles g ON g.oid = a.grantee
                                 WHERE a.grantee <> c.relowner AND NOT coalesce(g.rolbypassrls OR g.rolsuper, false))
                        AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)
                   ELSE EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid) END
          AND c.oid NOT IN {MEMBERS}
        ORDER BY enabled, name""",  # noqa: S608  (a constant)
    scope="database",
)
def row_security(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Row security that is half done: policies that nothing applies, or no policy, so that nobody sees a row.

    Policies do nothing until row security is enabled; enabled without one, it hides every row without an error.
    """
    found = [
        Finding(
            Grade.WARN,
            f"{row.name} is granted to others, but row security without a policy hides all its rows",
            f'CREATE POLICY "name it" ON {row.name} USING (condition);  -- which rows the others may see',
            row.name,
        )
        if row.enabled
        else Finding(
            Grade.WARN,
            f"{row.name} has {count(row.policies, 'policy', 'policies')}, and row security is off: none applies",
            f"{LOCK}\nALTER TABLE {row.name} ENABLE ROW LEVEL SECURITY;",
            row.name,
            undo=f"ALTER TABLE {row.name} DISABLE ROW LEVEL SECURITY;",
        )
        for row in rows
    ]
    return most(found) or Finding(Grade.OK, "row security is where its policies are")


# What a rule of the view refers to, its conditions included. A policy holds for an owner who is neither of the table,
# nor above policies; and FORCE holds the table's own. Who puts up a security_barrier means to show a choice of rows.
@check_of(
    f"""WITH shown AS MATERIALIZED (
           SELECT c.oid, c.relnamespace, c.relname, relowner, o.rolname AS owner, o.rolsuper OR o.rolbypassrls AS above
             FROM pg_class c JOIN pg_roles o ON o.oid = c.relowner
            WHERE c.relkind = 'v' AND EXISTS (SELECT FROM pg_class t WHERE t.relrowsecurity)
              AND NOT EXISTS (SELECT FROM pg_options_to_table(c.reloptions)
                               WHERE option_name IN ('security_invoker', 'security_barrier') AND option_value::bool)
              AND EXISTS (SELECT FROM aclexplode(c.relacl) AS a LEFT JOIN pg_roles g ON g.oid = a.grantee
                           WHERE a.grantee <> c.relowner AND NOT coalesce(g.rolbypassrls OR g.rolsuper, false)))
       SELECT format('%I.%I', n.nspname, v.relname) AS name, v.owner,
              string_agg(DISTINCT format('%I.%I', m.nspname, t.relname), ', ') AS tables
         FROM shown v JOIN pg_namespace n ON n.oid = v.relnamespace JOIN pg_rewrite r ON r.ev_class = v.oid
         JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                         AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> v.oid
         JOIN pg_class t ON t.oid = d.refobjid AND t.relrowsecurity JOIN pg_namespace m ON m.oid = t.relnamespace
        WHERE (v.above OR t.relowner = v.relowner AND NOT t.relforcerowsecurity)
          AND v.relnamespace NOT IN {THEIRS} AND v.oid NOT IN {MEMBERS}
        GROUP BY n.nspname, v.relname, v.owner
        ORDER BY name""",  # noqa: S608  (constants)
    scope="database",
    min_version=15,
)
def row_security_views(rows: list[Any], limits: Limits) -> Finding | list[Finding]:
    """Views that show others the rows which row security hides from them.

    A view reads with its owner's rights. Where no policy holds for that one, whoever may read the view sees all rows.
    """
    found = []
    for row in rows:
        text = f"{row.name} reads {row.tables} as {row.owner}, past row security, and is granted to others"
        fix = (
            f"-- the others then need the right to read {row.tables}. Where the view itself chooses which\n"
            f"-- rows they may see: SET (security_barrier = true)\nALTER VIEW {row.name} SET (security_invoker = true);"
        )
        undo = f"ALTER VIEW {row.name} RESET (security_invoker);"
        found.append(Finding(Grade.WARN, text, fix, row.name, undo=undo))
    return most(found) or Finding(Grade.OK, "no view goes past row security")
