"""What goes in and out as JSON."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

URL = re.compile(r"https?://[^/?#\s\"<>][!-~]*")


class NewLink(BaseModel):
    model_config = ConfigDict(strict=True)

    url: str = Field(max_length=2000)
    code: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{3,32}$")

    @field_validator("url")
    @classmethod
    def is_an_address(cls, url: str) -> str:
        if not URL.fullmatch(url):
            raise ValueError("must be an address that starts with http:// or https://")
        return url


class Link(BaseModel):
    code: str
    url: str
    clicks: int = 0


class Click(BaseModel):
    code: str


def explain(error: ValidationError) -> str:
    """The first mistake in words, by the name of its field."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]
