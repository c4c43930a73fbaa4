"""What the provider and its timers can be configured with."""

from __future__ import annotations

from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from lattice.provider import Settings
from lattice_cron.schedule import CronTimes, Due, Every, cron_matches, parse_every


class CronSettings(Settings):
    timers_max: int = Field(default=1000, ge=1, le=100_000)
    """Links of one provider. Each is a task that wakes at least every ten seconds."""


class TimerSettings(Settings):
    """One timer. Exactly one of `cron` and `every`."""

    cron: str = ""
    """Five fields (minute hour day month weekday), or six with seconds first."""
    every: str = ""
    """Seconds, or a number with ms, s, m, h or d."""
    timezone: str = "UTC"
    """A name of the IANA database, for `cron`."""
    timeout: float = Field(default=30.0, gt=0, le=3600)
    """Seconds that the actor has for one tick."""
    overlap: Literal["skip", "allow"] = "skip"
    """What happens when a tick is due and the actor still handles one: count it as missed, or send it too."""
    at_start: bool = False
    """Also a tick as soon as the timer begins."""

    @field_validator("cron")
    @classmethod
    def _cron(cls, value: str) -> str:
        if value:
            cron_matches(value)
        return value

    @field_validator("every")
    @classmethod
    def _every(cls, value: str) -> str:
        if value:
            parse_every(value)
        return value

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{value!r} is not a time zone; write for example Europe/Berlin or UTC") from None
        return value

    @model_validator(mode="after")
    def _one_of_two(self) -> TimerSettings:
        if bool(self.cron) == bool(self.every):
            raise ValueError("give exactly one of cron and every")
        return self

    def schedule(self) -> Due:
        return CronTimes(self.cron, ZoneInfo(self.timezone)) if self.cron else Every(parse_every(self.every))
