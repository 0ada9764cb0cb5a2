"""Faults of sequences."""

from __future__ import annotations

from collections.abc import Callable

from pgcohesion.view import Grade

from .stage import Fault, Lookalike, Stage

SEQUENCE = 'public."odd ""s"'


def at(kind: str, value: int, name: str = "odd") -> Callable[[Stage], str]:
    """Return a seed of a table whose key of this type is numbered up to a value."""

    def seed(stage: Stage) -> str:
        stage.sql(f'CREATE TABLE public."{name}" (id {kind} PRIMARY KEY)')
        stage.sql(f"SELECT setval('public.\"{name}_id_seq\"', {value})")
        return f"public.{name}_id_seq"

    return seed


def nobodys(stage: Stage) -> None:
    """Number a smallint by a sequence of bigint that no column owns."""
    stage.sql(
        f"CREATE SEQUENCE {SEQUENCE}",
        f"CREATE TABLE public.\"odd ''t\" (\"i d\" smallint DEFAULT nextval('{SEQUENCE}'), other bigint)",
        f"ALTER TABLE public.\"odd ''t\" ALTER other SET DEFAULT nextval('{SEQUENCE}')",
        f"SELECT setval('{SEQUENCE}', 32000)",
    )


def of_a_domain(stage: Stage) -> None:
    stage.sql(
        "CREATE DOMAIN public.number AS int CHECK (VALUE > 0)",
        f"CREATE SEQUENCE {SEQUENCE}",
        f"CREATE TABLE public.odd (id public.number DEFAULT nextval('{SEQUENCE}'))",
        f"SELECT setval('{SEQUENCE}', 1700000000)",
    )


def widen_domain(stage: Stage, finding: object) -> None:
    """A domain's columns get another type by hand: the fix is for the sequence only."""
    stage.sql("ALTER TABLE public.odd ALTER id TYPE bigint", *str(getattr(finding, "fix", "")).splitlines())


def short(stage: Stage) -> None:
    stage.sql(f"CREATE SEQUENCE {SEQUENCE} MINVALUE 100 MAXVALUE 200 START 100", f"SELECT setval('{SEQUENCE}', 190)")


def falling(stage: Stage) -> None:
    stage.sql(f"CREATE SEQUENCE {SEQUENCE} AS int INCREMENT -1", f"SELECT setval('{SEQUENCE}', -2000000000)")


def in_circles(stage: Stage) -> str:
    stage.sql(f"CREATE SEQUENCE {SEQUENCE} MAXVALUE 100 CYCLE", f"SELECT setval('{SEQUENCE}', 99)")
    return SEQUENCE


def far_from_its_minimum(stage: Stage) -> str:
    """Start a sequence high: what lies below its start was never there to use."""
    stage.sql(f"CREATE SEQUENCE {SEQUENCE} MINVALUE 1 MAXVALUE 1000 START 500", f"SELECT setval('{SEQUENCE}', 600)")
    return SEQUENCE


def locked(stage: Stage) -> str:
    """Alter a sequence that is near its end: who reads it would wait. It is unknown, and nothing else is lost."""
    short(stage)
    session = stage.connect()
    session.execute("BEGIN")
    session.execute(f"ALTER SEQUENCE {SEQUENCE} CACHE 7".encode())
    return SEQUENCE


FAULTS = [
    Fault("an integer key near its end", "sequences", at("serial", 2_100_000_000), grade=Grade.FAIL),
    Fault("an identity near its end", "sequences", at("int GENERATED ALWAYS AS IDENTITY", 1_700_000_000)),
    Fault(
        "a bigint near its end",
        "sequences",
        at("bigserial", 9_200_000_000_000_000_000),
        grade=Grade.FAIL,
        mend=(lambda stage, _: stage.sql("SELECT setval('public.odd_id_seq', 1)")),
    ),
    Fault("a sequence that nobody owns", "sequences", nobodys, SEQUENCE, grade=Grade.FAIL),
    Fault("a sequence for a domain", "sequences", of_a_domain, SEQUENCE, mend=widen_domain),
    Fault("a sequence that was made short", "sequences", short, SEQUENCE),
    Fault("a sequence that counts down", "sequences", falling, SEQUENCE),
]
LOOKALIKES = [
    Lookalike("a bigint key beyond what an integer holds", "sequences", at("bigserial", 3_000_000_000)),
    Lookalike("a sequence that starts again", "sequences", in_circles),
    Lookalike("a sequence that started high", "sequences", far_from_its_minimum),
    Lookalike("a sequence that somebody alters", "sequences", locked),
]
