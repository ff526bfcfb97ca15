"""Starts the development server for a script."""

import contextlib
import shlex
import subprocess


@contextlib.contextmanager
def running(program, *arguments):
    """The variables that reach bucket `demo` of a server, which is gone afterwards."""
    server, variables = start(program, *arguments)
    try:
        yield variables
    finally:
        server.terminate()
        server.wait()


def start(program, *arguments):
    """The server as a process on a free port, and the variables that reach its bucket `demo`."""
    command = [program, "--port", "0", "--bucket", "demo", *arguments]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    variables = {}
    # The lines to paste come together; what follows them ends the welcome.
    for line in server.stdout:
        words = shlex.split(line, comments=True)
        if words[:1] == ["export"]:
            name, value = words[1].split("=", 1)
            variables[name] = value
        elif variables:
            return server, variables
    raise SystemExit(f"{program} did not start")
