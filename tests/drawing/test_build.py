"""Installing and bundling the page: what is done once, what skips a test, and what is our defect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dashboards.drawing import build as builder
from dashboards.drawing.build import DrawingBroken, DrawingUnavailable

ESBUILD = """#!/bin/sh
echo bundled >> "{log}"
for argument; do case "$argument" in --outdir=*) echo made > "${{argument#--outdir=}}/page.js" ;; esac; done
"""


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """Where the stand-ins of npm and esbuild write that they were called."""
    return tmp_path / "calls"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page's folder beside the real one, with sources and a lock file of its own."""
    here = tmp_path / "drawing"
    (here / "src").mkdir(parents=True)
    (here / "src/page.tsx").write_text("export {}")
    (here / "package.json").write_text("{}")
    (here / "package-lock.json").write_text("{}")
    monkeypatch.setattr(builder, "HERE", here)
    monkeypatch.setattr(builder, "NODE_MODULES", here / "node_modules")
    monkeypatch.setattr(builder, "BUILD", here / "build")
    return here


def npm_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    programs = tmp_path / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (programs / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")


def installing(folder: Path, calls: Path) -> str:
    """A script that puts down what `npm ci` would, as far as the build asks for it."""
    modules = folder / "node_modules"
    esbuild = folder.parent / "esbuild"
    esbuild.write_text(ESBUILD.format(log=calls))
    esbuild.chmod(0o755)
    files = " ".join(f'"{modules / name}"' for name in set(builder._FONTS.values()))
    return f"""echo "npm $1" >> "{calls}"
mkdir -p "{modules}/.bin" "{modules}/@grafana/ui/dist/public/img" && cp "{esbuild}" "{modules}/.bin/esbuild"
for file in {files}; do mkdir -p "$(dirname "$file")" && echo font > "$file"; done"""


def test_it_installs_and_bundles_once_and_again_for_what_changed(
    folder: Path, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm_that(tmp_path, monkeypatch, installing(folder, calls))
    made = builder.build()
    assert (made / "page.js").read_text() == "made\n"
    assert (made / "index.html").is_file()
    assert (made / "public/fonts/inter/Inter-Regular.woff2").read_text() == "font\n"
    builder.build()
    assert calls.read_text().splitlines() == ["npm ci", "bundled"]

    (folder / "src/page.tsx").write_text("export const changed = 1")
    builder.build()
    assert calls.read_text().splitlines() == ["npm ci", "bundled", "bundled"]

    (folder / "package-lock.json").write_text('{"lockfileVersion": 3}')
    builder.build()
    assert calls.read_text().splitlines() == ["npm ci", "bundled", "bundled", "npm ci", "bundled"]


@pytest.mark.parametrize("code", ["ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "E403"])
def test_a_registry_out_of_reach_is_a_reason_to_skip(
    code: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm_that(tmp_path, monkeypatch, f"echo 'npm error code {code}' >&2; exit 1")
    with pytest.raises(DrawingUnavailable, match=f"registry: npm error code {code}"):
        builder.build()


def test_a_lock_file_that_does_not_fit_is_a_defect(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm_that(tmp_path, monkeypatch, "echo 'npm error code EUSAGE' >&2; exit 1")
    with pytest.raises(DrawingBroken, match="EUSAGE"):
        builder.build()


def test_no_npm_is_a_reason_to_skip(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DrawingUnavailable, match=r"npm is not installed \(sh deploy/system.sh --tests\)"):
        builder.build()


def test_a_bundle_that_fails_is_a_defect_and_leaves_nothing(
    folder: Path, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm_that(tmp_path, monkeypatch, installing(folder, calls))
    monkeypatch.setitem(builder._FONTS, "inter/New.woff2", "nowhere.woff2")
    with pytest.raises(DrawingBroken, match=r"nowhere\.woff2"):
        builder.build()
    monkeypatch.delitem(builder._FONTS, "inter/New.woff2")
    (folder / "node_modules/.bin/esbuild").write_text("#!/bin/sh\necho 'page.tsx: wrong' >&2; exit 1\n")
    with pytest.raises(DrawingBroken, match=r"page\.tsx: wrong"):
        builder.build()
    assert sorted(path.name for path in folder.iterdir()) == [
        "node_modules",
        "package-lock.json",
        "package.json",
        "src",
    ]


def test_the_lock_file_names_no_registry() -> None:
    """A machine's own registry is asked, whichever it is."""
    lock = json.loads((Path(builder.__file__).parent / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert len(packages) > 100
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
    assert [name for name, entry in packages.items() if not entry.get("integrity")] == []
