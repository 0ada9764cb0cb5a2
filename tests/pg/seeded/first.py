"""Faults of the first checks."""

from __future__ import annotations

from contextlib import suppress

import psycopg

from .stage import Fault, Lookalike, Stage


def failed_index(stage: Stage) -> None:
    stage.sql('CREATE TABLE public."odd ""t" (a int)', 'INSERT INTO public."odd ""t" VALUES (1), (1)')
    with suppress(psycopg.errors.UniqueViolation):
        stage.sql('CREATE UNIQUE INDEX CONCURRENTLY "odd i" ON public."odd ""t" (a)')
    stage.sql('DELETE FROM public."odd ""t"')


def small_key(stage: Stage) -> None:
    stage.sql("CREATE TABLE public.few (id int PRIMARY KEY)", "CREATE TABLE public.kid (few int REFERENCES public.few)")


FAULTS = [Fault("an index that failed to build", "invalid_indexes", failed_index, '"odd i"')]
LOOKALIKES = [Lookalike("a small table without an index on its key", "unindexed_foreign_keys", small_key)]
