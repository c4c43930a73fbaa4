"""What every provider of wasmcloud:messaging shares: subjects, the settings of subscriptions, delivery to actors."""

from lattice_messaging.delivery import Delivery, handled
from lattice_messaging.settings import RouteSettings, SubscriptionSettings
from lattice_messaging.subjects import checked_subject, is_reserved, matches, refuse_reserved, subscribable

__all__ = [
    "Delivery",
    "RouteSettings",
    "SubscriptionSettings",
    "checked_subject",
    "handled",
    "is_reserved",
    "matches",
    "refuse_reserved",
    "subscribable",
]
