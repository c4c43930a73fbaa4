"""When timers are due: expressions, intervals, summer time, clocks that are set. Pure; no time passes here."""

from datetime import datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lattice_cron.schedule import MISSED_MAX, CronTimes, Every, cron_matches, parse_every, upcoming

BERLIN = "Europe/Berlin"


def due(expression, zone, start, count):
    """The next `count` due times after `start`, as the clock on the wall shows them."""
    times = CronTimes(expression, ZoneInfo(zone))
    moments = islice(upcoming(times, datetime.fromisoformat(start).timestamp()), count)
    return [datetime.fromtimestamp(moment, ZoneInfo(zone)).isoformat() for moment in moments]


def test_five_fields_are_minutes_to_weekdays():
    assert due("30 6 * * 1-5", "UTC", "2026-01-02T06:30:00+00:00", 2) == [
        "2026-01-05T06:30:00+00:00",
        "2026-01-06T06:30:00+00:00",
    ]


def test_six_fields_begin_with_seconds():
    assert due("*/20 59 23 31 12 *", "UTC", "2026-06-01T00:00:00.5+00:00", 4) == [
        "2026-12-31T23:59:00+00:00",
        "2026-12-31T23:59:20+00:00",
        "2026-12-31T23:59:40+00:00",
        "2027-12-31T23:59:00+00:00",
    ]


def test_the_time_zone_counts():
    assert due("0 9 * * *", "Asia/Kolkata", "2026-01-01T00:00:00+00:00", 1) == ["2026-01-01T09:00:00+05:30"]


def test_a_time_that_spring_skips_is_due_at_the_skip():
    assert due("30 2 * * *", BERLIN, "2026-03-28T00:00:00+01:00", 3) == [
        "2026-03-28T02:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]


def test_several_times_that_spring_skips_are_due_once():
    assert due("*/15 * * * *", BERLIN, "2026-03-29T01:40:00+01:00", 3) == [
        "2026-03-29T01:45:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-03-29T03:15:00+02:00",
    ]


def test_a_set_time_that_autumn_repeats_is_due_once():
    assert due("30 2 * * *", BERLIN, "2026-10-24T12:00:00+02:00", 2) == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ]
    assert due("*/30 1-3 * * *", BERLIN, "2026-10-25T02:10:00+01:00", 1) == ["2026-10-25T03:00:00+01:00"]


def test_an_every_hour_time_that_autumn_repeats_is_due_both_times():
    assert due("30 * * * *", BERLIN, "2026-10-25T01:00:00+02:00", 4) == [
        "2026-10-25T01:30:00+02:00",
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:30:00+01:00",
        "2026-10-25T03:30:00+01:00",
    ]


def test_a_change_at_midnight_and_one_of_half_an_hour_are_handled():
    # Lord Howe Island moves by 30 minutes; Havana skips midnight.
    assert due("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00+10:30", 1) == ["2026-10-04T02:30:00+11:00"]
    assert due("0 0 * * *", "America/Havana", "2026-03-07T12:00:00-05:00", 1) == ["2026-03-08T01:00:00-04:00"]


@settings(deadline=None)
@given(
    st.sampled_from(["* * * * *", "*/7 * * * *", "30 2 * * *", "0 */3 * * *", "*/11 2-3 * * *", "15 30 1,2 * * *"]),
    st.sampled_from([BERLIN, "UTC", "America/Havana", "Australia/Lord_Howe", "America/St_Johns"]),
    st.integers(1_700_000_000, 1_900_000_000),
)
def test_due_times_grow_and_match_or_lie_at_a_change(expression, zone, start):
    times, zone = CronTimes(expression, ZoneInfo(zone)), ZoneInfo(zone)
    matches = cron_matches(expression)
    moments = list(islice(upcoming(times, start), 5))
    assert all(a < b for a, b in pairwise([start, *moments]))
    for moment in moments:
        here = datetime.fromtimestamp(moment, zone)
        at_change = here.utcoffset() != datetime.fromtimestamp(moment - 1, zone).utcoffset()
        matches.set_current(here.replace(tzinfo=None) - timedelta(seconds=1), force=True)
        assert at_change or matches.get_next(datetime) == here.replace(tzinfo=None)


@settings(deadline=None)
@given(st.integers(1_760_000_000, 1_800_000_000), st.sampled_from([BERLIN, "America/Havana"]))
def test_every_ten_minutes_is_every_ten_minutes_all_year(start, zone):
    first, second = islice(upcoming(CronTimes("*/10 * * * *", ZoneInfo(zone)), start), 2)
    assert 0 < first - start <= 600
    assert second - first == 600


@pytest.mark.parametrize(
    "expression",
    [
        "* * * *",
        "* * * * * * *",
        "60 * * * *",
        "a b c d e",
        "@daily",
        "R * * * *",
        "H H * * *",
        "0 0 30 2 *",
        "*/0 * * * *",
        "5-1-2 * * * *",
        "* * * * 1#9",
        "1 " * 300,
    ],
)
def test_a_bad_expression_is_refused_and_named(expression):
    with pytest.raises(ValueError, match=r"fields|schedule|not known") as refused:
        cron_matches(expression)
    assert repr(expression)[:50] in str(refused.value)


@settings(deadline=None)
@given(st.text(alphabet="0123456789*/-,#LWRHa@ ?", max_size=30))
def test_any_text_is_a_schedule_or_a_value_error(text):
    try:
        matches = cron_matches(text)
    except ValueError:
        return
    assert matches is not None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10", 10), ("500ms", 0.5), ("10s", 10), ("5m", 300), ("1h", 3600), ("1.5h", 5400), ("1d", 86400), (" 2 s ", 2)],
)
def test_intervals_are_read(text, seconds):
    assert parse_every(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "-1s", "1w", "0", "1ms", "1e3", "400d", "1h30m", "nan", "١s"])  # noqa: RUF001
def test_what_is_no_interval_is_refused(text):
    with pytest.raises(ValueError, match=r"interval|between"):
        parse_every(text)


def test_catching_up_gives_one_tick_and_the_number_of_the_others():
    every_minute = CronTimes("* * * * *", ZoneInfo("UTC"))
    assert every_minute.catch_up(60, 60) == (60, 0, 120)
    assert every_minute.catch_up(60, 330) == (300, 4, 360)
    assert Every(10).catch_up(5, 38) == (35, 3, 45)
    assert Every(10).catch_up(5, 5) == (5, 0, 15)


def test_catching_up_with_years_is_bounded_and_ends_in_the_future():
    last, missed, following = CronTimes("* * * * * *", ZoneInfo("UTC")).catch_up(0, 1e9 + 0.5)
    assert (last, missed, following) == (MISSED_MAX, MISSED_MAX, 1e9 + 1)


def test_a_clock_that_was_set_moves_intervals_with_it_and_cron_times_only_far_back():
    every_hour = CronTimes("0 * * * *", ZoneInfo("UTC"))
    assert every_hour.after_jump(7200, 3595, -5) == 7200
    assert every_hour.after_jump(7200, 100, -7000) == 3600
    assert every_hour.after_jump(7200, 9000, 5000) == 7200
    assert Every(10).after_jump(100, 40, -55) == 45
    assert Every(10).after_jump(100, 1095, 1000) == 1100
