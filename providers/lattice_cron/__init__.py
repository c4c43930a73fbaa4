"""lattice:cron - actors called at set times."""

from lattice_cron.cron import Cron
from lattice_cron.settings import CronSettings, TimerSettings

__all__ = ["Cron", "CronSettings", "TimerSettings"]
