"""The rules of docs/ARCHITECTURE.md and docs/STYLE.md, checked on the syntax trees; only providers are imported."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lattice.provider import Provider, Settings

ROOT = Path(__file__).parent.parent
OWN_CODE = ("lattice", "providers", "scripts")

LINES_MAX = 400
FUNCTION_LINES_MAX = 70
VAGUE_WORDS = {"manager", "helper", "helpers", "impl", "base", "util", "utils", "common"}

LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "tasks", "streams", "bodies", "invocation", "contracts", "secretref", "endpoints"),
    ("wire", "envelope", "edge", "subjects", "links", "grants", "wasmfile", "config", "deadline", "child", "security"),
    ("wasm", "artifacts", "telemetry", "control.manifest", "transport", "nats_server"),
    (
        *("router", "authority", "pipeline", "guests", "actors", "provider", "supervisor", "authentic", "payloads"),
        *("remote", "inbound", "application", "control", "parties", "guard"),
    ),
    ("host", "joined", "testing", "authoring"),
    ("drills",),
    ("cli", "__main__"),
)
"""From the bottom. A module may import from the layers below its own; the longest prefix says which layer it is in."""

SAME_LAYER = {
    "bodies": {"errors", "streams", "contracts"},
    "invocation": {"errors", "bodies"},
    "endpoints": {"errors"},
    "wire": {"contracts"},
    "envelope": {"wire", "security"},
    "security": {"wasmfile"},
    "grants": {"links", "security"},
    "authority": {"router"},
    "pipeline": {"router"},
    "actors": {"guests", "router"},
    "supervisor": {"provider", "router"},
    "remote": {"router", "payloads"},
    "inbound": {"router", "payloads", "authentic"},
    "application": {"actors", "supervisor", "router"},
    "control": {"actors", "guests", "provider", "supervisor", "router", "application", "authentic"},
    "parties": {"actors", "router", "supervisor"},
    "guard": {"actors", "authority", "control", "parties", "pipeline", "router", "supervisor"},
    "host": {"joined"},
    "testing": {"joined", "authoring"},
    "authoring": {"host"},
    "__main__": {"cli"},
}
"""What a module may import of its own layer, besides itself."""

CLI_MAY_IMPORT = {
    *("host", "supervisor", "control", "control.manifest", "transport", "nats_server", "drills", "authoring"),
    *("security", "artifacts", "wasmfile", "wire", "subjects", "config", "child", "errors", "tasks", "contracts"),
}
"""The command line shows and asks; what runs is the host's business."""

LIBRARIES = {
    "errors": set(),
    "contracts": {"msgspec"},
    "wasm": {"msgspec", "wasmtime"},
    "artifacts": {"msgspec", "aiohttp", "yarl"},
    "provider": {"msgspec", "pydantic"},
    "control.manifest": {"msgspec", "ruamel"},
    "security": {"msgspec", "nacl"},
    "transport": {"msgspec", "nats"},
    "drills": {"msgspec", "aiohttp"},
    "testing": {"msgspec", "cbor2", "pytest"},
    "cli": {"msgspec", "typer", "rich", "uvloop"},
}
"""What each part of lattice may import from outside; parts that are not here may import msgspec."""

PROVIDER_MAY_IMPORT = (
    *("lattice.provider", "lattice.contracts", "lattice.errors", "lattice.tasks", "lattice.bodies", "lattice.streams"),
)

CODEC_USERS = {
    "lattice.wire",
    "lattice_http_server.reader",  # once for each request, straight from the parser
    "lattice_http_server.response",
    "lattice_keyvalue_nats.entry",  # the format of its own stored entries, no message
}


class Import(NamedTuple):
    """`module` is what is imported, resolved to a module of this repository where it is one."""

    module: str
    line: int


class Defined(NamedTuple):
    """A class or function. `lines` is 0 for a class."""

    name: str
    line: int
    lines: int


