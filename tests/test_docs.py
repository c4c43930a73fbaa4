"""The documentation says what the code does: errors, settings, limits, layers, links, commands, examples."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import typer

import lattice
from lattice import config, errors
from lattice.cli import build
from lattice.control.manifest import Application, parse
from lattice.control.manifest.document import compose
from lattice.control.manifest.modules_toml import parse_modules
from lattice.control.settings_check import check_settings
from lattice.security import rules, settings
from lattice.supervisor import Installed
from tests.test_architecture import LAYERS, provider_class

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PROVIDER_PAGES = DOCS / "providers"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "actors" / "README.md"])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PROVIDERS = sorted(PROJECT["entry-points"]["lattice.providers"])
ADRS = sorted((DOCS / "adr").glob("*.md"))

LIMIT_KEYS = {
    "memory_bytes_max": "memory",
    "time_s_max": "time",
    "instances_max": "instances",
    "queue_max": "queue",
    "depth_max": "depth",
    "payload_bytes_max": "payload",
    "isolation": "isolation",
    "reuse_max": "reuse",
}
"""What the fields of `Limits` are called in a manifest."""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


# What fences hold.


class Block(NamedTuple):
    """A fenced block of a page; `language` is what stands behind the fence."""

    page: Path
    line: int
    language: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    lines = page.read_text().splitlines()
    start, language = 0, ""
    for number, line in enumerate(lines, 1):
        if not line.startswith("```"):
            continue
        if start:
            yield Block(page, start, language, "\n".join(lines[start : number - 1]) + "\n")
            start = 0
        else:
            start, language = number, line[3:].strip()
    assert not start, f"{name_of(page)}:{start}: a block without an end"


def all_blocks(*languages: str) -> list[Any]:
    return [
        pytest.param(block, id=f"{name_of(page)}:{block.line}")
        for page in PAGES
        for block in blocks(page)
        if block.language in languages
    ]


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Each `make` and `lattice` command of a page, from shell blocks and indented ones: its place and its words."""
    text = re.sub(r"\\\n\s+", "", page.read_text())
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r"(?:    )?((?:make|lattice) .*)", line)
        if found and (line.startswith("    ") or _in_shell_block(text, number)):
            yield f"{name_of(page)}:{number}", shlex.split(found[1], comments=True)


def _in_shell_block(text: str, number: int) -> bool:
    fences = [line for line in text.splitlines()[: number - 1] if line.startswith("```")]
    return len(fences) % 2 == 1 and fences[-1][3:].strip() in ("sh", "bash", "console")


# Errors.


def test_every_error_has_a_section_and_every_section_an_error() -> None:
    page = (DOCS / "errors.md").read_text()
    sections = re.findall(r"^### (\S+)$", page, re.MULTILINE)
    assert len(sections) == len(set(sections))
    assert set(sections) == set(errors.error_classes())


def test_the_section_of_an_error_names_its_class() -> None:
    page = (DOCS / "errors.md").read_text()
    for code, cls in errors.error_classes().items():
        section = page.partition(f"\n### {code}\n")[2].partition("\n##")[0]
        assert f"`{cls.__name__}`" in section, code


def test_the_tree_at_the_top_of_the_errors_has_them_all() -> None:
    assert errors.__doc__
    drawn = set(re.findall(r"\+-- (\w+)", errors.__doc__)) | {"LatticeError"}
    assert drawn == {cls.__name__ for cls in errors.error_classes().values()}


# Settings and limits.


def provider_page(name: str) -> str:
    file = "builtin.md" if name.startswith("builtin-") else f"{name}.md"
    return (PROVIDER_PAGES / file).read_text()


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_page_of_a_provider_has_every_setting_in_a_table(name: str) -> None:
    page = provider_page(name)
    rows = {match for row in re.findall(r"^\|(.*?)\|", page, re.MULTILINE) for match in re.findall(r"`(\w+)`", row)}
    provider = provider_class(name)
    for type_ in (provider.settings_type, provider.attach_settings_type, provider.route_settings_type):
        assert set(type_.model_fields) <= rows, f"{type_.__name__}: {set(type_.model_fields) - rows} not in a table"


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_page_of_a_provider_has_no_setting_that_is_not_there(name: str) -> None:
    """Only tables whose head says that they are of settings count."""
    provider = provider_class(name)
    types = (provider.settings_type, provider.attach_settings_type, provider.route_settings_type)
    known = {field for type_ in types for field in type_.model_fields}
    if name.startswith("builtin-"):
        known |= {f for other in PROVIDERS if other.startswith("builtin-") for f in _fields(provider_class(other))}
    tables = re.findall(r"^\| setting[^\n]*\n\|[-| ]+\n((?:\|[^\n]*\n)*)", provider_page(name), re.MULTILINE)
    written = set(re.findall(r"^\| `(\w+)`", "".join(tables), re.MULTILINE))
    assert written <= known


