"""Who listens to which subjects: the table that message servers look every message up in."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from lattice.transport.transport import Receive

if TYPE_CHECKING:
    from lattice.testing.memory_transport import MemoryTransport

REMEMBERED_MAX = 50_000
"""Subjects whose listeners are kept at hand."""


class Member:
    """One subscription of one client."""

    __slots__ = ("active", "client", "receive")

    def __init__(self, client: MemoryTransport, receive: Receive) -> None:
        self.client = client
        self.receive = receive
        self.active = True


Found: TypeAlias = tuple[list[Member], list[list[Member]]]
"""Members that each get a message, and groups of which one member does."""


class _Node:
    """The subscriptions that end here, and the ways on, by word."""

    __slots__ = ("groups", "members", "words")

    def __init__(self) -> None:
        self.words: dict[str, _Node] = {}
        self.members: list[Member] = []
        self.groups: dict[str, list[Member]] = {}


class Interest:
    def __init__(self) -> None:
        self._root = _Node()
        self._found: dict[str, Found] = {}

    def add(self, subject: str, queue: str, member: Member) -> None:
        self._at(subject, queue).append(member)
        self._found.clear()

    def remove(self, subject: str, queue: str, member: Member) -> None:
        """Does nothing when it is not there."""
        member.active = False
        members = self._at(subject, queue)
        if member in members:
            members.remove(member)
            self._found.clear()

    def find(self, subject: str) -> Found:
        found = self._found.get(subject)
        if found is None:
            found = ([], [])
            self._collect(self._root, subject.split("."), 0, found)
            if len(self._found) >= REMEMBERED_MAX:
                self._found.clear()
            self._found[subject] = found
        return found

    def _at(self, subject: str, queue: str) -> list[Member]:
        node = self._root
        for word in subject.split("."):
            node = node.words.setdefault(word, _Node())
        return node.groups.setdefault(queue, []) if queue else node.members

    def _collect(self, node: _Node, words: list[str], place: int, found: Found) -> None:
        if place == len(words):
            self._take(node, found)
            return
        for word in (words[place], "*"):
            if word in node.words:
                self._collect(node.words[word], words, place + 1, found)
        if ">" in node.words:
            self._take(node.words[">"], found)

    @staticmethod
    def _take(node: _Node, found: Found) -> None:
        found[0].extend(node.members)
        found[1].extend(group for group in node.groups.values() if group)
