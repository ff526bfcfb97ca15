"""Runs each command several times, in turn, and prints medians: what docs/benchmarks.md shows."""

import os
import statistics
import subprocess
import sys
import tempfile

import dev_s3

SIZE = 1 << 30


def run(command, source):
    """Wall seconds, CPU seconds and peak MiB of one run; `cat source |` it if `-` is in it."""
    stdin = subprocess.DEVNULL
    cat = None
    if "-" in command or command[0] == "dd":
        cat = subprocess.Popen(["cat", source], stdout=subprocess.PIPE)
        stdin = cat.stdout
    start = os.times().elapsed
    child = subprocess.Popen(
        command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    if cat:
        cat.stdout.close()
    error = child.stderr.read().decode()
    _, status, usage = os.wait4(child.pid, 0)
    wall = os.times().elapsed - start
    if cat:
        cat.wait()
    if status:
        sys.exit(f"{' '.join(command)}: {error}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    cli, server_program, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    server, variables = dev_s3.start(server_program, "--discard", "--no-hashing")
    os.environ.update(variables)
    try:
        with tempfile.TemporaryDirectory() as folder:
            measure(cli, runs, folder)
    finally:
        server.terminate()


def measure(cli, runs, folder):
    source = os.path.join(folder, "source")
    with open(source, "wb") as file:
        for _ in range(SIZE >> 20):
            file.write(os.urandom(1 << 20))
    out = os.path.join(folder, "out")
    unsigned = ["--payload-signing", "never"]
    cases = {
        "S3, from a file": [cli, "put", *unsigned, source, "s3://demo/k"],
        "S3, from a pipe": [cli, "put", *unsigned, "-", "s3://demo/k"],
        "S3, buffered": [cli, "put", "--buffered", *unsigned, source, "s3://demo/k"],
        "S3, from a file, payload signed": [cli, "put", source, "s3://demo/k"],
        "disk, from a file": [cli, "put", source, out],
        "disk, from a file, no checksum": [cli, "put", "--no-checksum", source, out],
        "disk, from a pipe": [cli, "put", "-", out],
        "`cp`, then `sync`": ["sh", "-c", f"cp {source} {out} && sync {out}"],
        "`dd bs=1M conv=fsync`, from a pipe": ["dd", "bs=1M", "conv=fsync", f"of={out}"],
    }
    figures = {name: [] for name in cases}
    for turn in range(runs + 1):
        for name, command in cases.items():
            figure = run(command, source)
            # The first turn warms the caches.
            if turn:
                figures[name].append(figure)
    print("| 1 GiB | wall s | CPU s | peak MiB |\n|---|---|---|---|")
    for name, rows in figures.items():
        wall, cpu, peak = (statistics.median(column) for column in zip(*rows))
        print(f"| {name} | {wall:.2f} | {cpu:.2f} | {peak:.0f} |")


main()
