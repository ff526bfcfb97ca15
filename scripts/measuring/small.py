"""A folder of many small files, beside other command lines."""

from . import build
from .run import Command, medians_in_turn
from .table import Table

COUNT = 10_000
SIZE = 16 << 10
IN_FLIGHT = "64"


def small(bench):
    tools = build.python_tools("s5cmd", "awscli")
    folder, prefix = bench.small_files(COUNT, SIZE), "s3://demo/p/"
    s5cmd, aws = str(tools / "s5cmd"), str(tools / "aws")
    words = {
        "s3-cli": [bench.programs.cli, "put", "-r", *unsigned(), folder, prefix],
        "s5cmd": [s5cmd, "--numworkers", IN_FLIGHT, "cp", f"{folder}/", prefix],
        "aws s3 cp": [aws, "s3", "cp", "--recursive", "--only-show-errors", folder, prefix],
    }
    with bench.server() as environment:
        # s5cmd looks for the service's own variable only.
        environment["S3_ENDPOINT_URL"] = environment["AWS_ENDPOINT_URL"]
        commands = {name: Command(words, environment) for name, words in words.items()}
        figures = medians_in_turn(commands, bench.runs)
    rows = []
    for name, f in figures.items():
        numbers = [f"{f.wall:.2f}", f"{f.cpu:.2f}", f"{f.peak:.1f}"]
        rates = [f"{COUNT / f.wall:.0f}", f"{COUNT / f.cpu:.0f}"]
        ratio = f"{f.cpu / figures['s3-cli'].cpu:.2f}"
        rows.append([name, *numbers, *rates, ratio])
    header = ["program", "wall s", "CPU s", "peak MiB", "objects/s", "objects/CPU s", "CPU / ours"]
    return Table("10,000 files of 16 KiB:", header, rows)


def unsigned():
    return ["--max-concurrency", IN_FLIGHT, "--payload-signing", "never"]
