"""Written forms: what libpq reads is libpq's to judge, what it does not is translated into what it means."""

# ruff: noqa: E501  (a case is a line)

from __future__ import annotations

from random import Random

import pytest
from psycopg import OperationalError, ProgrammingError, pq
from psycopg.conninfo import conninfo_to_dict

from pgcohesion.conninfo import parse, resolve
from pgcohesion.errors import ConfigError

LIBPQ = [
    "",
    "postgresql://",
    "postgres://",
    "postgresql://localhost",
    "postgresql://localhost:5433",
    "postgresql://localhost/mydb",
    "postgresql://user@localhost",
    "postgresql://user:secret@localhost",
    "postgresql://other@localhost/otherdb?connect_timeout=10&application_name=myapp",
    "postgresql://host1:123,host2:456/somedb?target_session_attrs=any&application_name=myapp",
    "postgresql://h1,h2,h3/db",
    "postgresql://h1:1,h2,h3:3/db",
    "postgresql://h1,h2:5433/db?target_session_attrs=read-write&load_balance_hosts=random",
    "postgresql://h1,h2/db?port=7",
    "postgresql:///mydb?host=localhost&port=5433",
    "postgresql:///dbname?host=/var/lib/postgresql",
    "postgresql://%2Fvar%2Flib%2Fpostgresql/dbname",
    "postgresql://u:p@%2Ftmp:5433/db",
    "postgresql://u:p@/db?host=/tmp&port=5433",
    "postgresql://localhost:5433/db?host=/var/run/postgresql",
    "postgresql:///db?host=@abstract",
    "postgresql://[2001:db8::1234]/database",
    "postgresql://[::1]:5433/db",
    "postgresql://u:p@[::1],[::2]:5433/db",
    "postgresql://[fe80::1%25eth0]:5432/db",
    "postgresql://h/db?hostaddr=10.0.0.1",
    "postgresql://h/?hostaddr=::1",
    "postgres://u@h",
    "postgres://u@h/",
    "postgres://@h/db",
    "postgres://u:@h/db",
    "postgres://:p@h/db",
    "postgres://h:/db",
    "postgres://u:p@h/db?",
    "postgres://u:p@h/db?sslmode=require&",
    "postgresql://u:p@h:5432/db?sslmode=disable",
    "postgresql://u:p@h:5432/db?sslmode=verify-full&sslrootcert=system",
    "postgresql://u:p@h/db?sslmode=verify-ca&sslrootcert=/etc/ca.pem&sslcert=/c.pem&sslkey=/k.pem&sslpassword=x",
    "postgresql://u:p@h/db?ssl=true",
    "postgresql://u:p@h/db?channel_binding=require&require_auth=scram-sha-256",
    "postgresql://u:p@h/db?gssencmode=disable&krbsrvname=pg",
    "postgresql://u:p@h/db?sslnegotiation=direct&sslmode=require",
    "postgresql://u:p@h/db?keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=3",
    "postgresql://u:p@h/db?tcp_user_timeout=3000&connect_timeout=2",
    "postgresql://u:p@h/db?options=-c%20search_path%3Da%2Cb",
    "postgresql://u:p@h/db?options=-csearch_path%3Da%20-cstatement_timeout%3D5s",
    "postgresql://u:p@h/db?options=endpoint%3Dep-cool-name",
    "postgresql://u:p@h/db?options=project%3Dabc&sslmode=require",
    "postgresql://u:p@h/db?client_encoding=UTF8&fallback_application_name=x",
    "postgresql://u:p@h/db?service=mine",
    "postgresql://u@h/db?passfile=/etc/pgpass",
    "postgresql://u@h/db?password=in%26query%3D1",
    "postgresql://h/db?user=u&password=p",
    "postgresql://first@h/db?user=second",
    "postgresql://u:p@ss@h/db",
    "postgresql://u:p/w@h/db",
    "postgresql://u:p?w@h/db",
    "postgresql://u:p#w@h/db",
    "postgresql://u:p+w@h/db",
    "postgresql://u:p:w@h/db",
    "postgresql://u:p&w=1@h/db",
    "postgresql://u:p%40ss%2Fw%23%3F%25%2B%20%3A@h/db",
    "postgresql://us%40er:p@h/d%2Fb",
    "postgresql://u:p@h/db?application_name=a+b",
    "postgresql://u:p@h/db#fragment",
    "postgresql://u:p@h/a/b",
    "postgresql://u:p%C3%A9@h/%C3%BC",
    "postgresql://u:pé@h/ü",
    "postgresql://u.project:p@aws-0-eu.pooler.supabase.com:6543/postgres",
    "host=localhost port=5432 dbname=mydb connect_timeout=10",
    "host = localhost  port = 5432",
    "host=localhost user='joe' password='it\\'s'",
    r"host=localhost password=a\ b\\c",
    "host=localhost password='a b # ? @ / % + ; ='",
    "host=localhost password=''",
    "host=h1,h2 port=1,2 target_session_attrs=primary",
    "host=/var/run/postgresql dbname=db",
    "hostaddr=10.0.0.1,10.0.0.2 host=a,b",
    "service=mine user=x",
    "dbname=postgresql://h/db",
    "host=::1 dbname=db",
    "\n host=a\n port=1\n",
]