def _fields(provider: Any) -> set[str]:
    return set(provider.settings_type.model_fields)


def test_every_page_of_a_provider_is_of_one_that_exists() -> None:
    wanted = {"builtin" if name.startswith("builtin-") else name for name in PROVIDERS}
    assert {page.stem for page in PROVIDER_PAGES.glob("*.md")} == wanted


def test_every_limit_of_an_actor_is_in_the_manifest_guide() -> None:
    page = (DOCS / "guides" / "manifest.md").read_text()
    assert set(LIMIT_KEYS) == set(config.Limits.__struct_fields__)
    for key in LIMIT_KEYS.values():
        assert re.search(rf"^\| `{key}` \|", page, re.MULTILINE), key


# Architecture and decisions.


def test_the_table_of_layers_is_the_one_that_is_enforced() -> None:
    page = (DOCS / "ARCHITECTURE.md").read_text()
    rows = re.findall(r"^\| (\d) \| ([^|]*) \|", page, re.MULTILINE)
    written = [set(re.findall(r"`([\w.]+)`", modules)) for _, modules in rows]
    assert [int(number) for number, _ in rows] == list(range(len(LAYERS)))
    assert written == [set(layer) for layer in LAYERS]


def test_the_layout_shows_every_module() -> None:
    """Files of packages that are one subject (contracts, manifest, cli) are theirs to list."""
    page = (DOCS / "ARCHITECTURE.md").read_text()
    layout = page.partition("## Layout")[2].partition("\n## ")[0]
    shown = set(re.findall(r"^ +([\w.]+/?)  ", layout, re.MULTILINE)) | set(re.findall(r"^ +(\w+/)$", layout, re.M))
    for path in (ROOT / "lattice").rglob("*.py"):
        folder = path.relative_to(ROOT / "lattice").parts[:-1]
        own = {part for part in folder if part in ("contracts", "manifest", "cli")}
        name = f"{own.pop()}/" if own else path.name
        if not own and name == "__init__.py" and folder:
            continue
        assert name in shown, path


@pytest.mark.parametrize("page", ADRS, ids=lambda page: page.stem)
def test_a_decision_says_what_was_rejected_and_why(page: Path) -> None:
    text = page.read_text()
    assert re.match(rf"# {page.stem[:4]}: \S", text)
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["Status", "Context", "Decision", "Rejected", "Consequences"]
    for section in text.split("\n## ")[1:]:
        assert section.partition("\n")[2].strip(), f"{section.partition(chr(10))[0]} is empty"


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [page.stem[:4] for page in ADRS] == [f"{number:04}" for number in range(1, len(ADRS) + 1)]


def test_every_decision_that_the_code_names_exists() -> None:
    there = {page.stem[:4] for page in ADRS}
    for path in (*(ROOT / "lattice").rglob("*.py"), *(ROOT / "providers").rglob("*.py")):
        for number in re.findall(r"docs/adr/(\d{4})", path.read_text()):
            assert number in there, path


def test_every_page_that_the_code_names_exists() -> None:
    for path in (*(ROOT / "lattice").rglob("*.py"), *(ROOT / "providers").rglob("*.py")):
        for page in re.findall(r"\bdocs/[\w/-]+\.md", path.read_text()):
            assert (ROOT / page).is_file(), f"{path} names {page}"


def test_the_newest_changes_are_of_this_version() -> None:
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == PROJECT["version"]


# The threat model.


def test_every_test_that_the_threat_model_names_is_there() -> None:
    page = (DOCS / "security.md").read_text().partition("## What is to be kept")[2]
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", page)
    assert len(named) > 50
    for file, name in named:
        assert f"def test_{name}(" in (ROOT / "tests" / file).read_text(), f"{file}::test_{name}"


def test_every_row_of_an_attacker_names_a_test() -> None:
    page = (DOCS / "security.md").read_text()
    rows = [
        row for row in re.findall(r"^\| .* \|$", page, re.MULTILINE) if not row.startswith(("| it tries", "| they"))
    ]
    assert rows
    assert not [row for row in rows if "::" not in row]


# Links.


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), f"{name_of(page)} links to {target}"
        assert not anchor or anchor in anchors(found), f"{name_of(page)} links to {target}"


def test_no_page_is_out_of_reach() -> None:
    """From the README every page can be found by following links."""
    seen: set[Path] = set()
    pending = [ROOT / "README.md"]
    while pending:
        page = pending.pop()
        if page in seen:
            continue
        seen.add(page)
        if page.is_dir():
            pending += page.glob("*.md")
        elif page.suffix == ".md":
            links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
            pending += [(page.parent / link).resolve() for link in links if ":" not in link]
    assert not [name_of(page) for page in PAGES if page not in seen]


