"""Bills, their votes and comments, with Django in one file: ``gunicorn --threads 8 examples.django_app:app``."""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.contrib.postgres.search import SearchQuery, SearchVectorField
from django.core.wsgi import get_wsgi_application
from django.db import IntegrityError, OperationalError, connection, models
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import path

import pgcohesion
from pgcohesion.integrations.django import databases, run

db = pgcohesion.get_database_orchestrator()  # the environment is PGCOHESION_ENV; nothing opens yet
atexit.register(db.close)  # at SIGTERM gunicorn answers what it has accepted, then comes this
settings.configure(
    DATABASES=databases(),
    MIDDLEWARE=[f"{__name__}.Unavailable"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY", "an example has nothing to sign"),
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
)
django.setup()


class Bill(models.Model):
    """A proposal."""

    bill_id = models.AutoField(primary_key=True)
    number = models.TextField()
    title = models.TextField()
    status = models.TextField()
    introduced_on = models.DateField()
    search = SearchVectorField()

    class Meta:
        app_label, db_table, managed = "chanuka", "bills", False


class Vote(models.Model):
    """A roll call and its count."""

    vote_id = models.AutoField(primary_key=True)
    bill = models.ForeignKey(Bill, models.DO_NOTHING, related_name="votes")
    question = models.TextField()
    held_on = models.DateField()
    yea = models.IntegerField()
    nay = models.IntegerField()
    carried = models.BooleanField()

    class Meta:
        app_label, db_table, managed = "chanuka", "vote_results", False


class Comment(models.Model):
    """What somebody says about a bill."""

    comment_id = models.BigAutoField(primary_key=True)
    bill_id = models.IntegerField()
    user_id = models.BigIntegerField()
    stance = models.TextField()
    body = models.TextField()

    class Meta:
        app_label, db_table, managed = "chanuka", "comments", False


SHOWN = ("bill_id", "number", "title", "status")


def find(q: str) -> list[dict[str, Any]]:
    """Return the latest bills, or those that a search finds."""
    found = Bill.objects.order_by("-introduced_on", "bill_id")
    if q:
        found = found.filter(search=SearchQuery(q, search_type="websearch", config="english"))
    return list(found.values(*SHOWN)[:20])


def read(bill_id: int) -> dict[str, Any]:
    """Return a bill with its roll calls."""
    bill = Bill.objects.filter(bill_id=bill_id).values(*SHOWN).first()
    if bill is None:
        raise Http404("no such bill")
    votes = Vote.objects.filter(bill_id=bill_id).order_by("held_on", "vote_id")
    return {**bill, "votes": list(votes.values("question", "yea", "nay", "carried"))}


def add(comment: dict[str, Any]) -> int:
    """Write a comment as its user, whom row level security looks at."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('chanuka.user_id', %s, true)", [str(comment["user_id"])])
    return int(Comment.objects.create(**comment).comment_id)


def bills(request: HttpRequest) -> JsonResponse:
    """Return bills: the read is done again when the server went away."""
    return JsonResponse(run(find, request.GET.get("q", ""), readonly=True), safe=False)


def bill(request: HttpRequest, bill_id: int) -> JsonResponse:
    """Return a bill with its roll calls."""
    return JsonResponse(run(read, bill_id, readonly=True))


def comments(request: HttpRequest, bill_id: int) -> JsonResponse:
    """Add a comment: in a transaction that is done again when it surely left nothing behind."""
    said = json.loads(request.body)
    wanted = {name: said[name] for name in ("user_id", "stance", "body")}
    try:
        return JsonResponse({"comment_id": run(add, {"bill_id": bill_id, **wanted})}, status=201)
    except IntegrityError:
        return JsonResponse({"detail": "no such bill or user, or nothing said"}, status=422)


class Unavailable:
    """Says that the database does not answer; what exactly stands in the log."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer 503 when it is so."""
        if not isinstance(error, (OperationalError, pgcohesion.CohesionError)):
            return None
        return JsonResponse({"detail": "the database does not answer"}, status=503, headers={"Retry-After": "1"})


def healthz(request: HttpRequest) -> JsonResponse:
    """Return what is known of the databases: this process lives, whatever it says."""
    return JsonResponse(db.health().as_dict())


def readyz(request: HttpRequest) -> JsonResponse:
    """Return 200 when the database answers, else 503."""
    ready = db.ready()
    return JsonResponse({"ready": ready}, status=200 if ready else 503)


def metrics(request: HttpRequest) -> HttpResponse:
    """Return all numbers for Prometheus."""
    return HttpResponse(db.metrics(), content_type="text/plain")


urlpatterns = [
    path("bills", bills),
    path("bills/<int:bill_id>", bill),
    path("bills/<int:bill_id>/comments", comments),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
]
app = get_wsgi_application()
