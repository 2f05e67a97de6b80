"""`python -m dashboards`: write the boards anew, as Grafana's JSON, below dashboards/json."""

from __future__ import annotations

import sys
from pathlib import Path

from dashboards.board import files
from dashboards.boards import BOARDS

JSON = Path(__file__).parent / "json"


def main() -> int:
    JSON.mkdir(exist_ok=True)
    made = files(BOARDS)
    for stale in {p.name for p in JSON.glob("*.json")} - set(made):
        (JSON / stale).unlink()
    for name, text in made.items():
        (JSON / name).write_text(text)
    sys.stdout.write(f"{len(made)} boards written to {JSON}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
