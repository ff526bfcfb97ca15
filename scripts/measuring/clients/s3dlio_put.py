"""s3dlio_put.py PART_SIZE CONCURRENCY SOURCE s3://BUCKET/KEY: as one writes it with s3dlio.

PART_SIZE and CONCURRENCY are numbers, or 0 for s3dlio's defaults. SOURCE is a file, a folder, or `-`
for standard input. `upload` takes no part size.
"""

import os
import sys

import s3dlio

part_size, concurrency, source, uri = sys.argv[1:]
part_size, concurrency = int(part_size), int(concurrency)
at_once = {"max_in_flight": concurrency} if concurrency else {}


def fill(memory, pipe):
    """How many bytes of the pipe are in `memory`; fewer than it has room for at the end."""
    filled = 0
    with memoryview(memory) as view:
        while filled < len(view):
            with view[filled:] as rest:
                read = pipe.readinto(rest)
            if not read:
                break
            filled += read
    return filled


if source == "-":
    tuning = {"part_size": part_size} if part_size else {}
    writer = s3dlio.MultipartUploadWriter.from_uri(uri, **tuning, **at_once)
    room = part_size or 8 << 20
    with open(0, "rb", buffering=0) as pipe:
        filled = room
        while filled == room:
            memory = writer.reserve(room)
            filled = fill(memory, pipe)
            del memory
            writer.commit(filled)
    writer.close()
else:
    paths = [source]
    if os.path.isdir(source):
        paths = [os.path.join(source, name) for name in os.listdir(source)]
    s3dlio.upload(paths, uri.rsplit("/", 1)[0] + "/", **at_once)