class Source:
    """What the rules are about of one module of this repository. Its tree is walked once and let go: the trees of all
    modules would keep the garbage collector busy."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = path.relative_to(ROOT).as_posix()
        self.is_package = path.stem == "__init__"
        self.name = module_name(path)
        self.text = path.read_text()
        self.imports: list[Import] = []
        self.defined: list[Defined] = []
        self.globals: list[int] = []
        self.named: set[str] = set()
        """Attributes ("msgspec.msgpack") that are named anywhere."""
        tree = ast.parse(self.text, self.place)
        self.docstring = ast.get_docstring(tree)
        self.is_only_words = all(isinstance(node, ast.Expr) for node in tree.body)
        for node in ast.walk(tree):
            self._note(node)

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name):
                self.named.add(f"{node.value.id}.{node.attr}")
        elif isinstance(node, ast.Import):
            self.imports += [Import(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{self.place}:{node.lineno}: imports are absolute"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                self.imports.append(Import(whole if whole in module_names() else node.module, node.lineno))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            self.defined.append(Defined(node.name, node.lineno, lines))
        elif isinstance(node, ast.ClassDef):
            self.defined.append(Defined(node.name, node.lineno, 0))
        elif isinstance(node, ast.Global):
            self.globals.append(node.lineno)


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    """What the file is imported as: the folder providers/ is not part of it."""
    top = ROOT / "providers" if path.is_relative_to(ROOT / "providers") else ROOT
    return ".".join(path.with_suffix("").relative_to(top).parts).removesuffix(".__init__")


@cache
def module_names() -> frozenset[str]:
    return frozenset(module_name(path) for path in python_files("lattice", "providers"))


@cache
def sources_of(folder: str) -> tuple[Source, ...]:
    return tuple(Source(path) for path in python_files(folder))


def sources(*folders: str) -> Iterator[Source]:
    return chain.from_iterable(map(sources_of, folders))


def part_of(module: str) -> str:
    """The entry of the layer table that `lattice.<...>` belongs to."""
    inner = module.removeprefix("lattice.")
    parts = [part for layer in LAYERS for part in layer]
    found = [part for part in parts if inner == part or inner.startswith(f"{part}.")]
    assert found, f"{module} has no place in the table of layers: give it one here and in docs/ARCHITECTURE.md"
    return max(found, key=len)


def layer_of(part: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if part in layer)


def is_outside(module: str) -> bool:
    top = module.partition(".")[0]
    return top not in sys.stdlib_module_names and top != "lattice" and not top.startswith("lattice_")


def inside_lattice() -> list[Source]:
    return [source for source in sources("lattice") if source.name != "lattice"]


def test_modules_import_only_what_lies_below_them() -> None:
    wrong = []
    for source in inside_lattice():
        part = part_of(source.name)
        for module, line in source.imports:
            if not module.startswith("lattice.") or (other := part_of(module)) == part:
                continue
            below = layer_of(other) < layer_of(part)
            if part == "cli":
                below = other in CLI_MAY_IMPORT
            if not below and other not in SAME_LAYER.get(part, set()):
                wrong.append(f"{source.place}:{line}: {part} may not import {other}")
    assert not wrong, "\n".join(wrong)


def test_no_module_of_lattice_uses_the_public_names() -> None:
    """They are for others: inside, a name is imported from where it is, or the layers could be gone around."""
    wrong = [
        f"{source.place}:{line}"
        for source in (*inside_lattice(), *sources("providers"))
        for module, line in source.imports
        if module == "lattice"
    ]
    assert not wrong, "\n".join(wrong)


def test_lattice_never_imports_a_provider() -> None:
    wrong = [
        f"{source.place}:{line}: {module}"
        for source in sources("lattice")
        for module, line in source.imports
        if module.startswith("lattice_")
    ]
    assert not wrong, "\n".join(wrong)


def test_libraries_stay_in_their_part_of_lattice() -> None:
    wrong = []
    for source in inside_lattice():
        allowed = LIBRARIES.get(part_of(source.name), {"msgspec"})
        for module, line in source.imports:
            if is_outside(module) and module.partition(".")[0] not in allowed:
                wrong.append(f"{source.place}:{line}: {module}")
    assert not wrong, "\n".join(wrong)


def test_providers_import_only_the_provider_sdk_from_lattice() -> None:
    wrong = [
        f"{source.place}:{line}: {module}"
        for source in sources("providers")
        for module, line in source.imports
        if module.startswith("lattice.")
        and not any(module == name or module.startswith(f"{name}.") for name in PROVIDER_MAY_IMPORT)
    ]
    assert not wrong, "\n".join(wrong)


def test_providers_import_each_other_only_through_shared_packages() -> None:
    """A provider may build on packages that are no provider themselves, and on no other provider."""
    wrong = []
    offered = {target.partition(":")[0] for target in entry_points().values()}
    for source in sources("providers"):
        own = source.name.partition(".")[0]
        for module, line in source.imports:
            other = module.partition(".")[0]
            if other in offered and other != own:
                wrong.append(f"{source.place}:{line}: {module}")
    assert not wrong, "\n".join(wrong)


def test_nats_is_imported_only_by_providers_that_speak_it() -> None:
    wrong = [
        f"{source.place}:{line}"
        for source in sources("lattice", "providers")
        for module, line in source.imports
        if module.partition(".")[0] == "nats"
        and not source.name.partition(".")[0].endswith("_nats")
        and not source.name.startswith("lattice.transport.nats")
    ]
    assert not wrong, "\n".join(wrong)


def test_the_private_api_of_the_engine_has_one_door() -> None:
    private = re.compile(r"\b_(ffi|bindings)\b")
    users = {source.name for source in sources(*OWN_CODE) if private.search(source.text)}
    assert users == {"lattice.wasm.capi"}


def test_importing_lattice_loads_nothing_heavy() -> None:
    """Every command of the program imports the package first; the public names are loaded when asked for."""
    heavy = {"asyncio", "msgspec", "pydantic", "ruamel.yaml", "wasmtime"}
    program = f"import sys, lattice; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"


def test_there_is_one_codec() -> None:
    users = {source.name for source in sources("lattice", "providers") if "msgspec.msgpack" in source.named}
    assert users == CODEC_USERS


def test_modules_are_short() -> None:
    lengths = {source.place: len(source.text.splitlines()) for source in sources(*OWN_CODE)}
    assert not {place: lines for place, lines in lengths.items() if lines > LINES_MAX}


def test_functions_are_short() -> None:
    long = [
        f"{source.place}:{line}: {name} has {lines} lines"
        for source in sources(*OWN_CODE, "tests")
        for name, line, lines in source.defined
        if lines > FUNCTION_LINES_MAX
    ]
    assert not long, "\n".join(long)


def words_of(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def test_names_say_something() -> None:
    wrong = []
    for source in sources(*OWN_CODE):
        names = [(name, line) for name, line, _ in source.defined]
        names.append((source.name.rpartition(".")[2], 1))
        wrong += [f"{source.place}:{line}: {name}" for name, line in names if words_of(name) & VAGUE_WORDS]
    assert not wrong, "\n".join(wrong)


def test_every_module_says_what_it_is() -> None:
    silent = [source.place for source in sources(*OWN_CODE) if source.text and not source.docstring]
    assert not silent


def test_nothing_is_rebound_globally() -> None:
    wrong = [f"{source.place}:{line}" for source in sources(*OWN_CODE) for line in source.globals]
    assert not wrong, "\n".join(wrong)


def test_every_silenced_warning_has_its_reason() -> None:
    silenced = re.compile(r"#\s*(noqa|type:\s*ignore)(?P<codes>[:\[]?[\w\s,:\[\]-]*?)(?P<reason>\s+(#|-)\s+\w.*)?$")
    wrong = []
    for source in sources(*OWN_CODE):
        for number, line in enumerate(source.text.splitlines(), 1):
            found = silenced.search(line)
            if found and not (found["reason"] and found["codes"].strip(" :[]")):
                wrong.append(f"{source.place}:{number}: name the rule and say why")
    assert not wrong, "\n".join(wrong)


# Entry points, and what can be reached from them.


def entry_points() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    points: dict[str, str] = project["entry-points"]["lattice.providers"]
    return points


def test_no_module_is_dead() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    used = {target.partition(":")[0] for target in (*entry_points().values(), *project["scripts"].values())}
    used |= {"lattice", "lattice.testing"}  # the public names; what tests of providers are written with
    used |= {"lattice.testing.pytest_plugin"}  # which pytest is told to load
    used |= {target.partition(":")[0] for target in stand_ins()}
    for source in sources("lattice", "providers"):
        used |= {module for module, _ in source.imports if module != source.name}
    dead = [
        source.place
        for source in sources("lattice", "providers")
        if source.name not in used and not source.name.endswith(".__main__") and not source.is_only_words
    ]
    assert not dead


def stand_ins() -> list[str]:
    """The providers that the test kit finds by their names, as the supervisor finds those of the entry points."""
    text = (ROOT / "lattice/testing/kit/opening.py").read_text()
    found = re.findall(r'"(lattice_[\w.]+:\w+)"', text)
    assert found
    return found


def test_every_provider_package_has_an_entry_point_or_is_shared() -> None:
    packages = {source.name for source in sources("providers") if source.is_package and "." not in source.name}
    offered = {re.split("[.:]", target)[0] for target in (*entry_points().values(), *stand_ins())}
    users: dict[str, set[str]] = {package: set() for package in packages}
    for source in sources("providers"):
        own = source.name.partition(".")[0]
        for module, _ in source.imports:
            users.get(module.partition(".")[0], set()).add(own)
    alone = {package for package in packages - offered if len(users[package] - {package}) < 2}
    assert not alone, f"neither a provider nor shared by two: {alone}"
    assert offered <= packages


def provider_class(name: str) -> Any:
    module, _, attribute = entry_points()[name].partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("lattice"):
            raise
        pytest.skip(f"{error.name} is not installed")


@pytest.mark.parametrize("name", entry_points())
def test_a_provider_is_what_its_entry_point_says(name: str) -> None:
    found = provider_class(name)
    assert issubclass(found, Provider)
    assert found.name == name
    for type_ in (found.settings_type, found.attach_settings_type, found.route_settings_type):
        assert issubclass(type_, Settings)


@pytest.mark.parametrize("name", entry_points())
def test_a_provider_answers_every_operation_of_its_contract(name: str) -> None:
    found = provider_class(name)
    for operation in found.contract.operations:
        method = getattr(found, operation.method, None)
        assert inspect.iscoroutinefunction(method), f"{found.__name__}.{operation.method} is missing or not async"
        takes = [parameter for parameter in inspect.signature(method).parameters if parameter != "self"]
        assert len(takes) == (1 if operation.request is None else 2), f"{found.__name__}.{operation.method}{takes}"


@pytest.mark.parametrize("name", entry_points())
def test_a_provider_of_requests_takes_routes(name: str) -> None:
    """A contract that only actors answer is of use only to a provider that calls them."""
    found = provider_class(name)
    if found.contract.actor_operations and not found.contract.operations:
        assert found.route is not Provider.route
