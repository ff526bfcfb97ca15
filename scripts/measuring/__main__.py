"""The command line: which jobs, how often, and what they are compared with."""

import argparse
import os
import platform
import sys

from . import build, disk, memory, shape, small, tight, uploads
from .bench import Bench
from .table import print_tables

JOBS = {
    "file-http": uploads.file_http,
    "file-tls": uploads.file_tls,
    "pipe-http": uploads.pipe_http,
    "pipe-tls": uploads.pipe_tls,
    "disk-file": disk.from_file,
    "disk-pipe": disk.from_pipe,
    "backed-up": memory.backed_up,
    "pipe-memory": memory.pipe_memory,
    "shape": shape.shape,
    "small": small.small,
    "tight": tight.tight,
}
DEFAULT = ["file-http", "file-tls", "pipe-http", "disk-file", "disk-pipe"]


def main():
    arguments = parse()
    programs = build.programs(peers=arguments.peers)
    about = f"{os.cpu_count()} cores, Linux {platform.release()}, medians of {arguments.runs} runs"
    with Bench.open(programs, arguments.runs, arguments.keep) as bench:
        tables = []
        for name in arguments.jobs:
            print(f"{name} …", file=sys.stderr)
            tables.append(JOBS[name](bench))
    print(about)
    print_tables(tables)


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/measure",
        description="Measures whole commands of release builds, in turn, and prints medians.",
    )
    parser.add_argument("--runs", type=positive, default=5, help="of each command (default: 5)")
    parser.add_argument(
        "--jobs",
        type=jobs,
        default=DEFAULT,
        metavar="JOB,…",
        help=f"of {', '.join(JOBS)}, or all (default: {','.join(DEFAULT)})",
    )
    parser.add_argument(
        "--peers", action="store_true", help="beside other clients, which take minutes to build"
    )
    parser.add_argument("--keep", action="store_true", help="keep the files to store for next time")
    return parser.parse_args()


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def jobs(text):
    if text == "all":
        return list(JOBS)
    names = text.split(",")
    for name in names:
        if name not in JOBS:
            raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(JOBS)}")
    return names


main()
