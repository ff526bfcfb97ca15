"""Starts the development server for a script."""

import subprocess


def start(program, *arguments):
    """The server as a process on a free port, and the variables that reach its bucket `demo`."""
    command = [program, "--port", "0", "--bucket", "demo", *arguments]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    variables = {}
    while "AWS_REGION" not in variables:
        line = server.stdout.readline()
        if not line:
            raise SystemExit(f"{program} did not start")
        words = line.split()
        if words[:1] == ["export"]:
            name, value = words[1].split("=", 1)
            variables[name] = value.strip("'\"")
    return server, variables
