"""Data to develop and to show with: some bills and all that belongs to them, without anybody's name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pgcohesion as pg

BILLS = "SELECT bill_id FROM bills ORDER BY introduced_on DESC, bill_id LIMIT {number:l}"
# What leaves, in the order of the foreign keys: a table or a column that is not named here stays at home.
PARTS = {
    "parties": "SELECT * FROM parties",
    "topics": "SELECT * FROM topics",
    "legislators": "SELECT legislator_id, slug, full_name, created_at, updated_at FROM legislators",
    "legislator_terms": "SELECT * FROM legislator_terms",
    "committees": "SELECT * FROM committees",
    "committee_members": "SELECT * FROM committee_members",
    "bills": """
        SELECT bill_id, session, number, title, summary, origin, status, topic_id, committee_id, introduced_on,
               updated_at
          FROM bills WHERE bill_id IN ({bills:s})""",
    "bill_versions": """
        SELECT bill_id, version, label, body, published_on FROM bill_versions WHERE bill_id IN ({bills:s})""",
    "sponsors": "SELECT * FROM sponsors WHERE bill_id IN ({bills:s})",
    "bill_actions": "SELECT * FROM bill_actions WHERE bill_id IN ({bills:s})",
    "votes": "SELECT * FROM votes WHERE bill_id IN ({bills:s})",
    "vote_positions": "SELECT p.* FROM vote_positions p JOIN votes USING (vote_id) WHERE bill_id IN ({bills:s})",
    "users": """
        SELECT user_id, 'user_' || user_id AS handle, 'User ' || user_id AS display_name,
               'user' || user_id || '@example.invalid' AS email, role, date_trunc('year', created_at) AS created_at,
               date_trunc('year', updated_at) AS updated_at
          FROM users
         WHERE user_id IN (SELECT user_id FROM comments WHERE bill_id IN ({bills:s})
                           UNION SELECT r.user_id FROM comment_reactions r JOIN comments USING (comment_id)
                                  WHERE bill_id IN ({bills:s})
                           UNION SELECT user_id FROM follows WHERE bill_id IN ({bills:s}))""",
    "comments": """
        SELECT comment_id, bill_id, user_id, parent_id, stance, state, created_at, updated_at,
               'Comment ' || comment_id || repeat(' lorem ipsum', length(body) / 12) AS body
          FROM comments WHERE bill_id IN ({bills:s})""",
    "comment_reactions": """
        SELECT r.* FROM comment_reactions r JOIN comments USING (comment_id) WHERE bill_id IN ({bills:s})""",
    "follows": "SELECT * FROM follows WHERE bill_id IN ({bills:s})",
}


class ExportSample(pg.Script):
    """Export some bills with all that belongs to them, anonymised."""

    to: Path = pg.arg(help="the file to write; psql -f loads it into a migrated database")
    bills: int = pg.arg(20, help="how many bills, the newest first")
    timeout = 10 * 60

    def steps(self, ctx: pg.ScriptContext) -> Iterator[pg.Change]:
        """Yield the one step, of one snapshot: a file that is whole, or not there."""
        bills = ctx.sql(BILLS, number=self.bills)
        parts = {table: ctx.sql(query, bills=bills) for table, query in PARTS.items()}
        yield ctx.extract(self.to, "chanuka", parts, f"{self.bills} bills, nobody's name")


if __name__ == "__main__":
    ExportSample.main()
