"""References to secrets: what a manifest says in place of a value. Records, links and messages carry these, and never
what they lead to."""

from __future__ import annotations

from typing import Literal

import msgspec

Source = Literal["env", "file", "bucket"]


class SecretRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The configuration value `name` is the secret `key` of `source`: a variable of the host's environment, a file, or
    an entry of the lattice's encrypted bucket. `field` picks a text of a secret that is a JSON object. `version` 0 is
    the newest; only the bucket has versions."""

    name: str
    source: Source
    key: str
    field: str = ""
    version: int = 0

    def __str__(self) -> str:
        kind = {"env": "the variable", "file": "the file", "bucket": "the stored secret"}[self.source]
        field = f", field {self.field!r}" if self.field else ""
        version = f", version {self.version}" if self.version else ""
        return f"{self.name!r} ({kind} {self.key!r}{field}{version})"
