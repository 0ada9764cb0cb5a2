"""Write docs/health-report.schema.json from pgcohesion/health/schema.py."""

from __future__ import annotations

import json
from pathlib import Path

from pgcohesion.health.schema import schema

if __name__ == "__main__":
    path = Path(__file__).parents[1] / "docs" / "health-report.schema.json"
    path.write_text(json.dumps(schema(), indent=2) + "\n")
    print(path)
