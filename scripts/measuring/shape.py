"""Whether parts in flight make up for latency and slow connections."""

from .bench import GIB
from .run import Command, medians_in_turn
from .table import Table

# Large enough that starting and finishing take less than 3 %.
SIZE = 4 * GIB
PART = 8 << 20
LATENCY_MS = 25
CONNECTION = 80_000_000
IN_FLIGHT = [4, 16, 64]


def shape(bench):
    slow = ["--latency-ms", str(LATENCY_MS), "--connection-bandwidth", str(CONNECTION)]
    with bench.server() as fast, bench.server(*slow) as far:
        commands = {
            (place, count): Command(words(bench, count), environment)
            for count in IN_FLIGHT
            for place, environment in (("fast", fast), ("far", far))
        }
        figures = medians_in_turn(commands, bench.runs)
    speed = {key: SIZE / f.wall / 1e6 for key, f in figures.items()}
    rows = []
    for count in IN_FLIGHT:
        network = count * PART / (PART / CONNECTION + LATENCY_MS / 1000) / 1e6
        possible = min(network, speed["fast", count])
        numbers = [speed["far", count], network, speed["fast", count]]
        reached = f"{speed['far', count] / possible:.2f}"
        rows.append([str(count), *(f"{number:.0f}" for number in numbers), reached])
    header = ["in flight", "MB/s", "what the network allows", "MB/s without limit", "reached"]
    title = "4 GiB in parts of 8 MiB, 25 ms away, 80 MB/s for each connection:"
    return Table(title, header, rows)


def words(bench, count):
    tuning = ["--part-size", str(PART), "--max-concurrency", str(count)]
    unsigned = ["--payload-signing", "never"]
    return [bench.programs.cli, "put", *tuning, *unsigned, bench.sparse(SIZE), "s3://demo/k"]