# Examples.


def make_targets() -> set[str]:
    return set(re.findall(r"^([\w-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page: Path) -> None:
    for place, words in commands(page):
        if words[0] == "make":
            targets = [word for word in words[1:] if "=" not in word]
            assert set(targets) <= make_targets(), f"{place}: make has no {targets}"
        else:
            check_command(place, words[1:])


def check_command(place: str, words: list[str]) -> None:
    """Follows the words through the groups of the program to a command, and looks for each option there."""
    command: Any = typer.main.get_command(build())
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{place}: no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        if word in ("|", ">", "&&", "--"):  # what follows is of another program
            return
        if re.match(r"--?[a-z]", word) and word not in ("--help", "-h"):
            assert word.partition("=")[0] in known, f"{place}: {command.name} has no option {word}"


@pytest.mark.parametrize("block", all_blocks("yaml"))
def test_manifests_on_a_page_are_valid(block: Block) -> None:
    """Read and checked as `lattice app validate` does, except that the files need not be there."""
    text = block.text
    if text.startswith(("spec:", "components:")):
        indented = text if text.startswith("spec:") else "spec:\n" + re.sub(r"^", "  ", text, flags=re.MULTILINE)
        text = f"apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: example}}\n{indented}"
    elif not text.startswith(("apiVersion:", "#")):
        _, mistakes = compose(text, name_of(block.page))
        assert not mistakes  # a part of a manifest that means nothing by itself, and YAML all the same
        return
    application = example(text, block)
    try:
        check_settings(application, Installed().type)
    except errors.ConfigError as error:
        pytest.fail(f"{name_of(block.page)}:{block.line}: {error}")


def example(text: str, block: Block) -> Application:
    try:
        return parse(text, file=name_of(block.page), folder=ROOT, providers=Installed())
    except errors.ManifestError as error:
        found = "\n".join(str(one) for one in (error, *error.others))
        pytest.fail(f"the block that begins in line {block.line}:\n{found}")


@pytest.mark.parametrize("block", all_blocks("toml"))
def test_security_files_and_modules_on_a_page_are_valid(block: Block, tmp_path: Path) -> None:
    if "[[module]]" in block.text:
        parse_modules(block.text, file=name_of(block.page), folder=ROOT)
        return
    path = tmp_path / "security.toml"
    path.write_text(block.text)
    settings.load(path)


def test_every_key_of_a_policy_is_in_the_guide() -> None:
    page = (DOCS / "guides" / "policy.md").read_text()
    rows = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    for type_ in (rules._Rule, rules._Selector, rules._Service):
        assert {field.encode_name for field in msgspec.structs.fields(type_)} <= rows, type_


def test_the_readme_shows_files_as_they_are() -> None:
    readme = list(blocks(ROOT / "README.md"))
    shown = {
        "python": ROOT / "actors" / "templates" / "python" / "http" / "app.py",
        "yaml": ROOT / "actors" / "counter" / "app.yaml",
    }
    assert {block.language for block in readme} == set(shown)
    for block in readme:
        assert block.text in shown[block.language].read_text(), f"README.md:{block.line}"


# Public names.


def test_the_public_names_are_the_ones_that_are_there() -> None:
    tree = ast.parse((ROOT / "lattice" / "__init__.py").read_text())
    typed = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lattice")
        for alias in node.names
    }
    assert set(lattice.__all__) == typed | {"__version__"}
    assert lattice.__all__ == sorted(lattice.__all__)
    assert dir(lattice) == lattice.__all__
    with pytest.raises(AttributeError, match="Nonsense"):
        getattr(lattice, "Nonsense")  # noqa: B009  # the types say that it is not there, which is tested


@pytest.mark.parametrize("name", [name for name in lattice.__all__ if name not in ("Handler", "__version__")])
def test_a_public_name_says_what_it_is(name: str) -> None:
    value = getattr(lattice, name)
    assert value.__module__.startswith("lattice.")
    own = value.__dict__.get("__doc__") if isinstance(value, type) else value.__doc__
    assert own
    assert own.strip()


def test_the_handler_says_what_it_is_and_the_version_is_right() -> None:
    """A type alias has no docstring but the text below it in the source."""
    tree = ast.parse((ROOT / "lattice" / "invocation.py").read_text())
    following = [
        after
        for before, after in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(before, ast.AnnAssign) and ast.unparse(before.target) == "Handler"
    ]
    assert isinstance(following[0], ast.Expr)
    assert lattice.__version__ == PROJECT["version"]
