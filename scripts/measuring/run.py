"""Runs commands and takes their figures."""

import contextlib
import dataclasses
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time


@dataclasses.dataclass(frozen=True)
class Command:
    """What to run, in which environment, the file that `cat` pipes into it, if one does, and the
    file that must not be in the page cache."""

    words: list
    environment: dict
    piped: str | None = None
    evict: str | None = None


@dataclasses.dataclass(frozen=True)
class Figures:
    """What a run took: seconds, seconds of user and system, and MiB of resident memory."""

    wall: float
    cpu: float
    peak: float


def medians_in_turn(commands, runs, warm=True):
    """The median figures of each of the named commands.

    All run once, then all again, so that a machine that gets slower does so for all of them. The
    first turn warms caches and does not count.
    """
    rows = {name: [] for name in commands}
    for turn in range(runs + warm):
        for name, command in commands.items():
            figures = run(command)
            if turn >= warm:
                rows[name].append(dataclasses.astuple(figures))
    return {
        name: Figures(*(statistics.median(column) for column in zip(*figures)))
        for name, figures in rows.items()
    }


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended, what it took, and what it said of errors."""

    exit_code: int
    figures: Figures
    error: str


def run(command):
    """The figures of a command that must succeed."""
    outcome = attempt(command)
    if outcome.exit_code:
        sys.exit(f"{' '.join(command.words)}: {outcome.error}")
    return outcome.figures


def attempt(command, limit=None):
    """How a command ends; after `limit` seconds it is killed."""
    if command.evict:
        with open(command.evict) as file:
            os.fsync(file.fileno())  # pages that are not written yet stay
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    # Linux keeps the peak of the process that forked as the least peak of what it executes, which
    # would be Python's 15 MiB: GNU time forks for us, and has less than 1 MiB.
    with tempfile.NamedTemporaryFile("r") as report, stdin_from(command.piped) as stdin:
        words = [gnu_time(), "-o", report.name, "-f", "%M", *command.words]
        start = time.monotonic()
        child = subprocess.Popen(
            words,
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=command.environment,
            start_new_session=True,  # so that it can be killed with what it starts
        )
        if command.piped:
            stdin.close()  # or `cat` would not notice that nobody reads any more
        with killed_after(limit, child):
            error = child.stderr.read().decode(errors="replace")
            # The CPU time of GNU time with that of its child, to the microsecond.
            _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        last = report.read().split()[-1:]
        peak = int(last[0]) / 1024 if last and last[0].isdigit() else 0.0
    figures = Figures(wall, usage.ru_utime + usage.ru_stime, peak)
    return Outcome(child.returncode, figures, error)


@contextlib.contextmanager
def killed_after(limit, child):
    if limit is None:
        yield
        return
    timer = threading.Timer(limit, os.killpg, (child.pid, signal.SIGKILL))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def stdin_from(path):
    """What `cat path` pipes, or nothing to read. What `cat` takes counts for nobody."""
    if not path:
        yield subprocess.DEVNULL
        return
    cat = subprocess.Popen(["cat", path], stdout=subprocess.PIPE)
    try:
        yield cat.stdout
    finally:
        cat.stdout.close()
        cat.wait()


def gnu_time():
    program = shutil.which("time")
    if not program:
        sys.exit("GNU time is needed: apt-get install time")
    return program
