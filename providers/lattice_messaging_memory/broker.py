"""Who gets a message. No waiting here: a message is queued or refused at once."""

from __future__ import annotations

from lattice_messaging import Delivery, is_reserved, matches

from lattice.contracts.messaging import SubMessage
from lattice.errors import Overloaded


class Broker:
    """Subscriptions by pattern. A literal subject is found at once, patterns are tried one after the other."""

    def __init__(self) -> None:
        self._literal: dict[str, list[Delivery]] = {}
        self._patterns: list[tuple[list[str], Delivery]] = []
        self._turn = 0

    def add(self, delivery: Delivery) -> None:
        for pattern in delivery.settings.subscriptions:
            if "*" in pattern or ">" in pattern:
                self._patterns.append((pattern.split("."), delivery))
            else:
                self._literal.setdefault(pattern, []).append(delivery)

    def remove(self, delivery: Delivery) -> None:
        self._patterns = [entry for entry in self._patterns if entry[1] is not delivery]
        for subject in delivery.settings.subscriptions:
            if subject in self._literal:
                left = [other for other in self._literal[subject] if other is not delivery]
                if left:
                    self._literal[subject] = left
                else:
                    del self._literal[subject]

    def receivers(self, subject: str) -> list[Delivery]:
        """Every subscription that matches; of a queue group all members."""
        if is_reserved(subject):
            return []
        tokens = subject.split(".")
        found = list(self._literal.get(subject, ()))
        found.extend(delivery for pattern, delivery in self._patterns if matches(pattern, tokens))
        return found

    def publish(self, message: SubMessage) -> int:
        """Queues the message with each subscription, and one member of each group; returns how many.

        Raises `Overloaded`, with nothing queued anywhere, when one of them has no room.
        """
        chosen: list[Delivery] = []
        groups: dict[str, list[Delivery]] = {}
        for delivery in self.receivers(message.subject):
            if delivery.settings.queue_group:
                groups.setdefault(delivery.settings.queue_group, []).append(delivery)
            else:
                chosen.append(delivery)
        for members in groups.values():
            self._turn += 1
            start = self._turn % len(members)
            in_turn = members[start:] + members[:start]
            chosen.append(next((member for member in in_turn if member.has_room(message)), in_turn[0]))
        for delivery in chosen:
            if not delivery.has_room(message):
                raise Overloaded(
                    f"the queue of link {delivery.link} is full; nothing was published on {message.subject!r}",
                    remedy="try again later, or raise concurrency or queue_messages_max of the subscription",
                )
        for delivery in chosen:
            delivery.put(message)
        return len(chosen)
