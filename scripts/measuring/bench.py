"""What all jobs share: the programs, how often to run them, servers, and files to store."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess

import dev_s3

from . import build

MIB = 1 << 20
GIB = 1 << 30


@contextlib.contextmanager
def alone(path):
    """Nobody else measures meanwhile: the figures of both would be wrong."""
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"another run has {path}") from None
        yield


class Bench:
    def __init__(self, programs, runs, folder):
        self.programs = programs
        self.runs = runs
        self.folder = folder

    @classmethod
    @contextlib.contextmanager
    def open(cls, programs, runs, keep):
        folder = pathlib.Path(build.target(), "measure").absolute()
        folder.parent.mkdir(parents=True, exist_ok=True)
        with alone(folder.with_suffix(".lock")):
            folder.mkdir(exist_ok=True)
            try:
                yield cls(programs, runs, folder)
            finally:
                if not keep:
                    shutil.rmtree(folder)

    def source(self, size=GIB):
        """A file of `size` bytes, whole mebibytes, that nothing can compress."""
        path = self.folder / f"source-{size}"
        if not path.exists() or path.stat().st_size != size:
            with open(path, "wb") as file:
                for _ in range(size // MIB):
                    file.write(os.urandom(MIB))
        return str(path)

    def sparse(self, size):
        """A file of `size` bytes that takes no room."""
        path = self.folder / f"sparse-{size}"
        with open(path, "wb") as file:
            file.truncate(size)
        return str(path)

    def small_files(self, count, size):
        """A folder of `count` files of `size` bytes each."""
        folder = self.folder / f"small-{count}-{size}"
        if not (folder / f"{count - 1:06}").exists():
            folder.mkdir(exist_ok=True)
            for number in range(count):
                (folder / f"{number:06}").write_bytes(os.urandom(size))
        return str(folder)

    @contextlib.contextmanager
    def server(self, *arguments, tls=False):
        """A server that forgets what it is sent; gives the environment of its clients."""
        if tls:
            arguments += ("--tls", "--ca-file", str(self.folder / "ca.pem"))
        command = [self.programs.server, "--discard", "--no-hashing", *arguments]
        with dev_s3.running(*command) as variables:
            if tls:
                # The name that the TLS library of the other clients knows.
                variables["SSL_CERT_FILE"] = variables["AWS_CA_BUNDLE"]
            yield {**os.environ, **variables}

    def presigned(self, environment, bucket="demo"):
        """A URL that `floor` can PUT to."""
        command = [self.programs.presign, f"s3://{bucket}/floor", "--expires", "86400"]
        answer = subprocess.run(
            command, env=environment, check=True, stdout=subprocess.PIPE, text=True
        )
        return answer.stdout.strip()
