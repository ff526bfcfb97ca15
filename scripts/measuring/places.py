"""The services that objects are stored in."""

import contextlib
import json
import os
import shutil
import ssl
import subprocess
import urllib.request

# The shape of S3: 25 ms away, 80 MB/s for each connection.
FAR = ["--latency-ms", "25", "--connection-bandwidth", "80000000"]


class Place:
    """A service: the environment that reaches it, and its bucket. One that discards what it is sent
    is ours, and counts it."""

    def __init__(self, environment, bucket, is_discarded):
        self.environment = environment
        self.bucket = bucket
        self.is_discarded = is_discarded

    def stats(self):
        """Requests and bytes so far; `None` where nobody counts."""
        if not self.is_discarded:
            return None
        url = self.environment["AWS_ENDPOINT_URL"] + "/-/stats"
        with urllib.request.urlopen(url, context=self.trust()) as answer:
            stats = json.load(answer)
        return sum(stats["requests"].values()), stats["bytes_received"]

    def trust(self):
        bundle = self.environment.get("AWS_CA_BUNDLE")
        return ssl.create_default_context(cafile=bundle) if bundle else None


@contextlib.contextmanager
def discard(bench, tls):
    with bench.server(tls=tls) as environment:
        yield Place(for_all(environment), "demo", True)


@contextlib.contextmanager
def far(bench, tls):
    with bench.server(*FAR, tls=tls) as environment:
        yield Place(for_all(environment), "demo", True)


@contextlib.contextmanager
def garage(bench, tls):
    """A Garage of its own, `None` where there is none, or none that speaks TLS."""
    if tls or not shutil.which(os.environ.get("GARAGE", "garage")):
        yield None
        return
    # It lives as long as the command that it is for.
    script = "env | grep '^AWS_'; echo; exec cat"
    words = ["scripts/garage", "sh", "-c", script]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        variables = {}
        for line in child.stdout:
            if line == "\n":
                break
            name, value = line.rstrip("\n").split("=", 1)
            variables[name] = value
        environment = {**os.environ, **variables, "S3_CLI_SERVICE": "garage"}
        yield Place(for_all(environment), "test", False)
    finally:
        child.stdin.close()
        child.wait()


def for_all(environment):
    """With what clients want that look for variables of their own."""
    # s5cmd does not know the variable of the others.
    return {**environment, "S3_ENDPOINT_URL": environment["AWS_ENDPOINT_URL"]}


PLACES = {"discard": discard, "far": far, "garage": garage}
