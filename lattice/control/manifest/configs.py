"""Named configuration: defined once in an application, used by name anywhere in it, merged in the order written."""

from __future__ import annotations

from dataclasses import dataclass, field

from lattice.control.manifest.document import Mapping, Node, Scalar
from lattice.control.manifest.reader import Reader, nearest


@dataclass(slots=True)
class ConfigDraft:
    """One `config` as written: values, or the name of values defined elsewhere."""

    parts: list[dict[str, str] | Scalar] = field(default_factory=list)


class ConfigTable:
    """All named configurations of one application."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._defined: dict[str, tuple[Node, dict[str, str]]] = {}

    def read(self, node: Node | None, what: str) -> ConfigDraft:
        """A list of { name, properties? }, as in wadm; or a plain mapping, which needs no name."""
        draft = ConfigDraft()
        if isinstance(node, Mapping):
            draft.parts.append(self._reader.strings(node, what))
            return draft
        for item in self._reader.items(node, what):
            fields = self._reader.fields(item, f"an entry of {what}", ("name", "properties"), required=item)
            name_node = fields.require("name")
            name = self._reader.word(name_node, f"the name of an entry of {what}")
            if "properties" not in fields:
                if isinstance(name_node, Scalar) and name:
                    draft.parts.append(name_node)
                continue
            values = self._reader.strings(fields.get("properties"), f"config {name!r}")
            draft.parts.append(values)
            if name_node is not None and name:
                self._define(name, name_node, item, values)
        return draft

    def _define(self, name: str, place: Node, item: Node, values: dict[str, str]) -> None:
        # An alias (*shared) brings the very same node again, which defines nothing new.
        known = self._defined.setdefault(name, (item, values))
        if known[0] is not item:
            self._reader.mistake(
                place,
                f"config {name!r} is defined a second time; the first is in line {known[0].line}",
                "give it another name, or leave its properties out to use the first",
            )

    def resolve(self, draft: ConfigDraft) -> dict[str, str]:
        """The merged values; later entries win. Call it when the whole file has been read."""
        merged: dict[str, str] = {}
        for part in draft.parts:
            if isinstance(part, dict):
                merged.update(part)
            elif part.text in self._defined:
                merged.update(self._defined[part.text][1])
            else:
                self._reader.mistake(
                    part,
                    f"config {part.text!r} is not defined in this manifest",
                    f"give it properties; {nearest(part.text, self._defined)}",
                )
        return merged
