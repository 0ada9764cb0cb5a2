"""Bills, their votes and comments, with SQLAlchemy in Flask: ``gunicorn --threads 8 examples.sqlalchemy_app:app``."""

from __future__ import annotations

import atexit
from datetime import date
from typing import Any

from flask import Flask, Response, abort, request
from flask.typing import ResponseReturnValue
from sqlalchemy import ForeignKey, func, select
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker

import pgcohesion
from pgcohesion.integrations import sqlalchemy

db = pgcohesion.get_database_orchestrator()  # the environment is PGCOHESION_ENV; nothing opens yet
atexit.register(db.close)  # at SIGTERM gunicorn answers what it has accepted, then comes this
sessions = sessionmaker(sqlalchemy.engine(db))
app = Flask(__name__)


class Base(DeclarativeBase):
    """The tables; migrations/ makes them."""


class Bill(Base):
    """A proposal."""

    __tablename__ = "bills"
    bill_id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str]
    title: Mapped[str]
    status: Mapped[str]
    introduced_on: Mapped[date]
    search: Mapped[str] = mapped_column(TSVECTOR, deferred=True)
    votes: Mapped[list[Vote]] = relationship(order_by="Vote.held_on, Vote.vote_id")

    def as_dict(self) -> dict[str, Any]:
        """Return what a list of bills shows."""
        return {"bill_id": self.bill_id, "number": self.number, "title": self.title, "status": self.status}


class Vote(Base):
    """A roll call and its count."""

    __tablename__ = "vote_results"
    vote_id: Mapped[int] = mapped_column(primary_key=True)
    bill_id: Mapped[int] = mapped_column(ForeignKey(Bill.bill_id))
    question: Mapped[str]
    held_on: Mapped[date]
    yea: Mapped[int]
    nay: Mapped[int]
    carried: Mapped[bool]

    def as_dict(self) -> dict[str, Any]:
        """Return the count."""
        return {"question": self.question, "yea": self.yea, "nay": self.nay, "carried": self.carried}


class Comment(Base):
    """What somebody says about a bill."""

    __tablename__ = "comments"
    comment_id: Mapped[int] = mapped_column(primary_key=True)
    bill_id: Mapped[int]
    user_id: Mapped[int]
    stance: Mapped[str]
    body: Mapped[str]


def find(session: Session, q: str) -> list[dict[str, Any]]:
    """Return the latest bills, or those that a search finds."""
    query = select(Bill).order_by(Bill.introduced_on.desc(), Bill.bill_id).limit(20)
    if q:
        query = query.where(Bill.search.bool_op("@@")(func.websearch_to_tsquery("english", q)))
    return [bill.as_dict() for bill in session.scalars(query)]


def read(session: Session, bill_id: int) -> dict[str, Any] | None:
    """Return a bill with its roll calls."""
    bill = session.get(Bill, bill_id)
    return None if bill is None else {**bill.as_dict(), "votes": [vote.as_dict() for vote in bill.votes]}


def add(session: Session, comment: dict[str, Any]) -> int:
    """Write a comment as its user, whom row level security looks at."""
    session.execute(select(func.set_config("chanuka.user_id", str(comment["user_id"]), True)))
    made = Comment(**comment)
    session.add(made)
    session.flush()
    return made.comment_id


@app.get("/bills")
def bills() -> ResponseReturnValue:
    """Return bills: the read is done again when the server went away."""
    return sqlalchemy.run(sessions, find, request.args.get("q", ""), readonly=True)


@app.get("/bills/<int:bill_id>")
def bill(bill_id: int) -> ResponseReturnValue:
    """Return a bill with its roll calls."""
    return sqlalchemy.run(sessions, read, bill_id, readonly=True) or abort(404)


@app.post("/bills/<int:bill_id>/comments")
def comment(bill_id: int) -> ResponseReturnValue:
    """Add a comment: in a transaction that is done again when it surely left nothing behind."""
    said = request.get_json()
    wanted = {name: said[name] for name in ("user_id", "stance", "body")}
    return {"comment_id": sqlalchemy.run(sessions, add, {"bill_id": bill_id, **wanted})}, 201


@app.errorhandler(IntegrityError)
def wrong(error: IntegrityError) -> ResponseReturnValue:
    """Say that the database refused: no such bill or user, an empty comment."""
    return {"detail": "no such bill or user, or nothing said"}, 422


@app.errorhandler(OperationalError)
@app.errorhandler(pgcohesion.CohesionError)
def unavailable(error: Exception) -> ResponseReturnValue:
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
