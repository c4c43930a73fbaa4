"""Named databases in a link's settings: a JSON object, because every setting is one text."""

from __future__ import annotations

import json
from typing import Any

DATABASES_MAX = 16
"""Databases of one link. Each has connections and threads of its own."""


def read_names(value: Any) -> Any:
    """A JSON object of texts as a dict, for pydantic to check further. Raises ValueError."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value or "{}")
    except ValueError:
        # Not the decoder's text: it would quote the value, which may hold a password.
        raise ValueError('must be a JSON object, as in {"reports": "..."}') from None
    if not isinstance(found, dict) or not all(isinstance(item, str) for item in found.values()):
        raise ValueError("must be a JSON object of texts")
    if len(found) > DATABASES_MAX:
        raise ValueError(f"holds more than {DATABASES_MAX} databases")
    return found
