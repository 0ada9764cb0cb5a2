"""The names of variables that people and frameworks keep connections in: the data of :mod:`.variables`.

The order is the order of precedence.
"""

from __future__ import annotations

import re

_URLS = (
    "DATABASE_URL POSTGRES_URL POSTGRESQL_URL PG_URL POSTGRES_PRISMA_URL PRIMARY_DATABASE_URL DATABASE_URI "
    "POSTGRES_URI POSTGRESQL_URI PG_URI SQLALCHEMY_DATABASE_URI SQLALCHEMY_DATABASE_URL SQLALCHEMY_URL DB_URL "
    "DB_URI DATABASE_DSN POSTGRES_DSN POSTGRESQL_DSN PG_DSN DB_DSN DATABASE_CONNECTION_STRING "
    "POSTGRES_CONNECTION_STRING PG_CONNECTION_STRING DB_CONNECTION_STRING JDBC_DATABASE_URL JDBC_URL "
    "SPRING_DATASOURCE_URL QUARKUS_DATASOURCE_JDBC_URL SPRING_R2DBC_URL TYPEORM_URL ConnectionStrings__Default "
    "ConnectionStrings__DefaultConnection ConnectionStrings__PostgreSQL ConnectionStrings__Postgres "
    "POSTGRES_URL_NON_POOLING DATABASE_URL_UNPOOLED DIRECT_URL DIRECT_DATABASE_URL SUPABASE_DB_URL "
    "NEON_DATABASE_URL DATABASE_PRIVATE_URL DATABASE_PUBLIC_URL PGRST_DB_URI"
)
URLS = tuple(_URLS.split())
PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        r"ConnectionStrings__\w+",
        r"POSTGRESQLCONNSTR_\w+",  # Azure App Service
        r"HEROKU_POSTGRESQL_[A-Z]+_URL",
    )
)
ADO_NAMES = re.compile(r"ConnectionStrings__|POSTGRESQLCONNSTR_")
STEM = re.compile(r"(_JDBC)?_UR[LI]$")  # SPRING_DATASOURCE_URL has SPRING_DATASOURCE_USERNAME and _PASSWORD beside it

PREFIXES = ("POSTGRES_", "POSTGRESQL_", "PG_", "DB_", "DATABASE_", "SQL_", "RDS_", "TYPEORM_")
MEMBERS = {  # of such a family, behind its prefix; the first that is set counts
    "host": ("HOST", "HOSTNAME", "SERVER", "HOST_NAME", "ADDRESS", "SERVICE_HOST", "PORT_5432_TCP_ADDR"),
    "port": ("PORT", "SERVICE_PORT", "PORT_5432_TCP_PORT"),
    "dbname": ("DB", "DATABASE", "NAME", "DBNAME", "DB_NAME"),
    "user": ("USER", "USERNAME", "USER_NAME"),
    "password": ("PASSWORD", "PASS", "PWD"),
    "sslmode": ("SSLMODE", "SSL_MODE"),
    "ssl": ("SSL", "USE_SSL", "SSL_ENABLED"),
    "sslrootcert": ("SSLROOTCERT", "SSL_ROOT_CERT", "SSL_CA"),
    "schema": ("SCHEMA", "SEARCH_PATH"),
    "options": ("OPTIONS",),
    "application_name": ("APPLICATION_NAME", "APP_NAME"),
    "connect_timeout": ("CONNECT_TIMEOUT",),
}
LINKED = ("SERVICE_HOST", "SERVICE_PORT", "PORT_5432_TCP_ADDR", "PORT_5432_TCP_PORT")  # Kubernetes' and Docker's own
ENGINES = ("ENGINE", "CONNECTION", "ADAPTER", "DIALECT", "TYPE", "CLIENT", "DRIVER", "VENDOR")
POSTGRES = re.compile(r"postg|pgsql|psycopg|^pg$|timescale", re.IGNORECASE)
WHERE = ("host", "hostaddr", "dbname", "user", "service")  # one of them makes a family a connection

ENVIRONMENTS = {  # what else variables call an environment
    "production": ("PROD",),
    "staging": ("STAGE", "STG"),
    "development": ("DEV",),
    "test": ("TESTING",),
}

_READ = r"(?:REPLICAS?|READ|READER|READONLY|READ_ONLY|READ_REPLICAS?|RO|FOLLOWER|STANDBY)"
_STEM = r"(?:DATABASE|POSTGRES|POSTGRESQL|PG|DB|PRIMARY)"
REPLICA_URL = re.compile(
    rf"(?:{_STEM}_{_READ}_?(\d*)(?:_DATABASE)?_UR[LI]S?|{_READ}_?(\d*)_(?:{_STEM}_)?UR[LI]S?|{_STEM}_UR[LI]S?_{_READ})_?(\d*)"
)
REPLICA_HOST = re.compile(
    rf"(?P<prefix>PG_?|{_STEM}_|RDS_|SQL_)(?:(?P<word>{_READ}_?)HOSTS?|HOSTS?_(?P<end>{_READ}))_?(\d*)"
)
OF_A_HOST = ("host", "hostaddr", "port", "service", "target_session_attrs")  # of the primary alone