@pytest.mark.parametrize("text", LIBPQ)
def test_what_libpq_reads_is_its_own_answer(text: str) -> None:
    judged = {o.keyword.decode(): o.val.decode() for o in pq.Conninfo.parse(text.encode()) if o.val is not None}
    assert parse(text) == judged


P = {"user": "u", "password": "p", "host": "h"}
DB = {**P, "dbname": "db"}
AT = {"host": "h", "port": "5432", "dbname": "db"}
TRANSLATED: list[tuple[str, dict[str, str]]] = [
    # JDBC and R2DBC
    ("jdbc:postgresql://h:5432/db", AT),
    ("jdbc:postgresql://h/db?user=u&password=p", DB),
    ("jdbc:postgresql:db", {"host": "localhost", "dbname": "db"}),
    ("jdbc:postgresql:/", {"host": "localhost"}),
    ("jdbc:postgresql://localhost/", {"host": "localhost"}),
    ("jdbc:postgresql:///db", {"host": "localhost", "dbname": "db"}),
    ("jdbc:postgresql:db?user=u", {"host": "localhost", "dbname": "db", "user": "u"}),
    ("jdbc:postgresql://[::1]:5433/db", {"host": "::1", "port": "5433", "dbname": "db"}),
    ("jdbc:postgresql://h1:1,h2:2/db", {"host": "h1,h2", "port": "1,2", "dbname": "db"}),
    ("jdbc:postgresql://h/db?user=u&password=a%2Bb+c%26d", {**DB, "password": "a+b c&d"}),
    ("jdbc:postgresql://h:5432/db?ssl=true", {**AT, "sslmode": "require"}),
    ("jdbc:postgresql://h:5432/db?ssl=false", AT),
    ("jdbc:postgresql://h:5432/db?sslmode=verify-full&sslrootcert=/ca", {**AT, "sslmode": "verify-full", "sslrootcert": "/ca"}),
    ("jdbc:postgresql://h:5432/db?ssl=true&sslfactory=org.postgresql.ssl.NonValidatingFactory", {**AT, "sslmode": "require"}),
    ("jdbc:postgresql://h:5432/db?currentSchema=app", {**AT, "options": "-csearch_path=app"}),
    ("jdbc:postgresql://h:5432/db?currentSchema=a,b&options=-c%20x.y=1", {**AT, "options": "-c x.y=1 -csearch_path=a,b"}),
    ("jdbc:postgresql://h:5432/db?ApplicationName=my+app&connectTimeout=5", {**AT, "application_name": "my app", "connect_timeout": "5"}),
    ("jdbc:postgresql://h:5432/db?targetServerType=primary", {**AT, "target_session_attrs": "primary"}),
    ("jdbc:postgresql://h:5432/db?targetServerType=secondary", {**AT, "target_session_attrs": "standby"}),
    ("jdbc:postgresql://h:5432/db?targetServerType=preferSecondary", {**AT, "target_session_attrs": "prefer-standby"}),
    ("jdbc:postgresql://h:5432/db?loadBalanceHosts=true", {**AT, "load_balance_hosts": "random"}),
    ("jdbc:postgresql://h:5432/db?tcpKeepAlive=true&socketTimeout=30&loginTimeout=3", {**AT, "keepalives": "1", "connect_timeout": "3"}),
    ("jdbc:postgresql://h:5432/db?prepareThreshold=0&reWriteBatchedInserts=true&stringtype=unspecified", AT),
    ("jdbc:postgresql://h:5432/db?channelBinding=require&gssEncMode=disable", {**AT, "channel_binding": "require", "gssencmode": "disable"}),
    ("jdbc:postgresql://localhost/db?socketFactory=x.AFUNIXSocketFactory$FactoryArg&socketFactoryArg=/tmp/.s.PGSQL.5433", {"host": "/tmp", "port": "5433", "dbname": "db"}),
    ("r2dbc:postgresql://u:p@h/db", DB),
    ("r2dbc:pool:postgresql://h:5432/db?schema=app", {**AT, "options": "-csearch_path=app"}),
    # SQLAlchemy, asyncpg
    ("postgresql+psycopg2://u:p@h/db", DB),
    ("postgresql+psycopg://u:p@h/db?sslmode=require", {**DB, "sslmode": "require"}),
    ("postgresql+asyncpg://u:p@h/db?ssl=require", {**DB, "sslmode": "require"}),
    ("postgresql+asyncpg://u:p@h/db?ssl=verify-full", {**DB, "sslmode": "verify-full"}),
    ("postgresql+asyncpg://u:p@h/db?ssl=disable", {**DB, "sslmode": "disable"}),
    ("postgresql+asyncpg://u:p@h/db?prepared_statement_cache_size=0&timeout=5", {**DB, "connect_timeout": "5"}),
    ("postgres+psycopg2://u:p@h/db", DB),
    ("postgresql+psycopg2://u:p/w@h/db", {**DB, "password": "p/w"}),
    ("postgresql+psycopg2://u:p%40%2F@h/db?application_name=a+b", {**DB, "password": "p@/", "application_name": "a b"}),
    ("postgresql+psycopg2://u:p@/db?host=/var/run/postgresql", {**DB, "host": "/var/run/postgresql"}),
    ("postgresql+psycopg2://u:p@/db?host=a:1&host=b:2", {**DB, "host": "a,b", "port": "1,2"}),
    ("postgresql+psycopg://u:p@/db?host=a,b&port=1,2", {**DB, "host": "a,b", "port": "1,2"}),
    ("postgresql+pg8000://u:p@/db?unix_sock=/tmp/.s.PGSQL.5432", {**DB, "host": "/tmp", "port": "5432"}),
    # Prisma, Supabase, Neon, Vercel
    ("postgresql://u:p@h/db?schema=public", {**DB, "options": "-csearch_path=public"}),
    ("postgresql://u:p@h/db?schema=my%20app", {**DB, "options": r"-csearch_path=my\ app"}),
    ("postgresql://u:p@h/db?pgbouncer=true&connection_limit=1&pool_timeout=20&socket_timeout=5", DB),
    ("postgresql://u:p@h/db?sslmode=require&sslaccept=strict", {**DB, "sslmode": "verify-full"}),
    ("postgresql://u:p@h/db?sslaccept=accept_invalid_certs", {**DB, "sslmode": "require"}),
    ("postgresql://u:p@localhost/db?host=/tmp&schema=app", {**DB, "host": "/tmp", "options": "-csearch_path=app"}),
    ("postgres://u:p@h/db?sslmode=require&supa=base-pooler.x&workaround=supabase-pooler.vercel", {**DB, "sslmode": "require"}),
    ("postgres://u:p@h/db?sslmode=require&pgbouncer=true&connect_timeout=15", {**DB, "sslmode": "require", "connect_timeout": "15"}),
    # Rails, Django, Doctrine, Ecto, Node, Go
    ("postgres://u:p@h/db?pool=5&encoding=unicode&prepared_statements=false", {**DB, "client_encoding": "unicode"}),
    ("postgis://u:p@h/db", DB),
    ("pgsql://u:p@h/db", DB),
    ("psql://u:p@h/db", DB),
    ("timescalegis://u:p@h/db", DB),
    ("POSTGRES://u:p@h/db", DB),
    ("postgres://u:p@h/db?conn_max_age=600&ssl_require=true", {**DB, "sslmode": "require"}),
    ("postgis://u:p@%2Ftmp/db", {**DB, "host": "/tmp"}),
    ("postgresql://u:p@h/db?serverVersion=16&charset=utf8", {**DB, "client_encoding": "utf8"}),
    ("ecto://u:p@h/db?ssl=true&pool_size=10", {**DB, "sslmode": "require"}),
    ("postgres://u:p@h/db?sslmode=no-verify", {**DB, "sslmode": "require"}),
    ("postgres://u:p@h/db?ssl=1&uselibpqcompat=true&max=20", {**DB, "sslmode": "require"}),
    ("postgres://u:p@h/db?connectionTimeoutMillis=2500&statement_timeout=1000", {**DB, "connect_timeout": "3", "options": "-cstatement_timeout=1000"}),
    ("postgres://u:p#?@h/db?pgbouncer=true", {**DB, "password": "p#?"}),
    ("postgres://u:p@h/db?pool_max_conns=10&default_query_exec_mode=simple_protocol", DB),
    ("postgres://u:p@h/db?sslmode=disable&x-migrations-table=m&binary_parameters=yes", {**DB, "sslmode": "disable"}),
    ("pgx5://u:p@h/db", DB),
    ("postgres://u:p@h/db?default_transaction_read_only=on&timezone=UTC&TimeZone=UTC", {**DB, "options": "-cdefault_transaction_read_only=on -cTimeZone=UTC"}),
    ("postgres://u:p@h/db?min_size=1&max_size=10&reconnect=true", DB),
    ("host=h user=u password=p dbname=db TimeZone=Asia/Shanghai", {**DB, "options": "-cTimeZone=Asia/Shanghai"}),
    ("host=h user=u password='p;#' database=db search_path=app", {**DB, "password": "p;#", "options": "-csearch_path=app"}),
    ("pgsql:host=h;port=5432;dbname=db", AT),
    ("pgsql:host=h;port=5432;dbname=db;user=u;password=p;sslmode=require", {**AT, **P, "sslmode": "require"}),
    # Npgsql and ODBC
    ("Driver={PostgreSQL Unicode};Server=h;Port=5432;Database=db;Uid=u;Pwd=p;", {**AT, **P}),
    ("User ID=u;Password=p;Host=h;Port=5432;Database=db;Min Pool Size=0;Max Pool Size=100;Connection Lifetime=0;", {**AT, **P}),
    ("Host=h;Port=5432;Database=db;Username=u;Password=p", {**AT, **P}),
    ("host=h;port=5432;database=db;username=u;password=p", {**AT, **P}),
    ("Server=h;Port=5432;Database=db;User Id=u;Password=p;", {**AT, **P}),
    ("Host=h;Username=u;Password='p;w';Database=db", {**DB, "password": "p;w"}),
    ('Host=h;Username=u;Password="a""b\'c";Database=db', {**DB, "password": "a\"b'c"}),
    ("Host=h;Username=u;Password=p=w#;Database=db", {**DB, "password": "p=w#"}),
    ("Host=h1:1,h2:2;Database=db;Target Session Attributes=prefer-standby", {"host": "h1,h2", "port": "1,2", "dbname": "db", "target_session_attrs": "prefer-standby"}),
    ("Host=h;Port=5432;Database=db;SSL Mode=VerifyFull;Root Certificate=/ca", {**AT, "sslmode": "verify-full", "sslrootcert": "/ca"}),
    ("Host=h;Port=5432;Database=db;SslMode=Require;Trust Server Certificate=true", {**AT, "sslmode": "require"}),
    ("Host=h;Port=5432;Database=db;Pooling=true;Minimum Pool Size=1;MaxPoolSize=20;Command Timeout=30;Timeout=15", {**AT, "connect_timeout": "15"}),
    ("Host=h;Port=5432;Database=db;Search Path=a,b;Application Name=x;Include Error Detail=true", {**AT, "application_name": "x", "options": "-csearch_path=a,b"}),
    ("Host=/var/run/postgresql;Database=db;Keepalive=30;Load Balance Hosts=true", {"host": "/var/run/postgresql", "dbname": "db", "load_balance_hosts": "random"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), TRANSLATED, ids=[text for text, _ in TRANSLATED])
def test_what_libpq_does_not_read_is_translated(text: str, expected: dict[str, str]) -> None:
    found = parse(text)
    assert found == expected
    assert resolve(found)  # libpq accepts each value, short of connecting
    try:
        judged = conninfo_to_dict(text)
    except ProgrammingError:
        return
    assert judged.get("sslmode") == "no-verify" or ";" in str(judged["host"]), (
        "libpq reads it, and would have been right"
    )


SECRET = "s3cret-w0rd"
REFUSED = {
    f"postgresql://u:{SECRET}%zz@h/db": "two hex digits",
    f"postgresql://u:{SECRET}%@h/db": "two hex digits",
    f"postgresql://u:{SECRET}@h/db?password={SECRET}%zz&pgbouncer=true": "two hex digits",
    f"postgresql://u:{SECRET}@h/db?nonsense=1": "unknown option `nonsense`",
    f"postgresql://u:{SECRET}@h/db?ssl_mode=require&appliction_name=x": "did you mean `application_name`",
    f"postgresql://u:x@h/db?password=a&{SECRET}!=1": "without a proper name",
    f"postgresql://u:{SECRET}@[::1/db": "`]`",
    f"postgresql://u:{SECRET}@h/db?password": "no `=`",
    f"postgresql://u:{SECRET} more@h/db": "raw space",
    f"mysql://u:{SECRET}@h/db": "`mysql` is not PostgreSQL",
    f"cockroachdb://u:{SECRET}@h/db": "`cockroachdb` is not PostgreSQL",
    f"prisma+postgres://accelerate/?api_key={SECRET}": "`prisma` is not PostgreSQL",
    f"{SECRET}://h/db": "no scheme",
    f"u:{SECRET}@h:5432/db": "no scheme",
    f"host=h password='{SECRET}": "quote is not closed",
    f"host=h password=a {SECRET}": "name=value",
    f"Host=h;Username=u;Password={SECRET};Bogus Key=1": "unknown option `Bogus Key`",
    f"Host=h;Username=u;Passwrd={SECRET}": "did you mean `password`",
}


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_an_error_names_the_trouble_and_no_secret(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    error = caught.value
    told = f"{error.what}\n{error.why}\n{error.fix}"
    assert REFUSED[text] in told
    assert SECRET not in told
    assert not caught.value.__cause__


def test_what_is_no_utf8_is_an_error() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        parse("postgresql://u:\udce9@h/db")
    with pytest.raises(ConfigError, match="cannot be read"):
        parse("postgresql://u:100%db@h/db")


PIECES = [
    *"@:/?#%+&=;,[]' \\", "postgresql://", "postgres://", "jdbc:postgresql:", "postgresql+x://", "host=", "Host=", "user", "pass",
    "h1", "5432", "%41", "%zz", "sslmode=", "require", "options=-c", "schema=", "password=", "dbname=", "::1", "é",
]  # fmt: skip


@pytest.mark.parametrize("seed", [2, 3, 5])
def test_whatever_stands_there_libpqs_answer_is_the_answer_and_the_rest_an_error(seed: int) -> None:
    random = Random(seed)
    agreed = 0
    for _ in range(20_000):
        text = "".join(random.choices(PIECES, k=random.randint(1, 12)))
        try:
            judged = {o.keyword.decode(): o.val.decode() for o in pq.Conninfo.parse(text.encode()) if o.val is not None}
        except (OperationalError, UnicodeDecodeError):
            judged = {}
        try:
            found = parse(text)
        except ConfigError:
            assert not judged or ";" in judged.get("host", ""), text
        else:
            agreed += bool(judged)
            assert not judged or found == judged or ";" in judged.get("host", ""), text
    assert agreed > 1000


def test_there_are_enough_written_forms() -> None:
    assert len(set(LIBPQ)) + len(TRANSLATED) >= 140


HOSTILE = ["@x-ss", "x/yz1", "12%zz", "qq ww", "é/\u2028"]


@pytest.mark.parametrize("password", HOSTILE)
def test_a_password_that_is_not_encoded_is_not_shown_by_what_it_breaks(password: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(parse(f"postgresql://user:{password}@host/db"))
    assert password not in f"{caught.value.what} {caught.value.why} {caught.value.fix}"
