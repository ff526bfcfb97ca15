"""Criterion's benches of two commits, run in turn on this machine, and compared."""

import argparse
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from . import build, worktree
from .table import Table, print_tables

# The features of crates/bench that each file of benches needs.
BENCHES = {"splitter": [], "adapters": [], "fs": ["fs"], "s3": ["s3"]}

# What is less is no regression, however sure.
LEAST = 0.05


def main():
    arguments = parse()
    revision = worktree.commit(arguments.base) if arguments.base else worktree.base()
    if not revision:
        sys.exit("there is no commit before this one: name one")
    folder = build.target().absolute() / "regress"
    head = built(pathlib.Path.cwd(), build.target().absolute(), arguments)
    with worktree.checked_out(revision, folder / "tree") as tree:
        base = built(tree, folder / "target", arguments)
    found = Comparison(base, head, arguments)
    found.run(arguments.filter)
    slower = found.slower()
    if slower:
        # Once more, and only these: of many benches, one is slower by chance now and then.
        print(f"{len(slower)} seem slower: measuring them again", file=sys.stderr)
        again = Comparison(base, head, arguments)
        again.run(f"^({'|'.join(map(re.escape, slower))})$")
        found.confirm(again)
    sys.exit(found.report(revision))


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/bench-regress",
        description="Builds crates/bench of a commit and of the tree at hand, runs both in turn, "
        "and fails if the fastest round of a bench got slower by more than 5 % and by more than the "
        "three fastest of one and the same program differ, and does so again.",
    )
    parser.add_argument("base", nargs="?", metavar="COMMIT",
                        help="default: where this branch began")  # fmt: skip
    parser.add_argument("--benches", type=benches, default=["splitter", "adapters"],
                        metavar="FILE,…", help=f"of {', '.join(BENCHES)}, or all "
                        "(default: splitter,adapters)")  # fmt: skip
    parser.add_argument("--filter", metavar="REGEX", help="only benches whose names match")
    parser.add_argument("--rounds", type=int, default=7, help="default: 7")
    parser.add_argument("--seconds", type=float, default=1.0,
                        help="for each bench in each round (default: 1)")  # fmt: skip
    parser.add_argument("--profile", default="bench", help="Cargo's profile (default: bench)")
    return parser.parse_args()


def benches(text):
    names = list(BENCHES) if text == "all" else text.split(",")
    for name in names:
        if name not in BENCHES:
            raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(BENCHES)}")
    return names


def built(folder, target, arguments):
    """The bench programs of the tree in `folder`, by name."""
    programs = {}
    for name in arguments.benches:
        if not (folder / "crates" / "bench" / "benches" / f"{name}.rs").exists():
            print(f"{name} is new: there is nothing to compare with", file=sys.stderr)
            continue
        words = ["cargo", "bench", "-q", "-p", "bench", "--no-default-features", "--no-run"]
        words += ["--features", ",".join(BENCHES[name]), "--bench", name]
        words += ["--profile", arguments.profile, "--message-format", "json"]
        environment = {**os.environ, "CARGO_TARGET_DIR": str(target)}
        answer = subprocess.run(
            words, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
        )
        for line in answer.stdout.splitlines():
            message = json.loads(line)
            if message.get("executable") and message["target"]["name"] == name:
                programs[name] = message["executable"]
    return programs


class Comparison:
    """The times of every bench, of both commits, of each round."""

    # How many rounds of a program must agree for its fastest to be believed.
    TRUSTED = 3

    def __init__(self, base, head, arguments):
        self.programs = {"base": base, "head": head}
        self.files = [name for name in head if name in base]
        self.rounds = arguments.rounds
        self.seconds = arguments.seconds
        self.times = {"base": {}, "head": {}}
        self.excused = set()

    def run(self, pattern):
        for number in range(self.rounds):
            print(f"round {number + 1} of {self.rounds} …", file=sys.stderr)
            for file in self.files:
                # The first of two in a row has the colder machine, so they change places.
                for side in ("base", "head") if number % 2 == 0 else ("head", "base"):
                    program = self.programs[side][file]
                    for name, time in measured(program, pattern, self.seconds):
                        self.times[side].setdefault(name, []).append(time)

    def both(self):
        return [name for name in self.times["head"] if name in self.times["base"]]

    def best(self, side, name):
        """The fastest round: what else the machine does only ever adds to it."""
        return min(self.times[side][name])

    def change(self, name):
        """How much slower the fastest round is, as a part of what it was."""
        return self.best("head", name) / self.best("base", name) - 1

    def noise(self, name):
        """How far the third fastest round of one and the same program is from its fastest; of both
        programs, the one that is less steady."""

        def spread(times):
            return sorted(times)[: self.TRUSTED][-1] / min(times) - 1

        return max(spread(self.times[side][name]) for side in ("base", "head"))

    def slower(self):
        return [
            name
            for name in self.both()
            if name not in self.excused and self.change(name) > max(LEAST, self.noise(name))
        ]

    def confirm(self, again):
        """Excuses what was not slower the second time."""
        still = again.slower()
        self.excused.update(name for name in self.slower() if name not in still)

    def report(self, revision):
        slower = self.slower()
        rows = []
        for name in self.both():
            before, now = (self.best(side, name) for side in ("base", "head"))
            verdict = "SLOWER" if name in slower else ""
            if name in self.excused:
                verdict = "not the second time"
            rows.append([
                name, readable(before), readable(now), f"{self.change(name):+.1%}",
                f"{self.noise(name):.1%}", verdict,
            ])  # fmt: skip
        if not rows:
            print("NOT COMPARED: there is nothing that both have")
            return 0
        title = f"The fastest of {self.rounds} rounds, beside {revision[:12]}:"
        header = ["bench", "before", "now", "change", "noise", ""]
        print_tables([Table(title, header, rows)])
        print(f"\n{len(slower)} of {len(rows)} got slower." if slower else "\nNothing got slower.")
        return 1 if slower else 0


def measured(program, pattern, seconds):
    """The benches of one run, and the median time of each in nanoseconds."""
    with tempfile.TemporaryDirectory() as home:
        words = [program, "--bench", "--noplot", "--sample-size", "10"]
        words += ["--warm-up-time", str(seconds / 4), "--measurement-time", str(seconds)]
        words += [pattern] if pattern else []
        environment = {**os.environ, "CRITERION_HOME": home}
        # What is slow takes longer than it is given, of which Criterion warns.
        subprocess.run(
            words,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for path in sorted(pathlib.Path(home).glob("**/new/estimates.json")):
            with contextlib.suppress(KeyError):
                about = json.loads(path.with_name("benchmark.json").read_text())
                estimates = json.loads(path.read_text())
                yield about["full_id"], estimates["median"]["point_estimate"]


def readable(nanoseconds):
    for unit, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if nanoseconds >= unit:
            return f"{nanoseconds / unit:.3g} {name}"
    return f"{nanoseconds:.3g} ns"


main()
