"""What drivers and frameworks call libpq's parameters, and which of their options mean nothing to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import cache

from ..errors import ConfigError
from .libpq import keywords

Pair = tuple[str, str]

ALIASES = {
    "user": "username userid uid",
    "password": "pass pwd psw",
    "host": "hostname server socketdir unixsocketdir pghost",
    "port": "pgport",
    "dbname": "database db databasename pgdbname",
    "client_encoding": "encoding charset characterencoding",
    "connect_timeout": "logintimeout timeout",
    "sslmode": "sslconnection",
    "sslrootcert": "rootcertificate sslca",
    "sslcert": "sslcertificate",
    "krbsrvname": "kerberosservername kerberosservicename",
    "gssencmode": "gssencryptionmode",
    "target_session_attrs": "targetservertype targetsessionattributes",
    "keepalives": "tcpkeepalive",
    "keepalives_idle": "tcpkeepalivetime",
    "keepalives_interval": "tcpkeepaliveinterval",
}
SETTINGS = {  # of a session: they travel in `options`
    "search_path": "currentschema schema searchpath schemasearchpath",
    "TimeZone": "timezone",
    "statement_timeout": "statementtimeout",
    "lock_timeout": "locktimeout",
    "idle_in_transaction_session_timeout": "idleintransactionsessiontimeout",
    "client_min_messages": "minmessages clientminmessages",
    "DateStyle": "datestyle",
    "IntervalStyle": "intervalstyle",
    "default_transaction_isolation": "defaulttransactionisolation",
    "default_transaction_read_only": "defaulttransactionreadonly",
    "row_security": "rowsecurity",
    "role": "role",
}
_DROPPED = (
    # pools and drivers: JDBC
    "adaptivefetch allowencodingchanges assumeminserverversion autosave binarytransfer binarytransferdisable "
    "binarytransferenable cancelsignaltimeout cleanupsavepoints databasemetadatacachefields "
    "databasemetadatacachefieldsmib defaultrowfetchsize disablecolumnsanitiser escapesyntaxcallmode "
    "groupstartupparameters gsslib hostrecheckseconds hidetransactionindicators includeresultmetadata "
    "jaasapplicationname jaaslogin localsocketaddress logservererrordetail logunclosedconnections maxresultbuffer "
    "maxsendbuffersize preferquerymode preparedstatementcachequeries preparedstatementcachesizemib preparethreshold "
    "protocolversion querytimeout quotereturningidentifiers readonly readonlymode receivebuffersize "
    "rewritebatchedinserts sendbuffersize socketfactory sockettimeout sslhostnameverifier sslpasswordcallback "
    "sslresponsetimeout sspiserviceclass stringtype tcpnodelay unknownlength usespnego xmlfactoryfactory "
    "loggerlevel loggerfile gssresponsetimeout "
    # Prisma, Node, poolers
    "rejectunauthorized pgbouncer connectionlimit pooltimeout statementcachesize singleuseconnections "
    "maxidleconnectionlifetime maxconnectionlifetime sslidentity workaround supa max min maxuses idletimeoutmillis "
    "allowexitonidle keepalive keepaliveinitialdelaymillis uselibpqcompat binary parseinputdatesasutc poolmode "
    # SQLAlchemy, asyncpg, Django, Rails, Doctrine, Ecto
    "asyncfallback preparedstatementcachesize preparednamefunc commandtimeout maxcachedstatementlifetime "
    "maxcacheablestatementsize poolsize maxoverflow poolrecycle poolpreping sslcontext connmaxage connhealthchecks "
    "disableserversidecursors minsize maxsize maxqueries maxinactiveconnectionlifetime reconnect atomicrequests "
    "autocommit engine pool minpoolsize maxpoolsize reapingfrequency checkouttimeout idletimeout preparedstatements "
    "statementlimit advisorylocks adapter variables serverversion collation prefix prefixindexes queuetarget "
    "queueinterval "
    # pgx, lib/pq
    "maxconns minconns maxconnlifetime maxconnidletime poolmaxconns poolminconns poolminidleconns "
    "poolmaxconnlifetime poolmaxconnlifetimejitter poolmaxconnidletime poolhealthcheckperiod defaultqueryexecmode "
    "statementcachecapacity descriptioncachecapacity statementcachemode binaryparameters "
    "disablepreparedbinaryresult prefersimpleprotocol "
    # Npgsql
    "driver pooling minimumpoolsize maximumpoolsize connectionidlelifetime connectionpruninginterval "
    "connectionlifetime maxautoprepare autoprepareminusages noresetonclose includeerrordetail includeerrordetails "
    "logparameters multiplexing enlist loadtablecomposites readbuffersize writebuffersize socketreceivebuffersize "
    "socketsendbuffersize persistsecurityinfo integratedsecurity includerealm arraynullabilitymode "
    "internalcommandtimeout cancellationtimeout writecoalescingbufferthresholdbytes servercompatibilitymode "
    "trustservercertificate usesslstream checkcertificaterevocation includefailedbatchedcommand"
)
DROPPED = frozenset(_DROPPED.split())
MODES = {  # how others write a value of libpq's; found without case, space, - and _
    "sslmode": {
        **{
            mode.replace("-", ""): mode
            for mode in ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
        },
        **dict.fromkeys(("noverify", "true", "on", "yes", "1"), "require"),
    },
    "target_session_attrs": {
        **dict.fromkeys(("master", "primary"), "primary"),
        **dict.fromkeys(("slave", "secondary", "standby"), "standby"),
        **dict.fromkeys(("preferslave", "prefersecondary", "preferstandby"), "prefer-standby"),
        **dict.fromkeys(("preferprimary", "any"), "any"),
        "readwrite": "read-write",
        "readonly": "read-only",
    },
    "load_balance_hosts": {"true": "random", "false": "disable"},
    "keepalives": {"true": "1", "false": "0"},
    "channel_binding": {mode: mode for mode in ("disable", "prefer", "require")},
    "gssencmode": {mode: mode for mode in ("disable", "prefer", "require")},
}
FALSE = ("false", "0", "off", "no", "none", "")


def normal(name: str) -> str:
    """Return *name* without case, spaces, ``_`` and ``-``: ``Application Name`` is ``applicationname``."""
    return re.sub(r"[\s_-]", "", name).lower()


def mode(keyword: str, value: str) -> str:
    """Return libpq's word for a driver's value: ``VerifyFull`` is ``verify-full``."""
    return MODES.get(keyword, {}).get(normal(value), value)


def _ssl(value: str) -> dict[str, str]:
    if value.lower() in FALSE:
        return {}
    word = mode("sslmode", value)
    return {"sslmode": word if word in MODES["sslmode"].values() else "require"}


def _socket(value: str) -> dict[str, str]:
    folder, _, port = value.rpartition("/.s.PGSQL.")
    return {"host": folder, "port": port} if folder else {"host": value}


def _seconds(value: str) -> dict[str, str]:
    return {"connect_timeout": str(-(-int(value) // 1000))} if value.isdigit() else {}


MEANING: dict[str, Callable[[str], dict[str, str]]] = {
    "ssl": _ssl,
    "sslrequire": _ssl,
    "sslaccept": lambda value: {"sslmode": "verify-full" if value == "strict" else "require"},
    "sslfactory": lambda value: {"sslmode": "require"} if "NonValidating" in value else {},
    "socketfactoryarg": _socket,
    "unixsock": _socket,
    "connectiontimeoutmillis": _seconds,
    "connecttimeoutmillis": _seconds,
    "connectiontimeoutms": _seconds,
    "connecttimeoutms": _seconds,
}


@cache
def names() -> dict[str, str]:
    """Return {normal name: libpq's keyword}."""
    own = {normal(keyword): keyword for keyword in keywords()}
    return {**own, **{alias: keyword for keyword, words in ALIASES.items() for alias in words.split()}}


@cache
def _settings() -> dict[str, str]:
    return {alias: setting for setting, words in SETTINGS.items() for alias in words.split()}


def setting(name: str, value: str) -> str:
    r"""Return ``-cname=value`` for ``options``, where a space is written ``\ `` ("Client Connection Defaults")."""
    return f"-c{name}=" + re.sub(r"([\\\s])", r"\\\1", value)


def translate(pairs: Iterable[Pair]) -> dict[str, str]:
    """Return libpq's parameters for a driver's options. Raises ConfigError for one that nobody knows."""
    exact: dict[str, str] = {}
    meant: dict[str, str] = {}
    settings: dict[str, str] = {}
    for name, value in pairs:
        word = normal(name)
        if name in keywords():
            exact[name] = mode(name, value)
        elif word in MEANING:
            meant |= MEANING[word](value)
        elif word in names():
            meant[names()[word]] = mode(names()[word], value)
        elif word in _settings():
            settings[_settings()[word]] = setting(_settings()[word], value)
        elif word not in DROPPED and not name.lower().startswith("x-"):
            raise unknown(name)
    if meant.get("sslmode") == "verify-full" and exact.get("sslmode") == "require":
        del exact["sslmode"]  # Prisma's sslmode=require&sslaccept=strict checks the certificate
    found = {**meant, **exact}
    if settings:
        found["options"] = " ".join(filter(None, [found.get("options", ""), *settings.values()]))
    return found


def unknown(name: str) -> ConfigError:
    """Return the error about an option; it is named only when it cannot be part of a password."""
    if not re.fullmatch(r"[A-Za-z][\w .-]{0,40}", name):
        return ConfigError(
            "a connection string has an option without a proper name",
            why="probably a password has a raw space, `&`, `;` or `?`",
            fix="percent-encode it in a URL, put it into '...' elsewhere",
        )
    close = get_close_matches(normal(name), [normal(keyword) for keyword in keywords()], n=1, cutoff=0.75)
    return ConfigError(
        f"a connection string has the unknown option `{name}`",
        why="neither libpq nor a driver that is known here has it",
        fix=f"did you mean `{names()[close[0]]}`?" if close else "remove it",
    )
