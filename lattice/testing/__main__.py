"""`python -m lattice.testing`: searches for a seed with which a simulated lattice breaks a promise, or runs one again.

Which of several things comes first may hang on how texts hash, so a process of its own is started with that fixed.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time

from lattice.testing.search import Result, Settings, run

HASH_SEED = "PYTHONHASHSEED"


def main(arguments: list[str]) -> int:
    """0 when every promise was kept, 1 when one was broken."""
    asked = _parser().parse_args(arguments)
    if not asked.verbose:
        logging.getLogger("lattice").setLevel(logging.CRITICAL)
    settings = Settings(hosts=asked.hosts, seconds=asked.seconds)
    seeds = [asked.seed] if asked.seed is not None else range(asked.first, asked.first + asked.seeds)
    broken = 0
    began = time.monotonic()
    for number, seed in enumerate(seeds, 1):
        result = run(seed, settings, print if asked.verbose else None)
        if result.broken or asked.seed is not None:
            _show(result)
        broken += bool(result.broken)
        if sys.stderr.isatty():
            print(f"\r{number} of {len(seeds)} seeds, {broken} broke a promise", end="", file=sys.stderr, flush=True)
        if broken and not asked.keep_going:
            break
    if sys.stderr.isatty():
        print(file=sys.stderr)
    took_s = time.monotonic() - began
    print(
        f"{number} seeds, {asked.hosts} hosts, {asked.seconds:g} s of faults each:"
        f" {broken} broke a promise ({took_s:.0f} s)"
    )
    if broken:
        print(f"again, with everything that happened: python -m lattice.testing --seed SEED --verbose{_same(asked)}")
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    default = Settings()
    parser = argparse.ArgumentParser(prog="python -m lattice.testing", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=_positive, default=100, help="how many to try (default %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default %(default)s)")
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--hosts", type=_positive, default=default.hosts, help="default %(default)s")
    parser.add_argument(
        "--seconds",
        type=float,
        default=default.seconds,
        help="how long things go wrong, in virtual time (default %(default)s)",
    )
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first seed that breaks a promise")
    parser.add_argument("--verbose", action="store_true", help="print everything that happens")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _same(asked: argparse.Namespace) -> str:
    return f" --hosts {asked.hosts} --seconds {asked.seconds:g}"


def _show(result: Result) -> None:
    print(f"seed {result.seed}: {'a promise is broken' if result.broken else 'every promise was kept'}")
    for fault in result.faults:
        print(f"  fault: {fault}")
    print(
        f"  {result.answered} calls answered, {result.excused} failed without a copy in reach,"
        f" {result.changes} changes acknowledged, {result.epochs} leases, {result.messages} messages;"
        f" whole {result.whole_s:g} s after the mending; trace {result.trace}"
    )
    for what, times in (("replaced", result.replaced_s), ("returned", result.returned_s)):
        if times:
            print(f"  {what} after {', '.join(f'{time_s:g}' for time_s in times)} s")
    for promise in result.broken:
        print(f"  broken: {promise}")


if __name__ == "__main__":
    if os.environ.get(HASH_SEED) != "0":
        os.environ[HASH_SEED] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "lattice.testing", *sys.argv[1:]])  # noqa: S606 # itself
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
