"""1 GiB to a disk, durably, beside what coreutils take for the same."""

import os

from .run import Command, medians_in_turn
from .table import costs


def from_file(bench):
    source, out = bench.source(), str(bench.folder / "out")
    words = {
        "`cp`, then `sync`": ["sh", "-c", f"cp '{source}' '{out}' && sync '{out}'"],
        "s3-cli": [bench.programs.cli, "put", source, out],
        "s3-cli, no checksum": [bench.programs.cli, "put", "--no-checksum", source, out],
    }
    return measure("disk-file", bench, words)


def from_pipe(bench):
    out = str(bench.folder / "out")
    words = {
        "`dd bs=1M conv=fsync`": ["dd", "bs=1M", "conv=fsync", f"of={out}"],
        "s3-cli": [bench.programs.cli, "put", "-", out],
    }
    return measure("disk-pipe", bench, words, piped=bench.source())


def measure(job, bench, words, piped=None):
    commands = {name: Command(words, os.environ, piped) for name, words in words.items()}
    figures = medians_in_turn(commands, bench.runs)
    return costs(job, figures, floor=next(iter(words)), ours="s3-cli")
