"""Times that end a run, and signals."""

import os
import signal
import threading
import time

import pytest

from benchmarks.run.options import CommandError
from benchmarks.run.stopping import Stop, StopError, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90.0), ("50m", 3000.0), ("2h", 7200.0), ("1.5h", 5400.0)]
)
def test_a_time_has_a_number_and_a_unit(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "50", "m", "-5m", "0m", "1h30m", "5 m", "5d", "nanm", "1e3s", "\u0665m"]
)
def test_what_is_no_time_is_refused_with_the_ways_to_say_one(text):
    with pytest.raises(CommandError) as refused:
        parse_duration(text)
    message = str(refused.value)
    assert all(part in message for part in ("--stop-after", "90s, 50m or 2h", repr(text)))
    assert "\n" not in message


def wait_for_it(signalled=False):
    """Waits for what is to come, `signalled`: after a SIGTERM; fails where nothing does."""
    if signalled:
        os.kill(os.getpid(), signal.SIGTERM)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        time.sleep(0.005)


def test_a_signal_ends_what_the_run_does_just_now_once():
    former = signal.getsignal(signal.SIGTERM)
    with Stop() as stop:
        assert stop.left is None
        with pytest.raises(StopError):
            wait_for_it(signalled=True)
        os.kill(os.getpid(), signal.SIGTERM)  # the second does not disturb the ending
        time.sleep(0.05)
        assert (stop.reason, stop.due) == ("signal", True)
        assert not stop.allows(None, resumed=False)
    assert signal.getsignal(signal.SIGTERM) is former


def test_a_time_beyond_what_a_timer_takes_is_none(monkeypatch):
    raised = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    with Stop(parse_duration("9999999999h")) as stop:
        time.sleep(0.05)
        assert stop.allows(1e9, resumed=False)
    assert raised == []


def test_where_cells_run_a_signal_is_only_noted():
    with Stop() as stop, stop.orderly():
        os.kill(os.getpid(), signal.SIGTERM)
        until = time.monotonic() + 60
        while not stop.due and time.monotonic() < until:
            time.sleep(0.005)
        assert stop.reason == "signal"


def test_the_time_ends_a_run_as_a_signal_does_and_not_afterwards():
    with Stop(0.05) as stop, pytest.raises(StopError):
        wait_for_it()
    assert stop.reason == "time"
    with Stop(0.05) as early:
        pass
    time.sleep(0.2)
    assert early.reason is None


def test_a_cell_may_start_that_will_end_in_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    stop = Stop(100.0)
    now[0] = 60.0
    assert stop.left == 40.0
    assert stop.allows(40.0, resumed=False)
    assert not stop.allows(41.0, resumed=False)
    assert stop.allows(41.0, resumed=True)  # of which less is left
    assert stop.allows(None, resumed=False)  # nothing is known
    assert stop.allows(101.0, resumed=False)  # else no run of this length would ever start it
    assert Stop().allows(1e9, resumed=False)
