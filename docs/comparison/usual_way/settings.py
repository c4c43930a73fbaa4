"""What the service is told by its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pydantic import BaseModel, Field


class Settings(BaseModel):
    """Read from variables of the same names in capitals, with LINKS_ before them."""

    address: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    redis_url: str = "redis://127.0.0.1:6379/0"
    redis_timeout_s: float = Field(default=2.0, gt=0)
    redis_attempts: int = Field(default=3, ge=1)
    stream: str = "links.clicked"
    stream_length_max: int = Field(default=100_000, ge=1)
    body_bytes_max: int = Field(default=65_536, ge=1)
    request_timeout_s: float = Field(default=5.0, gt=0)
    drain_s: float = Field(default=10.0, ge=0)
    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        prefix = "LINKS_"
        return cls.model_validate(
            {name[len(prefix) :].lower(): value for name, value in environment.items() if name.startswith(prefix)}
        )
