"""Install the page's npm packages and bundle it: `python -m dashboards.drawing.build` (`make drawing`).

Two steps, each with a stamp, so that a second run costs nothing: `npm ci` for what package-lock.json says (some 650 MB,
a minute), and esbuild for the sources (some seconds). What comes out is `dashboards/drawing/build/`: a folder of static
files, which needs neither npm nor a network any more.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE / "build"
NODE_MODULES = HERE / "node_modules"
INSTALL_SECONDS = 900.0
BUNDLE_SECONDS = 300.0

# npm's error codes for "the registry cannot be reached or does not serve us": https://docs.npmjs.com/common-errors
_UNREACHABLE = (
    *("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH"),
    *("E401", "E403", "E503"),
)

# Grafana's style sheet asks for its fonts under these names; its packages do not carry them.
_FONTS = {
    "inter/Inter-Regular.woff2": "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
    "inter/Inter-Medium.woff2": "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
    "inter/Inter-Italic.woff2": "@fontsource-variable/inter/files/inter-latin-wght-italic.woff2",
    "inter/Inter-MediumItalic.woff2": "@fontsource-variable/inter/files/inter-latin-wght-italic.woff2",
    "roboto/L0xTDF4xlVMF-BfR8bXMIhJHg45mwgGEFl0_3vrtSM1J-gEPT5Ese6hmHSh0mQ.woff2": (
        "@fontsource/roboto-mono/files/roboto-mono-latin-400-normal.woff2"
    ),
}

_HTML = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>Moorwatch board</title>
    <link rel="stylesheet" href="page.css">
    <link rel="icon" href="data:,">
    <style>body { margin: 0; }</style>
    <script>window.__grafana_public_path__ = 'public/';</script>
  </head>
  <body><div id="root"></div><script src="page.js"></script></body>
</html>
"""


class DrawingUnavailable(Exception):
    """This machine lacks something that drawing needs (npm, Chromium, a registry); the message says what."""


class DrawingBroken(Exception):
    """The page does not build or does not run, and that is our defect."""


def build() -> Path:
    """Make `BUILD` current and return it.

    Raises:
        DrawingUnavailable: npm is missing or cannot reach its registry.
        DrawingBroken: the lock file or the sources are wrong.
    """
    with _alone():
        _install()
        _bundle()
    return BUILD


@contextmanager
def _alone() -> Iterator[None]:
    """One builder at a time: test processes run beside each other."""
    with (HERE / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest(files: list[Path]) -> str:
    found = hashlib.sha256()
    for file in files:
        found.update(file.name.encode() + b"\0" + file.read_bytes())
    return found.hexdigest()


def _current(stamp: Path, digest: str) -> bool:
    return stamp.is_file() and stamp.read_text() == digest


def _run(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise DrawingUnavailable(f"{command[0]} {command[1]} did not end within {seconds:.0f} s") from error


def _install() -> None:
    digest = _digest([HERE / "package.json", HERE / "package-lock.json"])
    stamp = NODE_MODULES / ".moorwatch"
    if _current(stamp, digest):
        return
    npm = shutil.which("npm")
    if npm is None:
        raise DrawingUnavailable("npm is not installed (sh deploy/system.sh --tests)")
    # The registry is the machine's own setting; .npmrc beside package.json holds the rest.
    done = _run([npm, "ci", "--no-progress", "--loglevel=error"], INSTALL_SECONDS)
    if done.returncode != 0:
        told = "\n".join((done.stdout + done.stderr).strip().splitlines()[:20])
        if any(code in told for code in _UNREACHABLE):
            raise DrawingUnavailable(f"npm cannot reach its registry: {told.splitlines()[0]}")
        raise DrawingBroken(f"npm ci fails:\n{told}")
    stamp.write_text(digest)


def _bundle() -> None:
    sources = sorted(path for path in (HERE / "src").rglob("*") if path.is_file())
    digest = _digest([Path(__file__), HERE / "package-lock.json", *sources])
    stamp = BUILD / ".moorwatch"
    if _current(stamp, digest):
        return
    fresh = HERE / f"build.{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    try:
        _esbuild(fresh)
        (fresh / "index.html").write_text(_HTML)
        # Where Grafana's icons and fonts are asked for, seen from window.__grafana_public_path__.
        shutil.copytree(NODE_MODULES / "@grafana/ui/dist/public/img", fresh / "public/build/img")
        for name, source in _FONTS.items():
            target = fresh / "public/fonts" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(NODE_MODULES / source, target)
        (fresh / ".moorwatch").write_text(digest)
        shutil.rmtree(BUILD, ignore_errors=True)
        fresh.rename(BUILD)
    except FileNotFoundError as error:
        raise DrawingBroken(f"npm's packages are not what they were: {error}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _esbuild(target: Path) -> None:
    command = [
        str(NODE_MODULES / ".bin/esbuild"),
        "src/page.tsx",
        "--bundle",
        "--minify",
        f"--outdir={target}",
        "--jsx=automatic",
        '--define:process.env.NODE_ENV="production"',
        "--define:global=window",
        "--loader:.ttf=empty",  # the code editor's symbols: no panel has an editor
        "--log-level=warning",
        "--legal-comments=linked",
    ]
    done = _run(command, BUNDLE_SECONDS)
    if done.returncode != 0:
        raise DrawingBroken(f"esbuild fails:\n{done.stderr[:4000]}")


if __name__ == "__main__":
    try:
        print(build())
    except (DrawingUnavailable, DrawingBroken) as error:
        sys.exit(str(error))
