"""The programs that are measured, built or installed on demand."""

import os
import pathlib
import subprocess
import sys

PEERS = {
    "aws-sdk-s3": "peer-sdk",
    "aws-sdk-s3-transfer-manager": "peer-transfer-manager",
    "object_store": "peer-object-store",
    "opendal": "peer-opendal",
}


class Programs:
    """Where the programs are."""

    def __init__(self, folder, peers):
        self.cli = str(folder / "s3-cli")
        self.server = str(folder / "dev-s3")
        self.floor = str(folder / "floor")
        self.presign = str(folder / "presign")
        self.peers = {name: str(folder / program) for name, program in peers.items()}


def target():
    """Cargo's folder for what it builds."""
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))


def programs(peers, folder=None):
    """All programs: built, or found in `folder` if one is named."""
    if folder:
        return Programs(pathlib.Path(folder).absolute(), PEERS if peers else {})
    # One command for each, so that none is built with features that only another one wants: a
    # command line with another TLS library in it is not the one that is shipped.
    cargo("-p", "cli")
    cargo("-p", "testkit", "--features", "server", "--bin", "dev-s3")
    alone = ["-p", "bench", "--no-default-features"]
    cargo(*alone, "--features", "aws", "--bin", "floor", "--bin", "presign")
    if peers:
        wanted = [word for program in PEERS.values() for word in ("--bin", program)]
        cargo(*alone, "--features", "peers", *wanted)
    return Programs(target() / "release", PEERS if peers else {})


def cargo(*arguments):
    subprocess.run(["cargo", "build", "-q", "--release", *arguments], check=True)


def debian_python(name, packages):
    """The words that run the program `name` of Debian's `packages`, which are not installed, but
    unpacked into a folder of their own."""
    folder = (target() / "measure-debian").absolute()
    program = folder / "usr" / "bin" / name
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        download = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *packages]
        subprocess.run(download, cwd=folder, check=True)
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
    path = f"PYTHONPATH={folder}/usr/lib/python3/dist-packages"
    return ["env", path, "/usr/bin/python3", str(program)]


def python_tools(*packages):
    """The folder with the commands of `packages`, in an environment of their own."""
    venv = target() / "measure-venv"
    if not (venv / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip = [str(venv / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, *packages], check=True)
    return venv / "bin"
