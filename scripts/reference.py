"""Writes docs/reference from the code: signatures, docstrings, messages, keys. A test fails when it is not current.

python scripts/reference.py            # writes the pages
python scripts/reference.py --check    # says which are not what the code says
"""

from __future__ import annotations

import ast
import inspect
import pkgutil
import sys
import types
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

import lattice.contracts
from lattice.authoring.project import FILE, Project
from lattice.contracts import message
from lattice.contracts.message import Contract, Message, Operation

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "reference"
SDK = ROOT / "actors" / "sdk" / "python"
MADE = "<!-- Made by scripts/reference.py (make reference) of the code: change that, not this. -->\n\n"
SDK_MODULES = (
    "http", "keyvalue", "messaging", "timers", "blobstore", "sql", "fetching", "log", "numbergen", "actors", "errors",
)  # fmt: skip
OF_THE_HOST = frozenset({"take", "handlers", "routes"})
"""Names of the SDK's modules that the host's end of it uses, and no actor."""
OF_THE_KIT = {
    "Clock": {"end", "join", "take", "passes", "wall", "monotonic", "sleep"},
    "Expectation": {"takes", "answer", "is_met", "count"},
    "Fault": {"seen", "strikes"},
    "Faults": {"striking", "before", "after"},
    "TestHost": {"forgotten"},
    "Transcript": {"add"},
    "Web": {"answer"},
}
"""Members by which the parts of the test kit reach each other, and no test."""
NOT_KEYS = frozenset({"folder", "debug"})
"""Fields of a project that are not in its lattice.toml."""
NAMED = {id(getattr(message, name)): name.lower() for name in ("U16", "U32", "I32", "I64", "U64")}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# Python sources, by their syntax trees.


def parsed(root: Path, module: str) -> ast.Module:
    path = root.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text())


def definition(root: Path, module: str, name: str) -> tuple[ast.stmt, str] | None:
    """Where a name comes from, along imports: its statement, and the text that stands below an assignment."""
    body = parsed(root, module).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return definition(root, node.module, alias.name)
        elif isinstance(node, ast.ClassDef | Function) and node.name == name:
            return node, ""
        elif isinstance(node, ast.AnnAssign | ast.Assign) and name in targets(node):
            return node, text_of(after)
    return None


def targets(node: ast.AnnAssign | ast.Assign) -> list[str]:
    found = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
    return [ast.unparse(one) for one in found]


