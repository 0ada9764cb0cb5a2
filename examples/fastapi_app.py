"""Bills, their votes and comments, with FastAPI and asyncio: ``uvicorn examples.fastapi_app:app``."""

from __future__ import annotations

from typing import Any, Literal

import psycopg
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, Field

import pgcohesion

db = pgcohesion.get_database_orchestrator()  # the environment is PGCOHESION_ENV; nothing opens yet
app = FastAPI(title="Chanuka", lifespan=db.lifespan)  # opens at the start, drains after the last answer

LATEST = """SELECT bill_id, number, title, status, comments FROM bill_overview
             ORDER BY introduced_on DESC, bill_id LIMIT 20"""
SEARCH = """SELECT b.bill_id, b.number, b.title, b.status, b.comments, s.excerpt
              FROM search_bills(%s) s JOIN bill_overview b USING (bill_id) ORDER BY s.rank DESC, b.bill_id"""
BILL = """SELECT b.bill_id, b.number, b.title, b.status, b.primary_sponsor,
                 (SELECT coalesce(json_agg(v ORDER BY v.held_on, v.vote_id), '[]')
                    FROM vote_results v WHERE v.bill_id = b.bill_id) AS votes
            FROM bill_overview b WHERE b.bill_id = %s"""
COMMENT = "INSERT INTO comments (bill_id, user_id, stance, body) VALUES (%s, %s, %s, %s) RETURNING comment_id"


class Comment(BaseModel):
    """What somebody says about a bill."""

    user_id: int
    stance: Literal["support", "oppose", "neutral"]
    body: str = Field(min_length=1, max_length=10_000)


@app.get("/bills")
async def bills(q: str = "") -> list[dict[str, Any]]:
    """Return the latest bills, or those that a search finds."""
    manager = db.get_async_connection_manager()
    rows = await manager.execute(SEARCH, [q], readonly=True) if q else await manager.execute(LATEST, readonly=True)
    return [row._asdict() for row in rows]


@app.get("/bills/{bill_id}")
async def bill(bill_id: int) -> dict[str, Any]:
    """Return a bill with its roll calls."""
    rows = await db.get_async_connection_manager().execute(BILL, [bill_id], readonly=True)
    if not rows:
        raise HTTPException(404, "no such bill")
    return dict(rows[0]._asdict())


@app.post("/bills/{bill_id}/comments", status_code=201)
async def comment(bill_id: int, comment: Comment) -> dict[str, int]:
    """Add a comment: in a transaction that is done again when it surely left nothing behind."""
    try:
        return {"comment_id": await db.get_async_connection_manager().run(add, bill_id, comment)}
    except psycopg.errors.ForeignKeyViolation:
        raise HTTPException(404, "no such bill or user") from None


async def add(connection: psycopg.AsyncConnection[Any], bill_id: int, comment: Comment) -> int:
    """Write a comment as its user, whom row level security looks at."""
    await connection.execute("SELECT set_config('chanuka.user_id', %s, true)", [str(comment.user_id)])
    cursor = await connection.execute(COMMENT, [bill_id, comment.user_id, comment.stance, comment.body])
    ((comment_id,),) = await cursor.fetchall()
    return int(comment_id)


@app.exception_handler(pgcohesion.CohesionError)
async def unavailable(request: Request, error: pgcohesion.CohesionError) -> JSONResponse:
    """Say that the database does not answer; what exactly stands in the log."""
    return JSONResponse({"detail": "the database does not answer"}, 503, {"Retry-After": "1"})


@app.get("/healthz")
async def healthz() -> dict[str, Any]:
    """Return what is known of the databases: this process lives, whatever it says."""
    return db.health().as_dict()


@app.get("/readyz")
async def readyz() -> JSONResponse:
    """Return 200 when the database answers, else 503."""
    ready = await db.aready()
    return JSONResponse({"ready": ready}, 200 if ready else 503)


@app.get("/metrics")
async def metrics() -> PlainTextResponse:
    """Return all numbers for Prometheus."""
    return PlainTextResponse(db.metrics())
