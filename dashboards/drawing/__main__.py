"""Draw one board by hand: `python -m dashboards.drawing BOARD.json PROMETHEUS OUT.png`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from dashboards.draw import DrawingBroken, DrawingUnavailable, TimeRange, draw


def main() -> int:
    """0: every panel shows data; 1: some panel does not; 2: nothing could be drawn."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.drawing", description=__doc__)
    parser.add_argument("board", type=Path, help="a classic board's JSON")
    parser.add_argument("prometheus", help="such as http://127.0.0.1:9090")
    parser.add_argument("png", type=Path)
    parser.add_argument(
        "--last", type=float, default=3600, metavar="SECONDS", help="time range (default: an hour)"
    )
    parser.add_argument("--scrape-interval", type=float, default=15, metavar="SECONDS")
    parser.add_argument("--width", type=int, default=1600, metavar="PIXELS")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--var", action="append", default=[], metavar="NAME=VALUE", help="may be given again")
    given = parser.parse_args()
    variables: dict[str, list[str]] = {}
    for text in given.var:
        name, _, value = text.partition("=")
        variables.setdefault(name, []).append(value)
    try:
        states = draw(
            json.loads(given.board.read_text()),
            given.prometheus,
            given.png,
            TimeRange.last(given.last),
            variables,
            width=given.width,
            scrape_interval_seconds=given.scrape_interval,
            theme=given.theme,
        )
    except (DrawingBroken, DrawingUnavailable) as error:
        print(error, file=sys.stderr)
        return 2
    for state in states:
        print(f"{state.state:6} {state.type:14} {state.series:4} {state.title}: {state.message}".rstrip(": "))
    return 0 if all(state.state == "ok" for state in states) else 1


if __name__ == "__main__":
    sys.exit(main())