def text_of(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return inspect.cleandoc(node.value.value)
    return ""


def signature(node: Function, *, bound: bool) -> str:
    arguments = node.args
    if bound and not is_marked(node, "staticmethod"):
        arguments = ast.arguments(
            posonlyargs=arguments.posonlyargs[1:],
            args=arguments.args if arguments.posonlyargs else arguments.args[1:],
            vararg=arguments.vararg,
            kwonlyargs=arguments.kwonlyargs,
            kw_defaults=arguments.kw_defaults,
            kwarg=arguments.kwarg,
            defaults=arguments.defaults,
        )
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    start = "await " if isinstance(node, ast.AsyncFunctionDef) else ""
    if is_marked(node, "asynccontextmanager"):
        start = "async with "
    return f"{start}{node.name}({ast.unparse(arguments)}){returns}"


def is_marked(node: Function, decorator: str) -> bool:
    return any(ast.unparse(one).split(".")[-1] == decorator for one in node.decorator_list)


def entry(head: str, text: str) -> str:
    return f"`{head}`\n\n{text}\n\n" if text else f"`{head}`\n\n"


def told(node: ast.stmt, below: str) -> str:
    """One definition for a page: a class with what is public of it."""
    if isinstance(node, ast.ClassDef):
        return f"### {node.name}\n\n{of_class(node)}"
    if isinstance(node, Function):
        return entry(signature(node, bound=False), inspect.cleandoc(ast.get_docstring(node) or ""))
    return entry(ast.unparse(node), below)


def of_class(node: ast.ClassDef) -> str:
    doc = ast.get_docstring(node)
    page = f"{doc}\n\n" if doc else ""
    hidden = OF_THE_KIT.get(node.name, set())
    for one, after in zip(node.body, [*node.body[1:], None], strict=True):
        if name_of(one) in hidden:
            continue
        if isinstance(one, Function) and one.name == "__init__":
            page += "".join(entry(*found) for found in attributes(one) if found[0].partition(":")[0] not in hidden)
        elif isinstance(one, Function) and not one.name.startswith("_"):
            text = ast.get_docstring(one) or ""
            if is_marked(one, "property"):
                page += entry(f"{one.name}: {ast.unparse(one.returns)}" if one.returns else one.name, text)
            elif not is_marked(one, "setter"):
                page += entry(signature(one, bound=True), text)
        elif isinstance(one, ast.AnnAssign) and not ast.unparse(one.target).startswith("_"):
            page += entry(ast.unparse(one), text_of(after))
    return page


def name_of(node: ast.stmt) -> str:
    return ast.unparse(node.target) if isinstance(node, ast.AnnAssign) else getattr(node, "name", "")


def attributes(made: Function) -> Iterator[tuple[str, str]]:
    """What a class gives its objects: what has a type, by itself or as a parameter."""
    types_of = {one.arg: ast.unparse(one.annotation) for one in made.args.args if one.annotation}
    for node, after in zip(made.body, [*made.body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign | ast.Assign) or node.value is None:
            continue
        name = targets(node)[0].removeprefix("self.")
        given = types_of.get(ast.unparse(node.value))
        kind = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else given
        if kind and not name.startswith("_"):
            yield f"{name}: {kind}", text_of(after)


# The pages.


def top(title: str, text: str | None, see: str) -> str:
    return f"{MADE}# {title}\n\n{text}\n\n{see}\n\n"


def testing_page() -> str:
    tree = parsed(ROOT, "lattice.testing")
    page = top("lattice.testing", ast.get_docstring(tree), "[Testing](../guides/testing.md) shows how it is used.")
    functions, classes, others = "", "", ""
    for name in import_module("lattice.testing").__all__:
        found = definition(ROOT, "lattice.testing", name)
        if found is None:
            raise LookupError(f"lattice.testing.{name} is defined nowhere")
        if isinstance(found[0], ast.ClassDef):
            classes += told(*found)
        elif isinstance(found[0], Function):
            functions += told(*found)
        else:
            others += told(*found)
    return f"{page}## Functions\n\n{functions}## Classes\n\n{classes}## Types\n\n{others}"


def sdk_page() -> str:
    tree = parsed(SDK, "nanolattice")
    page = top("The Python SDK", ast.get_docstring(tree), "[Actors in Python](../sdk/python.md) shows how it is used.")
    for module in SDK_MODULES:
        tree = parsed(SDK, f"nanolattice.{module}")
        page += f"## nanolattice.{module}\n\n{ast.get_docstring(tree)}\n\n{sdk_module(tree)}"
    return page


def sdk_module(tree: ast.Module) -> str:
    """Functions come first: below the heading of a class they would seem to be of it."""
    functions, classes, same = "", "", []
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        names = targets(node) if isinstance(node, ast.AnnAssign | ast.Assign) else [getattr(node, "name", "_")]
        if names[0].startswith("_") or names[0] in OF_THE_HOST:
            continue
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("_default."):
            same.append(f"`{names[0]}`")
        elif isinstance(node, ast.ClassDef):
            classes += told(node, "")
        elif isinstance(node, Function) or text_of(after):
            functions += told(node, text_of(after))
    if same:
        functions += f"Those of the class below, along the link `default`: {', '.join(same)}.\n\n"
    return functions + classes


def contracts() -> Iterator[tuple[types.ModuleType, Contract]]:
    for found in pkgutil.iter_modules(lattice.contracts.__path__):
        module = import_module(f"lattice.contracts.{found.name}")
        for value in vars(module).values():
            if isinstance(value, Contract):
                yield module, value


def shown(type_: Any) -> str:
    """A type as a page says it."""
    if id(type_) in NAMED:
        return NAMED[id(type_)]
    if type_ is None or type_ is type(None):
        return "nothing"
    origin, arguments = typing.get_origin(type_), typing.get_args(type_)
    if origin is Annotated:
        return shown(arguments[0])
    if origin is Literal:
        return " or ".join(f'"{one}"' for one in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(shown(one) for one in arguments if one is not type(None))
    if origin is list:
        return f"list of {shown(arguments[0])}"
    if origin is dict:
        return f"map of {shown(arguments[0])} to {shown(arguments[1])}"
    return "text" if type_ is str else str(type_.__name__)


def contracts_page() -> str:
    page = top(
        "Contracts",
        inspect.getdoc(message),
        "`u16`, `u32` and `u64` are whole numbers from 0, `i32` and `i64` have a sign. Which "
        "[provider](../providers/) answers a\ncontract is said by the manifest.",
    )
    for module, contract in sorted(contracts(), key=lambda pair: pair[1].id):
        page += f"## {contract.id}\n\n{inspect.getdoc(module)}\n\n"
        for title, operations in (
            ("the provider answers", contract.operations),
            ("the actor answers", contract.actor_operations),
        ):
            if operations:
                page += f"| {title} | message | reply |\n|---|---|---|\n{rows(operations)}\n"
        page += "".join(map(record, records(contract)))
    return page


def rows(operations: tuple[Operation, ...]) -> str:
    return "".join(f"| `{one.name}` | {shown(one.request)} | {shown(one.reply)} |\n" for one in operations)


def records(contract: Contract) -> list[type[Message]]:
    """The messages of a contract's operations and what is in them, each once."""
    found: list[type[Message]] = []
    pending = [
        type_ for one in (*contract.operations, *contract.actor_operations) for type_ in (one.request, one.reply)
    ]
    while pending:
        type_ = pending.pop(0)
        if isinstance(type_, type) and issubclass(type_, Message):
            if type_ not in found:
                found.append(type_)
                pending += [field.type for field in msgspec.structs.fields(type_)]
        else:
            pending += typing.get_args(type_) if typing.get_origin(type_) is not Literal else ()
    return found


def record(type_: type[Message]) -> str:
    doc = inspect.cleandoc(type_.__dict__.get("__doc__") or "")
    page = f"`{type_.__name__}`{': ' + doc if doc else ''}\n\n"
    fields = msgspec.structs.fields(type_)
    if not fields:
        return f"{page}It has no fields.\n\n"
    lines = "".join(f"| `{field.encode_name}` | {cell(shown(field.type))} | {given(field)} |\n" for field in fields)
    return f"{page}| field | | |\n|---|---|---|\n{lines}\n"


def given(field: msgspec.structs.FieldInfo) -> str:
    """Whether a field has to be there, and what it is if not."""
    if field.required:
        return "required"
    if field.default in (None, ""):
        return "optional"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def toml_page() -> str:
    found = definition(ROOT, "lattice.authoring.project", "Project")
    if found is None or not isinstance(found[0], ast.ClassDef):
        raise LookupError("there is no class Project")
    body = found[0].body
    texts = {
        ast.unparse(node.target): text_of(after)
        for node, after in zip(body, [*body[1:], None], strict=True)
        if isinstance(node, ast.AnnAssign)
    }
    kinds = {str: "text", int: "whole number"}
    lines = "".join(
        f"| `{field.name}` | {kinds.get(field.type, 'list of texts')} | {given(field)} | {cell(texts[field.name])} |\n"
        for field in msgspec.structs.fields(Project)
        if field.name not in NOT_KEYS
    )
    page = top(
        FILE,
        "The file that makes a folder an actor's project. It has one table, `[actor]`; other keys are mistakes.",
        "[Dev](../guides/dev.md) shows a whole one.",
    )
    return f"{page}| key | | | |\n|---|---|---|---|\n{lines}"


def pages() -> dict[str, str]:
    return {
        name: f"{text.rstrip()}\n"
        for name, text in (
            ("contracts.md", contracts_page()),
            ("lattice-toml.md", toml_page()),
            ("python-sdk.md", sdk_page()),
            ("testing.md", testing_page()),
        )
    }


def stale() -> list[str]:
    """The pages that do not say what the code says."""
    return [name for name, text in pages().items() if not is_same(PAGES / name, text)]


def is_same(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text() == text


def main() -> int:
    if "--check" in sys.argv[1:]:
        found = stale()
        for name in found:
            print(f"docs/reference/{name} is not what the code says: make reference")
        return 1 if found else 0
    PAGES.mkdir(exist_ok=True)
    for name, text in pages().items():
        (PAGES / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
