"""YAML text as a tree of nodes that know their place: every mistake can name its line.

A manifest is data that a stranger may have written, so this is a part of YAML 1.2: no tags (nothing is constructed),
one document, scalars as they are written (`1.10` stays "1.10"), and a bound on size, depth and what aliases expand to.
A key that is there twice is a mistake. Nothing here knows what a manifest means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from lattice import errors

MANIFEST_BYTES_MAX = 512 * 1024
"""A manifest of 100 components has about 60 KB; reading takes about a quarter of a second for each 100 KB."""
NODES_MAX = 50_000
"""Keys and values after aliases are expanded: a few aliases of aliases would otherwise be billions."""
TEXT_NODE = 256
"""Characters that count as one more value: aliases of a long text would be gigabytes otherwise."""
DEPTH_MAX = 32
"""A manifest needs ten levels."""
_NUMBERS = ("instances", "replicas", "weight")
"""What other tools read as numbers; everything else of a manifest is text."""
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Scalar:
    """`text` is the value without quotes; `quoted` tells "~" from ~. Lines and columns count from 1."""

    text: str
    quoted: bool
    line: int
    column: int

    @property
    def is_null(self) -> bool:
        return not self.quoted and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    items: tuple[Node, ...]
    line: int
    column: int


@dataclass(frozen=True, slots=True, eq=False)
class Mapping:
    """Keys and their values in file order, merged keys (`<<`) last; no key is there twice."""

    entries: dict[str, tuple[Scalar, Node]]
    line: int
    column: int


Node: TypeAlias = Scalar | Sequence | Mapping


def compose(text: str, file: str) -> tuple[Node, list[errors.ManifestError]]:
    """The only document of `text`, and the keys that are there twice.

    Raises `errors.ManifestError` for text that is not such a document.
    """
    if len(text) > MANIFEST_BYTES_MAX:
        raise errors.ManifestError(f"larger than {MANIFEST_BYTES_MAX // 1024} KiB, the most that is read", file=file)
    builder = _Builder(file)
    try:
        # The event parser keeps its own stack, so nesting costs no recursion here.
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.take(type(event).__name__, event)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(part for part in (error.context, error.problem) if part)
        place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise errors.ManifestError(f"not YAML: {said}", file=file, line=place[0], column=place[1]) from error
    except (YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        # The parser has no single error for odd input: a bad escape is a ValueError, others are plain slips.
        said = " ".join(str(error).split()) or type(error).__name__
        raise errors.ManifestError(f"not YAML: {said}", file=file) from error
    if builder.root is None:
        raise errors.ManifestError("the file is empty", file=file, remedy="docs/guides/manifest.md has an example")
    return builder.root, builder.problems


def plain(text: str) -> Any:
    """A manifest that was read before, as mappings, lists and texts, and numbers where tools want them."""
    root, _ = compose(text, "")
    return _plain(root, "")


def _plain(node: Node, key: str) -> Any:
    if isinstance(node, Mapping):
        return {name: _plain(value, name) for name, (_, value) in node.entries.items()}
    if isinstance(node, Sequence):
        return [_plain(item, "") for item in node.items]
    return int(node.text) if key in _NUMBERS and node.text.isascii() and node.text.isdigit() else node.text


class _Open:
    """A collection whose end has not come yet."""

    def __init__(self, is_mapping: bool, anchor: str | None, line: int, column: int) -> None:
        self.is_mapping = is_mapping
        self.anchor = anchor
        self.line = line
        self.column = column
        self.items: list[Node] = []
        self.size = 1


class _Builder:
    """Events in, nodes out. `sizes` of anchored nodes bound what their aliases add up to."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Node | None = None
        self.problems: list[errors.ManifestError] = []
        self._open: list[_Open] = []
        self._anchored: dict[str, tuple[Node, int]] = {}
        self._documents = 0

    def take(self, kind: str, event: Any) -> None:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if kind == "DocumentStartEvent":
            self._documents += 1
            if self._documents > 1:
                raise self._mistake("a second document begins here; a manifest is one", line, column)
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            self._refuse_tag(event, line, column)
            if len(self._open) == DEPTH_MAX:
                raise self._mistake(f"nested deeper than {DEPTH_MAX} levels", line, column)
            self._open.append(_Open(kind == "MappingStartEvent", event.anchor, line, column))
        elif kind == "ScalarEvent":
            self._refuse_tag(event, line, column)
            text = event.value
            if _SURROGATE.search(text):
                text = self._joined(text, line, column)
            self._add(Scalar(text, event.style is not None, line, column), 1 + len(text) // TEXT_NODE, event.anchor)
        elif kind == "AliasEvent":
            if event.anchor not in self._anchored:
                raise self._mistake(f"no anchor &{event.anchor} ends before this alias", line, column)
            self._add(*self._anchored[event.anchor], None)
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            done = self._open.pop()
            node = self._mapping(done) if done.is_mapping else Sequence(tuple(done.items), done.line, done.column)
            self._add(node, done.size, done.anchor)

    def _add(self, node: Node, size: int, anchor: str | None) -> None:
        if anchor is not None:
            self._anchored[anchor] = (node, size)
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        parent.items.append(node)
        parent.size += size
        if parent.size > NODES_MAX:
            raise self._mistake(f"more than {NODES_MAX} values once aliases are expanded", parent.line, parent.column)

    def _mapping(self, done: _Open) -> Mapping:
        entries: dict[str, tuple[Scalar, Node]] = {}
        merges: list[tuple[Scalar, Node]] = []
        pairs = iter(done.items)
        for key, value in zip(pairs, pairs, strict=True):
            if not isinstance(key, Scalar):
                raise self._mistake("a key has to be a word", key.line, key.column)
            if key.text == "<<" and not key.quoted:
                merges.append((key, value))
            elif key.text in entries:
                first = entries[key.text][0].line
                self.problems.append(
                    self._mistake(
                        f"{key.text!r} is here a second time; the first is in line {first}", key.line, key.column
                    )
                )
            else:
                entries[key.text] = (key, value)
        for key, value in merges:
            for source in value.items if isinstance(value, Sequence) else (value,):
                if not isinstance(source, Mapping):
                    raise self._mistake("<< merges mappings, and this is none", key.line, key.column)
                for name, entry in source.entries.items():
                    entries.setdefault(name, entry)
        return Mapping(entries, done.line, done.column)

    def _joined(self, text: str, line: int, column: int) -> str:
        """JSON writes characters past U+FFFF as two escapes, which YAML's parser leaves apart."""
        try:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError as error:
            raise self._mistake("the text holds half a character (an unpaired \\u escape)", line, column) from error

    def _refuse_tag(self, event: Any, line: int, column: int) -> None:
        if event.tag is not None:
            raise self._mistake(f"tags are not read here ({event.tag})", line, column)

    def _mistake(self, message: str, line: int, column: int) -> errors.ManifestError:
        return errors.ManifestError(message, file=self.file, line=line, column=column)
