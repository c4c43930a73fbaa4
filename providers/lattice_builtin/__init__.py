"""The two capabilities that every host has and no link is needed for: log lines and random numbers."""

from lattice_builtin.log_lines import Logging, LoggingSettings
from lattice_builtin.numbers import NumberGen

__all__ = ["Logging", "LoggingSettings", "NumberGen"]
