"""How what `s3-cli` costs grows with each thing that it could grow with, as a CSV file."""

import argparse
import statistics
import sys

from . import build, peers
from .bench import GIB, MIB, Bench
from .csvfile import Results
from .run import Command, attempt

FIELDS = [
    "series", "x", "unit", "version", "bytes", "runs", "wall_s", "cpu_s", "cpu_s_per_gib",
    "peak_mib", "mib_per_s", "objects_per_s", "exit_code", "date", "machine",
]  # fmt: skip
KEY = ["series", "x", "bytes"]

SMALL = 16 << 10
UNSIGNED = ["--payload-signing", "never"]
CONNECTION = ["--connection-bandwidth", "80000000"]


class Point:
    """One measurement: where in which series, the server's options, and what is put."""

    def __init__(self, series, x, unit, size, server=(), options=(), objects=1, piped=False):
        self.series = series
        self.x = x
        self.unit = unit
        self.size = size
        self.server = list(server)
        self.options = list(options)
        self.objects = objects
        self.piped = piped

    def key(self):
        return {"series": self.series, "x": self.x, "bytes": self.size * self.objects}


def points(largest):
    """All series, with files of up to `largest` bytes."""
    common = min(GIB, largest)
    for size in (MIB, 16 * MIB, 256 * MIB, GIB, 4 * GIB, 20 * GIB):
        if size <= largest:
            yield Point("file size", size // MIB, "MiB", size)
            yield Point("pipe size", size // MIB, "MiB", size, piped=True)
    for part in (5, 8, 16, 32, 64, 128):
        yield Point("part size", part, "MiB", common, options=["--part-size", f"{part}MiB"])
    for count in (1, 2, 4, 8, 16, 32, 64, 128):
        far = ["--latency-ms", "25", *CONNECTION]
        # One connection of 80 MB/s has enough to do with less.
        size = min(common, count * 64 * MIB)
        options = ["--max-concurrency", str(count)]
        yield Point("concurrency", count, "parts in flight", size, far, options)
    for latency in (0, 5, 25, 100, 200):
        far = ["--latency-ms", str(latency), *CONNECTION]
        yield Point("latency", latency, "ms", common, far)
    for objects in (100, 1_000, 10_000):
        if objects * SMALL <= largest:
            yield Point("objects", objects, "objects", SMALL, objects=objects)


def main():
    arguments = parse()
    programs = build.programs(peers=False, folder=arguments.programs)
    version = peers.version_of(programs.cli, "--version")
    results = Results(f"{arguments.out}/growth.csv", FIELDS, KEY)
    with Bench.open(programs, arguments.runs, arguments.keep) as bench:
        for point in points(arguments.largest * MIB):
            if point.key() not in results:
                print(f"{point.series} {point.x} {point.unit} …", file=sys.stderr)
                results.add([{**measure(bench, point), "version": version}])
    print(f"{results.path}: {len(results.rows)} rows", file=sys.stderr)


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/measure-growth",
        description="Stores objects with s3-cli on a server that discards them, and writes what "
        "each took to DIR/growth.csv. What that file has already is not measured again.",
    )
    parser.add_argument("--out", default="docs/benchmarks", metavar="DIR")
    parser.add_argument("--runs", type=int, default=3, help="of each command (default: 3; median)")
    parser.add_argument("--largest", type=int, default=20 << 10, metavar="MiB",
                        help="the largest object (default: 20480)")  # fmt: skip
    parser.add_argument("--programs", metavar="DIR", help="where they are built already")
    parser.add_argument("--keep", action="store_true", help="keep the files to store")
    return parser.parse_args()


def measure(bench, point):
    many = point.objects > 1
    if many:
        source = ["-r", bench.small_files(point.objects, SMALL)]
    else:
        # Sparse, so that no disk has a share in it.
        source = [bench.sparse(point.size)]
    piped = source[0] if point.piped else None
    words = [bench.programs.cli, "put", *UNSIGNED, *point.options]
    words += ["-"] if piped else source
    words += ["s3://demo/growth/" if many else "s3://demo/growth"]
    figures, code = [], 0
    with bench.server(*point.server) as environment:
        for _ in range(bench.runs):
            outcome = attempt(Command(words, environment, piped))
            code = code or outcome.exit_code
            figures.append(outcome.figures)
    total = point.size * point.objects
    row = {**point.key(), "unit": point.unit, "runs": len(figures), "exit_code": code}
    if code:
        return row
    wall, cpu, peak = (
        statistics.median(getattr(one, name) for one in figures) for name in ("wall", "cpu", "peak")
    )
    return {
        **row,
        "wall_s": wall,
        "cpu_s": cpu,
        "cpu_s_per_gib": cpu * GIB / total,
        "peak_mib": peak,
        "mib_per_s": total / MIB / wall,
        "objects_per_s": point.objects / wall if many else None,
    }


main()
