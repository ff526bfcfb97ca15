"""The same jobs with every program that one would pick, side by side, as a CSV file."""

import argparse
import os
import re
import statistics
import sys
import time

from . import build, peers
from .bench import GIB, MIB, Bench
from .csvfile import Results
from .peers import Task
from .places import PLACES
from .run import Command, attempt

FIELDS = [
    "place", "scheme", "job", "setting", "program", "version", "size_bytes", "objects", "runs",
    "wall_s", "cpu_s", "cpu_s_per_gib", "cpu_s_min", "cpu_s_max", "peak_mib", "requests",
    "bytes_sent", "exit_code", "note", "date", "machine",
]  # fmt: skip
KEY = ["place", "scheme", "job", "setting", "program", "size_bytes", "objects"]

JOBS = ["file", "pipe", "small"]
SMALL = 16 << 10

# A program whose run takes longer is run twice, and not again if it takes longer still.
PATIENCE = 5
LITTLE_PATIENCE = 15
# Nothing that works takes so long.
LIMIT = 300


def main():
    arguments = parse()
    wanted = build.programs(peers=arguments.libraries, folder=arguments.programs)
    everyone = peers.all_peers(wanted)
    if arguments.only:
        everyone = [peer for peer in everyone if peer.name in arguments.only]
    results = Results(f"{arguments.out}/peers.csv", FIELDS, KEY)
    start = time.monotonic()
    with Bench.open(wanted, arguments.runs, arguments.keep) as bench:
        peers.write_aws_configs(bench.folder)
        for name in arguments.places:
            for tls in (False, True):
                with PLACES[name](bench, tls) as place:
                    if place:
                        # Nothing of what the user has set for the programs counts.
                        place.environment["AWS_CONFIG_FILE"] = os.devnull
                        place.environment["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
                        at = (name, "https" if tls else "http")
                        for job in arguments.jobs:
                            compare(bench, results, arguments, place, at, job, everyone)
    minutes = (time.monotonic() - start) / 60
    print(f"{results.path}: {len(results.rows)} rows, {minutes:.0f} min", file=sys.stderr)


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/compare-peers",
        description="Stores a file, a pipe and many small files with every program that one would "
        "pick, in turn, and writes what each took to DIR/peers.csv. What that file has already is "
        "not measured again, so a run that was stopped goes on.",
    )
    parser.add_argument("--out", default="docs/benchmarks", metavar="DIR")
    parser.add_argument("--quick", action="store_true", help="256 MiB, 1,000 objects, one run; to "
                        "target/measure-quick unless --out says where")  # fmt: skip
    parser.add_argument("--runs", type=int, help="of each command (default: 3; median)")
    parser.add_argument("--size", type=mebibytes, metavar="MiB", help="of the file and the pipe "
                        "(default: 1024)")  # fmt: skip
    parser.add_argument("--objects", type=int, help="how many small ones (default: 10000)")
    parser.add_argument("--jobs", type=names(JOBS), default=JOBS, metavar="JOB,…",
                        help=f"of {', '.join(JOBS)}")  # fmt: skip
    parser.add_argument("--places", type=names(PLACES), default=list(PLACES), metavar="PLACE,…",
                        help="discard (a server that keeps nothing), far (that too, 25 ms away, "
                        "80 MB/s for each connection), garage (one that stores)")  # fmt: skip
    parser.add_argument("--only", type=lambda text: text.split(","), metavar="PROGRAM,…")
    parser.add_argument("--no-libraries", dest="libraries", action="store_false",
                        help="without those on Rust libraries, which take minutes to build")  # fmt: skip
    parser.add_argument("--programs", metavar="DIR", help="where they are built already")
    parser.add_argument("--keep", action="store_true", help="keep the files to store")
    arguments = parser.parse_args()
    quick = arguments.quick
    if quick and arguments.out == "docs/benchmarks":
        arguments.out = str(build.target() / "measure-quick")
    arguments.runs = arguments.runs or (1 if quick else 3)
    arguments.size = arguments.size or (256 * MIB if quick else GIB)
    arguments.objects = arguments.objects or (1000 if quick else 10_000)
    return arguments


def mebibytes(text):
    return int(text.removesuffix("MiB")) * MIB


