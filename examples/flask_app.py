"""Bills, their votes and comments, with Flask and threads: ``gunicorn --threads 8 examples.flask_app:app``."""

from __future__ import annotations

import atexit
from typing import Any

import psycopg
from flask import Flask, Response, abort, request
from flask.typing import ResponseReturnValue

import pgcohesion

db = pgcohesion.get_database_orchestrator()  # the environment is PGCOHESION_ENV; nothing opens yet
atexit.register(db.close)  # at SIGTERM gunicorn answers what it has accepted, then comes this
app = Flask(__name__)

LATEST = """SELECT bill_id, number, title, status, comments FROM bill_overview
             ORDER BY introduced_on DESC, bill_id LIMIT 20"""
SEARCH = """SELECT b.bill_id, b.number, b.title, b.status, b.comments, s.excerpt
              FROM search_bills(%s) s JOIN bill_overview b USING (bill_id) ORDER BY s.rank DESC, b.bill_id"""
BILL = """SELECT b.bill_id, b.number, b.title, b.status, b.primary_sponsor,
                 (SELECT coalesce(json_agg(v ORDER BY v.held_on, v.vote_id), '[]')
                    FROM vote_results v WHERE v.bill_id = b.bill_id) AS votes
            FROM bill_overview b WHERE b.bill_id = %s"""
COMMENT = "INSERT INTO comments (bill_id, user_id, stance, body) VALUES (%s, %s, %s, %s) RETURNING comment_id"


@app.get("/bills")
def bills() -> ResponseReturnValue:
    """Return the latest bills, or those that a search finds."""
    manager, q = db.get_connection_manager(), request.args.get("q", "")
    rows = manager.execute(SEARCH, [q], readonly=True) if q else manager.execute(LATEST, readonly=True)
    return [row._asdict() for row in rows]


@app.get("/bills/<int:bill_id>")
def bill(bill_id: int) -> ResponseReturnValue:
    """Return a bill with its roll calls."""
    rows = db.get_connection_manager().execute(BILL, [bill_id], readonly=True)
    return dict(rows[0]._asdict()) if rows else abort(404)


@app.post("/bills/<int:bill_id>/comments")
def comment(bill_id: int) -> ResponseReturnValue:
    """Add a comment: in a transaction that is done again when it surely left nothing behind."""
    return {"comment_id": db.get_connection_manager().run(add, bill_id)}, 201


def add(connection: psycopg.Connection[Any], bill_id: int) -> int:
    """Write a comment as its user, whom row level security looks at."""
    said = request.get_json()
    connection.execute("SELECT set_config('chanuka.user_id', %s, true)", [str(said["user_id"])])
    cursor = connection.execute(COMMENT, [bill_id, said["user_id"], said["stance"], said["body"]])
    ((comment_id,),) = cursor.fetchall()
    return int(comment_id)


@app.errorhandler(psycopg.errors.IntegrityError)
def wrong(error: psycopg.errors.IntegrityError) -> ResponseReturnValue:
    """Say what the database refused: no such bill or user, an empty comment."""
    return {"detail": f"refused by {error.diag.constraint_name}"}, 422


@app.errorhandler(pgcohesion.CohesionError)
def unavailable(error: pgcohesion.CohesionError) -> ResponseReturnValue:
    """Say that the database does not answer; what exactly stands in the log."""
    return {"detail": "the database does not answer"}, 503, {"Retry-After": "1"}


@app.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Return what is known of the databases: this process lives, whatever it says."""
    return db.health().as_dict()


@app.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Return 200 when the database answers, else 503."""
    ready = db.ready()
    return {"ready": ready}, 200 if ready else 503


@app.get("/metrics")
def metrics() -> Response:
    """Return all numbers for Prometheus."""
    return Response(db.metrics(), mimetype="text/plain")
