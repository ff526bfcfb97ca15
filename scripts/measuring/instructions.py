"""Counts the instructions of the pure paths, and compares them with those of before."""

import argparse
import csv
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

from . import build, worktree
from .table import Table, print_tables

BASELINE = pathlib.Path("docs/benchmarks/instructions.csv")
FIELDS = ["case", "instructions", "rustc", "valgrind", "libc", "machine"]
TOLERANCE = 1.02


def main():
    arguments = parse()
    if not shutil.which("valgrind"):
        sys.exit("Valgrind is needed: apt-get install valgrind")
    tools = toolchain()
    head = counts(built(pathlib.Path("."), build.target()))
    if arguments.update:
        write(head, tools)
        return
    kept = read()
    if arguments.base:
        base = of_commit(worktree.commit(arguments.base))
        against = arguments.base
    elif kept and all(same_tools(row, tools) for row in kept):
        base = {row["case"]: int(row["instructions"]) for row in kept}
        against = str(BASELINE)
    else:
        # Another compiler makes other instructions: both sides have to be its work.
        against = worktree.base()
        print(f"{BASELINE} is of other tools; comparing with {against}", file=sys.stderr)
        base = of_commit(against) if against else {}
    sys.exit(compare(base, head, against))


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/check-instructions",
        description="Counts the instructions of the pure paths under Valgrind, and fails if one "
        f"takes over 2 % more than {BASELINE} says. That file names the compiler, Valgrind and C "
        "library that its counts are of; with others, the commit where this branch began is "
        "counted too, and compared with.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--update", action="store_true", help=f"write {BASELINE} anew")
    which.add_argument("--base", metavar="COMMIT", help="compare with this commit")
    return parser.parse_args()


def toolchain():
    """What the counts depend on, besides the code."""
    return {
        "rustc": first_line("rustc", "--version"),
        "valgrind": first_line("valgrind", "--version"),
        "libc": " ".join(platform.libc_ver()),
        "machine": " ".join([platform.machine(), *processor()]),
    }


def processor():
    """By which features the C library chooses how it copies."""
    try:
        words = pathlib.Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return []
    return [feature for feature in ("avx2", "erms", "fsrm") if feature in words]


def first_line(*command):
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return answer.stdout.splitlines()[0]


def same_tools(row, tools):
    return all(row[name] == value for name, value in tools.items())


def built(folder, target):
    """The program of the tree in `folder`; `None` if there was none yet."""
    if not (folder / "crates" / "instructions").exists():
        return None
    # Valgrind is told by a symbol what to count.
    environment = {
        **os.environ,
        "CARGO_TARGET_DIR": str(target.absolute()),
        "CARGO_PROFILE_RELEASE_STRIP": "debuginfo",
        # In one piece: in several, code that has nothing to do with a path changes how they are cut,
        # and with it what the path takes, by up to 3 %.
        "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "1",
        "CARGO_PROFILE_RELEASE_LTO": "fat",
    }
    command = ["cargo", "build", "-q", "--release", "--locked", "-p", "instructions"]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return target / "release" / "instructions"


def of_commit(revision):
    folder = build.target() / "base"
    with worktree.checked_out(revision, folder / "tree") as tree:
        program = built(tree, folder / "target")
        return counts(program) if program else {}


def counts(program):
    """The instructions of each case."""
    names = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True)
    return {name: count(program, name) for name in names.stdout.split()}


def count(program, name):
    with tempfile.TemporaryDirectory() as folder:
        words = [
            "valgrind",
            "--tool=callgrind",
            f"--callgrind-out-file={folder}/out",
            "--collect-atstart=no",
            "--toggle-collect=instructions::counted*",
            str(program),
            name,
        ]
        # Nothing of the environment: the stack begins behind it.
        ran = subprocess.run(words, env={"PATH": os.environ["PATH"]}, stderr=subprocess.PIPE, text=True)
    found = re.search(r"Collected\s*:\s*(\d+)", ran.stderr)
    if ran.returncode or not found or found[1] == "0":
        sys.exit(f"{' '.join(words)}: {ran.stderr}")
    return int(found[1])


def read():
    if not BASELINE.exists():
        return []
    with open(BASELINE, newline="") as file:
        return list(csv.DictReader(file))


def write(counts, tools):
    with open(BASELINE, "w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        for name, number in counts.items():
            writer.writerow({"case": name, "instructions": number, **tools})
    print(f"{len(counts)} counts are in {BASELINE}")


def compare(base, head, against):
    """Prints a table; 1 if something takes more than it did."""
    if not base:
        print("NOT COMPARED: there is nothing to compare with")
        return 0
    rows, worse, better = [], 0, 0
    for name, now in head.items():
        before = base.get(name)
        if before is None:
            rows.append([name, "-", f"{now:,}", "-", "new"])
            continue
        verdict = ""
        if now > before * TOLERANCE:
            verdict, worse = "MORE", worse + 1
        elif now * TOLERANCE < before:
            verdict, better = "less", better + 1
        rows.append([name, f"{before:,}", f"{now:,}", f"{now / before - 1:+.2%}", verdict])
    for name in base.keys() - head.keys():
        rows.append([name, f"{base[name]:,}", "-", "-", "gone"])
    header = ["case", "before", "now", "change", ""]
    print_tables([Table(f"Instructions, beside {against}:", header, rows)])
    if worse:
        print(f"\n{worse} of {len(head)} cases take over 2 % more instructions than before.")
        print("If that is meant: scripts/check-instructions --update")
    elif better:
        print("\nscripts/check-instructions --update keeps what was gained.")
    return 1 if worse else 0


main()
