"""The TypeScript SDK: its own tests, run by node without a component, and its types."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lattice import errors
from lattice.authoring import resources
from lattice.authoring.toolchains.javascript import find_modules, find_node

SDK = Path(__file__).parents[2] / "actors" / "sdk" / "typescript"
RUN_S_MAX = 120

BUNDLE = """
import * as esbuild from "esbuild";
const [entry, index, outfile] = process.argv.slice(2);
await esbuild.build({
  entryPoints: [entry], outfile, bundle: true, platform: "node", format: "esm", alias: { nanolattice: index },
});
"""


def modules(*packages: str) -> tuple[str, Path]:
    try:
        node = find_node()
    except errors.ToolMissing as missing:
        pytest.skip(f"{missing}; {missing.remedy}")
    found = find_modules(Path.cwd(), *packages)
    if found is None:
        pytest.skip(f"{' and '.join(packages)} are not here; npm ci --prefix actors")
    return node, found


def run(command: list[str], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=RUN_S_MAX, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_own_tests_pass(tmp_path: Path) -> None:
    node, packages = modules("esbuild")
    (tmp_path / "node_modules").symlink_to(packages.resolve(), target_is_directory=True)
    (tmp_path / "bundle.mjs").write_text(BUNDLE)
    entry, index = SDK / "tests" / "sdk.test.ts", SDK / "src" / "index.ts"
    run([node, "bundle.mjs", str(entry), str(index), str(tmp_path / "sdk.test.mjs")], tmp_path)
    said = run([node, "--test", "--test-reporter=tap", "sdk.test.mjs"], tmp_path)
    assert "\n# fail 0\n" in said
    assert "\n# skipped 0\n" in said


def test_its_types_fit(tmp_path: Path) -> None:
    node, packages = modules("typescript")
    shutil.copytree(SDK, tmp_path / "sdk", ignore=shutil.ignore_patterns("tests"))
    run([node, str(packages / "typescript" / "bin" / "tsc"), "-p", "sdk"], tmp_path)


@pytest.mark.parametrize("language", ["typescript", "javascript"])
@pytest.mark.parametrize("template", resources.TEMPLATES)
def test_the_types_of_templates_fit(language: str, template: str, tmp_path: Path) -> None:
    node, packages = modules("typescript")
    shutil.copytree(resources.template(language, template), tmp_path / "app")
    shutil.copytree(SDK / "src", tmp_path / "app" / ".lattice" / "sdk" / "typescript" / "src")
    settings = "tsconfig.json" if language == "typescript" else "jsconfig.json"
    run([node, str(packages / "typescript" / "bin" / "tsc"), "--noEmit", "-p", f"app/{settings}"], tmp_path)


def test_a_wrong_type_is_found(tmp_path: Path) -> None:
    node, packages = modules("typescript")
    app = tmp_path / "app"
    shutil.copytree(resources.template("typescript", "http"), app)
    shutil.copytree(SDK / "src", app / ".lattice" / "sdk" / "typescript" / "src")
    wrong = (
        'http.get("/{name}", ({ params }) => params.nam);',
        't.object({ name: t.text }).read({}, "").nam;',
        't.object({ age: t.optional(t.whole) }).read({}, "").age + 1;',
    )
    tsc = [node, str(packages / "typescript" / "bin" / "tsc"), "-p", "app"]
    for text in wrong:
        (app / "app.ts").write_text('import { http, t } from "nanolattice"; ' + text)
        done = subprocess.run(tsc, cwd=tmp_path, capture_output=True, text=True, timeout=RUN_S_MAX, check=False)
        assert done.returncode != 0, text
        assert "app.ts(1," in done.stdout
