"""The built-ins: what an actor logs cannot forge or flood the log, and random numbers keep to their range."""

import logging
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lattice_builtin import Logging, NumberGen
from lattice_builtin.log_lines import one_line

from lattice import errors
from lattice.contracts.builtin import LogEntry, RangeLimit
from lattice.testing import provider_rig


async def test_a_log_entry_goes_to_the_logger_of_the_caller_at_its_level(tmp_path, caplog):
    caplog.set_level(logging.DEBUG, "lattice.actor.Mcounter")
    async with provider_rig(Logging, tmp_path) as rig:
        for level in ("debug", "info", "warn", "error"):
            await rig.call("Logging.WriteLog", LogEntry(level=level, text=f"at {level} 100% %s"), actor="Mcounter")
    records = [r for r in caplog.records if r.name == "lattice.actor.Mcounter"]
    assert [r.levelno for r in records] == [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR]
    assert records[0].getMessage() == "at debug 100% %s"


async def test_an_entry_below_the_level_of_its_logger_is_not_written(tmp_path, caplog):
    caplog.set_level(logging.WARNING, "lattice.actor.Mquiet")
    async with provider_rig(Logging, tmp_path) as rig:
        await rig.call("Logging.WriteLog", LogEntry(level="info", text="hush"), actor="Mquiet")
    assert [r for r in caplog.records if r.name == "lattice.actor.Mquiet"] == []


async def test_a_long_text_is_cut_and_says_how_much_is_missing(tmp_path, caplog):
    caplog.set_level(logging.INFO, "lattice.actor.Mlong")
    async with provider_rig(Logging, tmp_path, text_chars_max="10") as rig:
        await rig.call("Logging.WriteLog", LogEntry(level="info", text="x" * 25), actor="Mlong")
    assert caplog.records[-1].getMessage() == "x" * 10 + "... (15 more characters)"


def test_control_characters_are_escaped_and_other_text_is_kept():
    assert one_line("a\r\nERROR forged\x1b[31m\x00\x9b", 100) == "a\\r\\nERROR forged\\x1b[31m\\x00\\x9b"
    assert one_line("abc\u202ecba\u2028\u200b", 100) == "abc\\u202ecba\\u2028\\u200b"
    assert one_line("grün, 日本, ок, a\u00a0b", 100) == "grün, 日本, ок, a\u00a0b"


@settings(deadline=None)
@given(st.text(), st.integers(1, 50))
def test_one_line_is_one_line_without_control_characters(text, chars_max):
    line = one_line(text, chars_max)
    assert len(line.splitlines()) <= 1
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in line)
    assert len(line) <= chars_max * len("\\U0010ffff") + len("... (999 more characters)")


async def test_an_unknown_level_is_refused(tmp_path):
    async with provider_rig(Logging, tmp_path) as rig:
        with pytest.raises(errors.MalformedMessage, match=r"Logging\.WriteLog"):
            await rig.call("Logging.WriteLog", {"level": "loud", "text": "x"})


async def test_random_in_range_includes_both_ends_and_nothing_else(tmp_path):
    async with provider_rig(NumberGen, tmp_path) as rig:
        seen = {await rig.call("NumberGen.RandomInRange", RangeLimit(min=3, max=5)) for _ in range(300)}
        assert seen == {3, 4, 5}
        assert await rig.call("NumberGen.RandomInRange", RangeLimit(min=7, max=7)) == 7
        top = await rig.call("NumberGen.RandomInRange", RangeLimit(min=0xFFFF_FFFF, max=0xFFFF_FFFF))
        assert top == 0xFFFF_FFFF


async def test_a_range_upside_down_is_an_error(tmp_path):
    async with provider_rig(NumberGen, tmp_path) as rig:
        with pytest.raises(errors.ProviderError, match=r"min \(5\) is greater than max \(3\)"):
            await rig.call("NumberGen.RandomInRange", RangeLimit(min=5, max=3))


async def test_guids_are_version_4_and_differ(tmp_path):
    async with provider_rig(NumberGen, tmp_path) as rig:
        guids = [await rig.call("NumberGen.GenerateGuid") for _ in range(50)]
    assert len(set(guids)) == 50
    assert {uuid.UUID(g).version for g in guids} == {4}
    assert all(str(uuid.UUID(g)) == g for g in guids)


async def test_random_32_fills_its_range(tmp_path):
    async with provider_rig(NumberGen, tmp_path) as rig:
        numbers = [await rig.call("NumberGen.Random32") for _ in range(200)]
    assert all(0 <= n <= 0xFFFF_FFFF for n in numbers)
    # 200 draws miss the upper half, or the lower, once in 2**200.
    assert min(numbers) < 2**31 <= max(numbers)
