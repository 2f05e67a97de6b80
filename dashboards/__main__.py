"""`python -m dashboards`: write anew what is made by code: boards, rule files, runbooks and the page of alerts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from dashboards import alerts, board, rules
from dashboards.boards import BOARDS

ROOT = Path(__file__).parents[1]


def made() -> Mapping[str, str]:
    """Path below the repository's root → content."""
    alerts.check()
    return {
        **{f"dashboards/json/{name}": text for name, text in board.files(BOARDS).items()},
        "deploy/prometheus/rules/moorwatch-alerts.yml": rules.alert_rules(),
        "deploy/prometheus/rules/moorwatch-recording.yml": rules.recording_rules(),
        **{f"deploy/runbooks/{a.name}.md": rules.runbook_page(a) for a in alerts.ALERTS},
        "docs/alerts.md": rules.alerts_page(),
    }


def stale(root: Path, files: Mapping[str, str]) -> list[Path]:
    """What an earlier run made and this one does not."""
    kept = {root / name for name in files}
    there = [*root.glob("dashboards/json/*.json"), *root.glob("deploy/runbooks/*.md")]
    return [path for path in there if path not in kept]


def main() -> int:
    files = made()
    for path in stale(ROOT, files):
        path.unlink()
    for name, text in files.items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    sys.stdout.write(f"{len(files)} files written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
