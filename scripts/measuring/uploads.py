"""1 GiB to a server that discards it: parts of 8 MiB, 64 in flight."""

from .bench import GIB
from .run import Command, medians_in_turn
from .table import costs

PART_SIZE = "8MiB"
IN_FLIGHT = "64"


def file_http(bench):
    with bench.server() as environment:
        words = file_words(bench, environment)
        url, source = bench.presigned(environment), bench.source()
        words["floor, sendfile"] = [bench.programs.floor, "file", "--sendfile", url, source]
        words["s3-cli, payload signed"] = ours(bench, source, "--payload-signing", "always")
        words["s3-cli, buffered"] = ours(
            bench, source, "--payload-signing", "never", "--buffered"
        )
        return measure("file-http", bench, words, environment)


def file_tls(bench):
    with bench.server(tls=True) as environment:
        return measure("file-tls", bench, file_words(bench, environment), environment)


def pipe_http(bench):
    with bench.server() as environment:
        return measure("pipe-http", bench, pipe_words(bench, environment), environment, piped=True)


def pipe_tls(bench):
    with bench.server(tls=True) as environment:
        return measure("pipe-tls", bench, pipe_words(bench, environment), environment, piped=True)


def file_words(bench, environment):
    source = bench.source()
    return {
        "floor": [bench.programs.floor, "file", bench.presigned(environment), source],
        "s3-cli": ours(bench, source, "--payload-signing", "never"),
        **peers(bench, source),
    }


def pipe_words(bench, environment):
    url = bench.presigned(environment)
    floor = [bench.programs.floor, "pipe", "--length", str(GIB), url]
    return {
        "floor": floor,
        "floor, pipe of 1 MiB": [*floor, "--pipe-size", "1MiB"],
        "floor, parts of 8 MiB": [*floor, "--pipe-size", "1MiB", "--buffer", PART_SIZE, "--gather"],
        "s3-cli": ours(bench, "-", "--payload-signing", "never"),
        **peers(bench, "-"),
    }


def ours(bench, source, *options):
    tuning = ["--part-size", PART_SIZE, "--max-concurrency", IN_FLIGHT]
    return [bench.programs.cli, "put", *tuning, *options, source, "s3://demo/k"]


def peers(bench, source):
    tuning = ["--part-size", PART_SIZE, "--concurrency", IN_FLIGHT]
    return {
        name: [program, *tuning, source, "s3://demo/peer"]
        for name, program in bench.programs.peers.items()
    }


def measure(job, bench, words, environment, piped=False):
    source = bench.source() if piped else None
    commands = {name: Command(words, environment, source) for name, words in words.items()}
    return costs(job, medians_in_turn(commands, bench.runs), floor="floor", ours="s3-cli")
