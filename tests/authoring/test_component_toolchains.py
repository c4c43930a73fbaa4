"""The toolchains of Python, TypeScript and JavaScript: what they see in sources, and every way it can go wrong."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lattice import errors
from lattice.authoring.project import Project
from lattice.authoring.toolchains import javascript, python, toolchain
from lattice.contracts import blobstore, builtin, cron, httpclient, httpserver, keyvalue, messaging, sqldb
from tests.support.authoring import require_toolchain

Write = Callable[..., Project]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Makes a project of its module's text, and of other files by their names."""

    def make(language: str, text: str, others: dict[str, str] | None = None, *, name: str = "app") -> Project:
        folder = tmp_path / "app"
        source = f"{name}.{SUFFIXES[language]}"
        for file, content in {source: text, **(others or {})}.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return Project(folder=folder, name="app", language=language, source=source)

    return make


SUFFIXES = {"python": "py", "typescript": "ts", "javascript": "js"}


def build(project: Project, tmp_path: Path) -> errors.BuildFailed:
    """What the build fails with."""
    require_toolchain(project.language)
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    with pytest.raises(errors.BuildFailed) as caught:
        toolchain(project.language).build(project, tmp_path / "out.wasm", scratch)
    assert not (tmp_path / "out.wasm").exists()
    return caught.value


# ---- what sources use


ALL = {
    "http": httpserver.CONTRACT.id,
    "keyvalue": keyvalue.CONTRACT.id,
    "messaging": messaging.CONTRACT.id,
    "blobstore": blobstore.CONTRACT.id,
    "sql": sqldb.CONTRACT.id,
    "log": builtin.LOGGING.id,
    "numbergen": builtin.NUMBERGEN.id,
    "fetch": httpclient.CONTRACT.id,
}


@pytest.mark.parametrize(("name", "contract"), ALL.items())
def test_python_uses_what_it_imports(write: Write, name: str, contract: str) -> None:
    contracts = toolchain("python").contracts
    assert contracts(write("python", f"from nanolattice import {name}\n")) == {contract}
    assert contracts(write("python", f"import nanolattice as n\n\ndef f():\n    n.{name}\n")) == {contract}
    if name != "fetch":
        assert contracts(write("python", f"import nanolattice.{name}\n")) == {contract}
        assert contracts(write("python", f"from nanolattice.{name} import CONTRACT\n")) == {contract}


def test_python_uses_what_its_other_files_import(write: Write) -> None:
    others = {
        "shop/__init__.py": "from . import prices\nfrom .deep import far\n",
        "shop/stock.py": "from nanolattice import keyvalue\nimport app\n",
        "shop/prices.py": "from nanolattice import sql\n",
        "shop/deep/__init__.py": "from .. import prices\nfrom .far import x\n",
        "shop/deep/far.py": "from nanolattice import log\n",
        "unused.py": "from nanolattice import blobstore\n",
    }
    text = "from nanolattice import on_message, on_timer, Error, not_found\nimport shop.stock\nfrom json import loads\n"
    project = write("python", text, others)
    assert toolchain("python").contracts(project) == {
        messaging.CONTRACT.id,
        cron.CONTRACT.id,
        keyvalue.CONTRACT.id,
        sqldb.CONTRACT.id,
        builtin.LOGGING.id,
    }


def test_python_that_cannot_be_parsed_is_told_with_its_place(write: Write, tmp_path: Path) -> None:
    project = write("python", "import shop\n", {"shop.py": "x = 1\ndef f(:\n    pass\n"})
    with pytest.raises(errors.BuildFailed, match=r"^shop\.py:2:7: .*\n    def f\(:"):
        toolchain("python").contracts(project)
    assert "shop.py:2:7" in build(project, tmp_path).message
    with pytest.raises(errors.BuildFailed, match=r"^app\.py: .*null"):
        toolchain("python").contracts(write("python", "\0"))


USED_BY_SCRIPTS = {
    "http": 'http.get("/", () => 1)',
    "keyvalue": 'keyvalue.get("k")',
    "messaging": 'messaging.publish("s")',
    "blobstore": 'blobstore.container("c").create()',
    "sql": 'sql.query("SELECT 1")',
    "log": 'log.info("x")',
    "numbergen": "numbergen.guid()",
    "fetch": 'fetch("http://x")',
}


@pytest.mark.parametrize("language", ["typescript", "javascript"])
def test_scripts_use_what_is_left_of_them(write: Write, language: str) -> None:
    require_toolchain(language)
    contracts = toolchain(language).contracts
    for name, use in USED_BY_SCRIPTS.items():
        project = write(language, f'import {{ {name} }} from "nanolattice";\nonOperation("A", () => {{ {use}; }});\n')
        text = (project.folder / project.source).read_text()
        (project.folder / project.source).write_text(f'import {{ onOperation }} from "nanolattice";\n{text}')
        assert contracts(project) == {ALL[name]}, name
    assert contracts(write(language, 'import { http, sql, t } from "nanolattice";\n')) == frozenset()
    both = write(
        language,
        'import { onMessage, onTimer } from "nanolattice";\nimport "./other";\nonTimer("", () => {});\n',
        {f"other.{SUFFIXES[language]}": 'import { onMessage } from "nanolattice";\nonMessage(">", () => {});\n'},
    )
    assert contracts(both) == {cron.CONTRACT.id, messaging.CONTRACT.id}


