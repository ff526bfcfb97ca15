"""1 GiB that has to come from the disk, with memory to spare and with 256 MiB for all of it."""

import contextlib
import os
import pathlib
import sys

from .bench import MIB
from .run import Command, medians_in_turn
from .table import Table
from .uploads import ours

LIMIT = 256 * MIB
CGROUP = "s3-cli-measure"


def tight(bench):
    source = bench.source()
    rows = []
    with bench.server() as environment, limited() as prefix:
        cold = Command(
            ours(bench, source, "--payload-signing", "never"), environment, evict=source
        )
        floor = Command(
            [bench.programs.floor, "file", bench.presigned(environment), source],
            environment,
            evict=source,
        )
        commands = {"floor": floor, "s3-cli": cold}
        if prefix:
            for name in list(commands):
                words = [*prefix, *commands[name].words]
                commands[f"{name}, 256 MiB"] = Command(words, environment, evict=source)
        figures = medians_in_turn(commands, bench.runs)
    for name, f in figures.items():
        rows.append([name, f"{f.wall:.2f}", f"{f.cpu:.3f}", f"{f.peak:.1f}"])
    return Table("1 GiB that no cache has:", ["program", "wall s", "CPU s", "peak MiB"], rows)


@contextlib.contextmanager
def limited():
    """What to put before a command to give it 256 MiB, page cache and sockets included."""
    root = pathlib.Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        group, limit = root / CGROUP, "memory.max"
    else:
        group, limit = root / "memory" / CGROUP, "memory.limit_in_bytes"
    try:
        group.mkdir(exist_ok=True)
        (group / limit).write_text(str(LIMIT))
    except OSError as error:
        print(f"without the limit of 256 MiB: {error}", file=sys.stderr)
        yield None
        return
    try:
        script = f'echo $$ > "{group}/cgroup.procs" && exec "$@"'
        yield ["sh", "-c", script, "sh"]
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(group)
