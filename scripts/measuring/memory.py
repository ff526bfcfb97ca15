"""Resident memory where the network is slower than the source."""

from .bench import GIB, MIB
from .run import Command, medians_in_turn
from .table import Table
from .uploads import ours, peers

BACKED_UP = ["--bandwidth", "40000000", "--receive-buffer", "65536"]
SPARSE = 20 * GIB
SLOW = ["--bandwidth", "100000000", "--latency-ms", "25"]
BUDGETS_MIB = [16, 32, 64, 128, 512]


def backed_up(bench):
    """Files, with all of 64 parts waiting for a server that is slow."""
    source = bench.source()
    words = {"s3-cli": ours(bench, source, "--payload-signing", "never"), **peers(bench, source)}
    rows = []
    for scheme, tls in (("HTTP", False), ("TLS", True)):
        with bench.server(*BACKED_UP, tls=tls) as environment:
            rows += peaks(f"1 GiB, 40 MB/s, {scheme}", bench, words, environment)
    with bench.server() as environment:
        words = {"s3-cli": ours(bench, bench.sparse(SPARSE), "--payload-signing", "never")}
        rows += peaks("20 GiB, no limit, HTTP", bench, words, environment)
    return Table("Memory of files:", ["job", "program", "wall s", "peak MiB"], rows)


def peaks(job, bench, words, environment):
    commands = {name: Command(words, environment) for name, words in words.items()}
    figures = medians_in_turn(commands, bench.runs, warm=False)
    return [[job, name, f"{f.wall:.2f}", f"{f.peak:.1f}"] for name, f in figures.items()]


def pipe_memory(bench):
    """A pipe that is faster than the server, with budgets of several sizes."""
    source = bench.source()
    with bench.server(*SLOW) as environment:
        commands = {
            budget: Command(
                ours(bench, "-", "--payload-signing", "never", "--memory", f"{budget}MiB"),
                environment,
                source,
            )
            for budget in BUDGETS_MIB
        }
        figures = medians_in_turn(commands, bench.runs, warm=False)
    rows = []
    for budget, f in figures.items():
        to_default = figures[128].wall / f.wall
        above = f"{f.peak - budget:.1f}"
        speed = f"{GIB / MIB / f.wall:.0f}"
        rows.append([f"{budget} MiB", f"{f.peak:.1f}", above, speed, f"{to_default:.2f}"])
    header = ["--memory", "peak MiB", "above it, MiB", "MiB/s", "speed / that of 128 MiB"]
    return Table("A pipe of 1 GiB to a server of 100 MB/s, 25 ms away:", header, rows)