# ---- mistakes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("const a = ;\n", r"^app\.ts:1:11: Unexpected"),
        ('import { htp } from "nanolattice";\nhtp.get();\n', r"^app\.ts:1:10: No matching export .*htp"),
        ('\nimport x from "./nowhere";\nx();\n', r'^app\.ts:2:15: Could not resolve "\./nowhere"'),
        (
            'import { http } from "nanolattice";\n\nhttp.get("people", () => 1);\n',
            r"^app\.ts:3: .*does not begin with /",
        ),
        ('import { http } from "nanolattice";\nhttp.get("/", () => 1);\nnull!.x;\n', r"^app\.ts:3: .*null"),
    ],
)
def test_a_mistake_in_a_script_is_told_with_its_place(write: Write, tmp_path: Path, text: str, said: str) -> None:
    message = build(write("typescript", text), tmp_path).message
    assert re.search(said, message, re.MULTILINE), message


def test_a_mistake_at_the_start_of_python_is_told_with_its_place(write: Write, tmp_path: Path) -> None:
    project = write("python", "import shop\n", {"shop.py": "def f():\n    import left_pad\n\n\nf()\n"})
    failed = build(project, tmp_path)
    assert "\nshop.py:2: ModuleNotFoundError: No module named 'left_pad'\n" in failed.message
    assert "Stack backtrace" not in failed.message
    assert "pip install --target vendor left_pad" in failed.remedy


@pytest.mark.parametrize("name", ["my-app", "json", "nanolattice", "wit_world"])
def test_a_name_that_python_or_the_sdk_has_is_refused(write: Write, tmp_path: Path, name: str) -> None:
    failed = build(write("python", "", name=name), tmp_path)
    assert f"{name}.py cannot be an actor's module" in failed.message
    assert "app.py" in failed.remedy


# ---- tools


@pytest.mark.parametrize("language", ["python", "typescript", "javascript"])
def test_without_tools_the_way_to_them_is_told(tmp_path: Path, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(python.VARIABLE, str(tmp_path / "nothing"))
    monkeypatch.setattr(python.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(errors.ToolMissing) as missing:
        toolchain(language).find()
    assert "install" in missing.value.remedy


def test_without_packages_the_way_to_them_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not here")
    monkeypatch.setattr(javascript, "_modules", lambda _folder: iter([tmp_path]))
    with pytest.raises(errors.ToolMissing) as missing:
        toolchain("typescript").find()
    assert missing.value.remedy == "npm install --global esbuild@0.28.2 componentize-qjs@0.4.5"


def test_a_project_has_packages_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(javascript.VARIABLE, raising=False)
    for name in ("esbuild", "@scope/x"):
        package = tmp_path / "node_modules" / name
        package.mkdir(parents=True)
        (package / "package.json").write_text("{}")
    inside = tmp_path / "a" / "b"
    assert javascript.find_modules(inside, "esbuild", "@scope/x") == tmp_path / "node_modules"
    assert javascript.find_modules(inside, "esbuild", "no-such-package-anywhere") is None


@pytest.mark.parametrize(
    ("text", "engine"),
    [
        ("{}", "quickjs"),
        ('{"nanolattice": {}}', "quickjs"),
        ('{"nanolattice": {"engine": "starlingmonkey"}}', "starlingmonkey"),
    ],
)
def test_package_json_names_the_engine(write: Write, text: str, engine: str) -> None:
    project = write("javascript", "")
    assert javascript.engine_of(project) == "quickjs"
    (project.folder / "package.json").write_text(text)
    assert javascript.engine_of(project) == engine


@pytest.mark.parametrize("text", ["", "{", '{"nanolattice": {"engine": "v8"}}', '{"nanolattice": 3}', "[" * 100_000])
def test_a_package_json_that_says_nothing_is_refused(write: Write, text: str) -> None:
    project = write("javascript", "")
    (project.folder / "package.json").write_text(text)
    with pytest.raises(errors.ConfigError, match=r"package\.json"):
        javascript.engine_of(project)


# ---- what comes in between


def test_tools_of_node_are_run_by_a_script_that_prints_json(write: Write, tmp_path: Path) -> None:
    """As the toolchain does it, but seen from outside: the bundle names no folder of this machine."""
    require_toolchain("typescript")
    project = write("typescript", 'import { http } from "nanolattice";\nhttp.get("/", () => "é");\n')
    toolchain("typescript").contracts(project)
    bundle = (project.folder / ".lattice" / "build" / "actor.js").read_text()
    assert str(tmp_path) not in bundle
    lines = json.loads(bundle.rsplit("nanolatticeLines = ", 1)[1].strip().removesuffix(";"))
    assert lines["files"] == ["app.ts"]
    place = next(number for number, line in enumerate(bundle.splitlines()) if '"é"' in line)
    assert lines["lines"][2 * place : 2 * place + 2] == [0, 2]
    node = javascript.find_node()
    subprocess.run([node, "--check", "--input-type=module"], input=bundle, text=True, check=True, timeout=60)
