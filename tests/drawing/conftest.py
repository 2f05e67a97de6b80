"""A page that is built, and a Prometheus that has scraped itself for a while."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest

from tests.conftest import free_port, wait_until

SCRAPES = 12


def _asked(url: str, query: str) -> float:
    text = urllib.parse.urlencode({"query": query})
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?{text}", timeout=10) as answer:
            found = json.load(answer)["data"]["result"]
    except OSError:
        return 0.0
    return float(found[0]["value"][1]) if found else 0.0


@pytest.fixture(scope="session")
def prometheus_url(prometheus_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that scrapes itself each second, as job "prometheus", and has done so `SCRAPES` times."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            {"job_name": "prometheus", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        ],
    }
    (folder / "prometheus.json").write_text(json.dumps(config))  # JSON is YAML
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                prometheus_binary,
                f"--config.file={folder / 'prometheus.json'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--web.cors.origin=https://nobody.invalid",  # drawing must not lean on it
            ],
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _asked(url, "count_over_time(up[1m])") >= SCRAPES, "Prometheus has scraped itself")
        yield url
    finally:
        process.terminate()
        process.wait(30)