def names(known):
    def split(text):
        for name in text.split(","):
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(known)}")
        return text.split(",")

    return split


def compare(bench, results, arguments, place, at, job, everyone):
    """One job at one place: all programs that have no row yet, in turn."""
    small = job == "small"
    size = SMALL * arguments.objects if small else arguments.size
    objects = arguments.objects if small else 1
    about = dict(zip(("place", "scheme"), at), job=job, size_bytes=size, objects=objects)
    series = []
    for peer in everyone:
        for setting in ("same", "default"):
            row = {**about, "setting": setting, "program": peer.name, "version": peer.version}
            if row in results:
                continue
            if peer.missing:
                if setting == "same":
                    results.add([{**row, "runs": 0, "note": peer.missing}])
                continue
            command = command_of(bench, place, peer, row)
            if command:
                series.append(Series(row, command))
    if not series:
        return
    print(f"{' '.join(at)} {job} …", file=sys.stderr)
    for _ in range(arguments.runs):
        for one in series:
            one.run(place)
    results.add([one.result() for one in series])


def command_of(bench, place, peer, row):
    job, size = row["job"], row["size_bytes"]
    name = "".join(letter for letter in peer.name if letter.isalnum()) + "-" + row["setting"]
    uri, piped = f"s3://{place.bucket}/{name}", None
    if job == "small":
        source, uri = bench.small_files(row["objects"], SMALL), uri + "/"
    else:
        source = bench.source(size)
    if job == "pipe":
        source, piped = "-", source
    presigned = ""
    if peer.name == "floor":
        if size > 5 * GIB:
            return None
        presigned = bench.presigned(place.environment, place.bucket)
    task = Task(
        job=job,
        setting=row["setting"],
        source=source,
        uri=uri,
        size=size,
        environment=place.environment,
        presigned=presigned,
        folder=bench.folder,
        is_discarded=place.is_discarded,
    )
    words = peer.words(task)
    return Command(words, place.environment, piped) if words else None


class Series:
    """The runs of one command."""

    def __init__(self, row, command):
        self.row = row
        self.command = command
        self.figures = []
        self.counts = []
        self.failure = None

    def run(self, place):
        if self.failure or self.is_enough():
            return
        before = place.stats()
        outcome = attempt(self.command, LIMIT)
        after = place.stats()
        if outcome.exit_code:
            self.failure = (outcome.exit_code, reason(outcome))
            return
        self.figures.append(outcome.figures)
        if before:
            # Asking for the counts is no request of theirs.
            self.counts.append((after[0] - before[0], after[1] - before[1]))
            if self.counts[-1][1] < self.row["size_bytes"]:
                self.failure = (0, f"only {self.counts[-1][1]} bytes arrived")

    def is_enough(self):
        # The first of two may have been slow for a reason of its own.
        walls = [one.wall for one in self.figures]
        return any(wall > LITTLE_PATIENCE for wall in walls) or (
            len(walls) > 1 and min(walls) > PATIENCE
        )

    def result(self):
        if self.failure:
            code, note = self.failure
            return {**self.row, "runs": len(self.figures), "exit_code": code, "note": note}
        cpu = [one.cpu for one in self.figures]
        requests, sent = None, None
        if self.counts:
            requests, sent = (int(statistics.median(column)) for column in zip(*self.counts))
        return {
            **self.row,
            "runs": len(self.figures),
            "wall_s": statistics.median(one.wall for one in self.figures),
            "cpu_s": statistics.median(cpu),
            "cpu_s_per_gib": statistics.median(cpu) * GIB / self.row["size_bytes"],
            "cpu_s_min": min(cpu),
            "cpu_s_max": max(cpu),
            "peak_mib": statistics.median(one.peak for one in self.figures),
            "requests": requests,
            "bytes_sent": sent,
            "exit_code": 0,
            "note": "",
        }


def reason(outcome):
    """Why a run failed, in a line that names no folder of this machine."""
    if outcome.exit_code == -9:
        return f"killed after {LIMIT} s"
    lines = [line.strip() for line in outcome.error.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"error|failed", line, re.IGNORECASE)]
    line = (telling or lines[-1:] or ["it said nothing"])[0]
    return re.sub(r"\S*/\S+/\S+", "…", line)[:160]


main()
