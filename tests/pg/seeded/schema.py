"""Faults of tables, constraints and triggers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pgcohesion.health.registry import Finding
from pgcohesion.view import Grade

from .sessions import busy
from .stage import Fault, Lookalike, Stage, wait_for

TABLE = 'public."odd ""t"'
QUIET = "BEFORE UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"


def keyless(*statements: str, columns: str = "a int, b text") -> Callable[[Stage], str]:
    """Return a seed of a table with rows and no key."""

    def seed(stage: Stage) -> str:
        stage.sql(
            f"CREATE TABLE {TABLE} ({columns})",
            f"INSERT INTO {TABLE} SELECT g, 'x' FROM generate_series(1, 10) g",
            *(one.format(table=TABLE) for one in statements),
            f"ANALYZE {TABLE}",
        )
        return TABLE

    return seed


def keyless_whole(stage: Stage) -> str:
    stage.sql(
        f"CREATE TABLE {TABLE} (a int, at date) PARTITION BY LIST (at)",
        f"CREATE TABLE public.odd_1 PARTITION OF {TABLE} DEFAULT",
        f"INSERT INTO {TABLE} VALUES (1, now())",
        f"ANALYZE {TABLE}",
    )
    return TABLE


def add_whole_key(stage: Stage, finding: Finding) -> None:
    (line,) = finding.fix.splitlines()
    stage.sql(line.partition(": ")[2])


def keyless_part(stage: Stage) -> str:
    """Make a partition of a table without a key: the table is one finding, not each of its parts."""
    keyless_whole(stage)
    return "public.odd_1"


def empty(stage: Stage) -> str:
    stage.sql(f"CREATE TABLE {TABLE} (a int)")
    return TABLE


TARGET = (
    "CREATE TABLE public.target (id int PRIMARY KEY)",
    f"CREATE TABLE {TABLE} (id int PRIMARY KEY, x int)",
)


def not_valid(stage: Stage) -> None:
    stage.sql(*TARGET, f'ALTER TABLE {TABLE} ADD CONSTRAINT "odd c" CHECK (x > 0) NOT VALID')


def key_not_valid(stage: Stage) -> None:
    stage.sql(*TARGET, f'ALTER TABLE {TABLE} ADD CONSTRAINT "odd c" FOREIGN KEY (x) REFERENCES public.target NOT VALID')


def domain_not_valid(stage: Stage) -> None:
    stage.sql(
        'CREATE DOMAIN public."odd d" AS int',
        'ALTER DOMAIN public."odd d" ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID',
    )


def inherited(stage: Stage) -> str:
    stage.sql(
        *TARGET,
        f"CREATE TABLE public.child () INHERITS ({TABLE})",
        f"ALTER TABLE {TABLE} ADD CONSTRAINT c CHECK (x > 0) NOT VALID",
    )
    return "public.child.c"


def trigger_off(stage: Stage) -> None:
    stage.sql(
        *TARGET,
        f'CREATE TRIGGER "odd g" {QUIET.format(TABLE)}',
        f'ALTER TABLE {TABLE} DISABLE TRIGGER "odd g"',
    )


def key_off(stage: Stage) -> None:
    """Switch off all triggers of one side of a foreign key, as a bulk load does."""
    stage.sql(
        *TARGET,
        f'ALTER TABLE {TABLE} ADD CONSTRAINT "odd k" FOREIGN KEY (x) REFERENCES public.target',
        f"ALTER TABLE {TABLE} DISABLE TRIGGER ALL",
        "ALTER TABLE public.target DISABLE TRIGGER ALL",
    )


def trigger_of_a_part_off(stage: Stage) -> None:
    stage.sql(
        f"CREATE TABLE {TABLE} (x int PRIMARY KEY) PARTITION BY LIST (x)",
        f'CREATE TRIGGER "odd g" {QUIET.format(TABLE)}',
        f'CREATE TABLE public."odd 1" PARTITION OF {TABLE} FOR VALUES IN (1)',
        f"CREATE TABLE public.odd_2 PARTITION OF {TABLE} FOR VALUES IN (2)",
        'ALTER TABLE public."odd 1" DISABLE TRIGGER ALL',
    )


def trigger_of_all_parts_off(stage: Stage) -> str:
    """Switch a trigger off for the whole table: its partitions are not told one by one."""
    trigger_of_a_part_off(stage)
    stage.sql(f"ALTER TABLE {TABLE} DISABLE TRIGGER ALL")
    return 'public.odd_2."odd g"'


def unique_off(stage: Stage) -> None:
    stage.sql(
        f'CREATE TABLE {TABLE} (id int PRIMARY KEY, a int CONSTRAINT "odd u" UNIQUE DEFERRABLE)',
        f"ALTER TABLE {TABLE} DISABLE TRIGGER ALL",
    )


def rule_off(stage: Stage) -> None:
    stage.sql(
        *TARGET,
        f'CREATE RULE "odd r" AS ON DELETE TO {TABLE} DO INSTEAD NOTHING',
        f'ALTER TABLE {TABLE} DISABLE RULE "odd r"',
    )


def event_trigger_off(stage: Stage) -> None:
    stage.sql(
        "CREATE FUNCTION public.watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
        'CREATE EVENT TRIGGER "odd e" ON sql_drop EXECUTE FUNCTION public.watch()',
        'ALTER EVENT TRIGGER "odd e" DISABLE',
    )


def for_replicas(stage: Stage) -> None:
    stage.sql(
        *TARGET,
        f"CREATE TRIGGER g {QUIET.format(TABLE)}",
        f"ALTER TABLE {TABLE} ENABLE REPLICA TRIGGER g",
    )


def unlogged(stage: Stage) -> None:
    stage.sql(
        f"CREATE UNLOGGED TABLE {TABLE} (id int PRIMARY KEY)", f"INSERT INTO {TABLE} VALUES (1)", f"ANALYZE {TABLE}"
    )


def unlogged_and_empty(stage: Stage) -> str:
    stage.sql(f"CREATE UNLOGGED TABLE {TABLE} (id int PRIMARY KEY)")
    return TABLE


def other_type(ours: str, theirs: str) -> Callable[[Stage], None]:
    """Return a seed of a foreign key between columns of these types."""

    def seed(stage: Stage) -> None:
        stage.sql(
            f"CREATE TABLE public.target (id {theirs} PRIMARY KEY)",
            f'CREATE TABLE {TABLE} (id int PRIMARY KEY, "odd x" {ours} REFERENCES public.target)',
        )

    return seed


def published(*what: str, key: str = "") -> Callable[[Stage], str]:
    """Return a seed of a table and a publication of it."""

    def seed(stage: Stage) -> str:
        stage.sql(f"CREATE TABLE {TABLE} (id int NOT NULL {key}, a int)", *(one.format(table=TABLE) for one in what))
        return TABLE

    return seed


def published_part(stage: Stage) -> str:
    stage.sql(
        f"CREATE TABLE {TABLE} (a int) PARTITION BY LIST (a)",
        f"CREATE TABLE public.odd_1 PARTITION OF {TABLE} DEFAULT",
        f"CREATE PUBLICATION p FOR TABLE {TABLE}",
    )
    return "public.odd_1"


def in_the_default(stage: Stage) -> None:
    stage.sql(
        f"CREATE TABLE {TABLE} (a int PRIMARY KEY) PARTITION BY RANGE (a)",
        f'CREATE TABLE public."odd rest" PARTITION OF {TABLE} DEFAULT',
        f"INSERT INTO {TABLE} VALUES (1)",
        'ANALYZE public."odd rest"',
    )


def make_room(stage: Stage, finding: Finding) -> None:
    """Apply the fix with its one comment filled in."""
    made = f"CREATE TABLE public.odd_1 PARTITION OF {TABLE} FOR VALUES FROM (0) TO (10);"
    lines = [made if "CREATE TABLE" in line else line for line in finding.fix.splitlines()]
    stage.sql(*("\n".join(lines).split(";\n")), 'ANALYZE public."odd rest"')


def detaching(stage: Stage) -> tuple[Any, Any]:
    """Begin to detach a partition of a table that a transaction reads; return who reads, and who detaches."""
    stage.sql(
        f"CREATE TABLE {TABLE} (x int PRIMARY KEY) PARTITION BY LIST (x)",
        f'CREATE TABLE public."odd 1" PARTITION OF {TABLE} FOR VALUES IN (1)',
    )
    reader, session = stage.connect(), stage.connect()
    reader.execute(f"BEGIN; SELECT FROM {TABLE}".encode())
    busy(stage, session, f'ALTER TABLE {TABLE} DETACH PARTITION public."odd 1" CONCURRENTLY')
    wait_for(lambda: stage.db.execute("SELECT FROM pg_inherits WHERE inhdetachpending").fetchall())
    return reader, session


def half_detached(stage: Stage) -> None:
    reader, session = detaching(stage)
    session.cancel()
    reader.execute("COMMIT")
    active = "SELECT FROM pg_stat_activity WHERE state = 'active' AND pid = %s"
    wait_for(lambda: not stage.db.execute(active, [session.info.backend_pid]).fetchall())


def being_detached(stage: Stage) -> str:
    detaching(stage)
    return 'public."odd 1"'


def in_a_parted_default(stage: Stage) -> None:
    """Fill a default partition that is partitioned itself."""
    stage.sql(
        f"CREATE TABLE {TABLE} (a int, b int, PRIMARY KEY (a, b)) PARTITION BY LIST (a)",
        f'CREATE TABLE public."odd rest" PARTITION OF {TABLE} DEFAULT PARTITION BY LIST (b)',
        'CREATE TABLE public."odd 1" PARTITION OF public."odd rest" FOR VALUES IN (1)',
        f"INSERT INTO {TABLE} VALUES (1, 1)",
        f"ANALYZE {TABLE}",
    )


def empty_it(stage: Stage, finding: Finding) -> None:
    assert f"INSERT INTO {TABLE}" in finding.fix
    stage.sql(f"DELETE FROM {TABLE}", f"ANALYZE {TABLE}")


def default_unused(stage: Stage) -> str:
    stage.sql(
        f"CREATE TABLE {TABLE} (a int PRIMARY KEY) PARTITION BY RANGE (a)",
        f'CREATE TABLE public."odd rest" PARTITION OF {TABLE} DEFAULT',
    )
    return 'public."odd rest"'


VIEW = 'public."odd v"'


def unpopulated(stage: Stage) -> None:
    stage.sql(f"CREATE MATERIALIZED VIEW {VIEW} AS SELECT 1 AS a WITH NO DATA")


def being_filled(stage: Stage) -> str:
    unpopulated(stage)
    other = stage.connect(autocommit=False)
    other.execute(f"REFRESH MATERIALIZED VIEW {VIEW}".encode())
    return VIEW


FAULTS = [
    Fault("a table without a key", "no_primary_key", keyless()),
    Fault("a table with an id that is no key", "no_primary_key", keyless(columns="id int, b text")),
    Fault(
        "a table with an index that could be its key",
        "no_primary_key",
        keyless('CREATE UNIQUE INDEX "odd u" ON {table} (a) INCLUDE (b)', columns="a int NOT NULL, b text"),
    ),
    Fault(
        "a table with an index that sorts as no key may",
        "no_primary_key",
        keyless('CREATE UNIQUE INDEX "odd u" ON {table} (a DESC)', columns="a int NOT NULL, b text"),
    ),
    Fault("a partitioned table without a key", "no_primary_key", keyless_whole, mend=add_whole_key),
    Fault("a check that is not valid", "unvalidated_constraints", not_valid, f'{TABLE}."odd c"'),
    Fault("a foreign key that is not valid", "unvalidated_constraints", key_not_valid, f'{TABLE}."odd c"'),
    Fault("a domain's check that is not valid", "unvalidated_constraints", domain_not_valid, 'public."odd d".c'),
    Fault("a trigger that is off", "disabled_triggers", trigger_off, f'{TABLE}."odd g"'),
    Fault("a foreign key that is off", "disabled_triggers", key_off, f'{TABLE}."odd k"'),
    Fault("a trigger that is off for one partition", "disabled_triggers", trigger_of_a_part_off, '"odd 1"."odd g"'),
    Fault("a unique constraint that is off", "disabled_triggers", unique_off, f'{TABLE}."odd u"'),
    Fault("a rule that is off", "disabled_triggers", rule_off, f'{TABLE}."odd r"'),
    Fault("an event trigger that is off", "disabled_triggers", event_trigger_off, '"odd e"'),
    Fault("a view that was never filled", "unpopulated_views", unpopulated, VIEW),
    Fault("an unlogged table with rows", "unlogged_tables", unlogged, TABLE),
    Fault("a key narrower than its target", "foreign_key_types", other_type("int", "bigint"), f'{TABLE}."odd x"'),
    Fault(
        "a published table whose rows have no name",
        "replica_identity",
        published("CREATE PUBLICATION p FOR TABLE {table}"),
        grade=Grade.FAIL,
    ),
    Fault(
        "a published table with an index that could name its rows",
        "replica_identity",
        published('CREATE UNIQUE INDEX "odd u" ON {table} (id)', "CREATE PUBLICATION p FOR ALL TABLES"),
        grade=Grade.FAIL,
    ),
    Fault(
        "a published schema's table that gave its name away",
        "replica_identity",
        published(
            "ALTER TABLE {table} REPLICA IDENTITY NOTHING",
            "CREATE PUBLICATION p FOR TABLES IN SCHEMA public",
            key="PRIMARY KEY",
        ),
        grade=Grade.FAIL,
        least=15,
    ),
    Fault("a published table's partition", "replica_identity", published_part, grade=Grade.FAIL),
    Fault("a partition that is half detached", "half_detached", half_detached, 'public."odd 1"'),
    Fault("rows of a partitioned rest", "default_partitions", in_a_parted_default, 'public."odd rest"', mend=empty_it),
    Fault("rows that no partition takes", "default_partitions", in_the_default, 'public."odd rest"', mend=make_room),
]
LOOKALIKES = [
    Lookalike("a view that is being filled", "unpopulated_views", being_filled),
    Lookalike("an empty table without a key", "no_primary_key", empty),
    Lookalike("a partition of a table without a key", "no_primary_key", keyless_part),
    Lookalike("a check that a child inherits", "unvalidated_constraints", inherited),
    Lookalike("a trigger that is off for the whole table", "disabled_triggers", trigger_of_all_parts_off),
    Lookalike("a trigger for replicas only", "disabled_triggers", for_replicas),
    Lookalike("an unlogged table without rows", "unlogged_tables", unlogged_and_empty),
    Lookalike("text that points to varchar", "foreign_key_types", other_type("text", "varchar(9)")),
    Lookalike(
        "a published table that is only added to",
        "replica_identity",
        published("CREATE PUBLICATION p FOR TABLE {table} WITH (publish = 'insert, truncate')"),
    ),
    Lookalike(
        "a published table with a name by index",
        "replica_identity",
        published(
            "CREATE UNIQUE INDEX u ON {table} (id)",
            "ALTER TABLE {table} REPLICA IDENTITY USING INDEX u",
            "CREATE PUBLICATION p FOR TABLE {table}",
        ),
    ),
    Lookalike("a partition that is being detached", "half_detached", being_detached),
    Lookalike("a default partition without rows", "default_partitions", default_unused),
]
