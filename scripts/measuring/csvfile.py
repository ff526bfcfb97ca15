"""Results as a CSV file that grows, and that a later run goes on with."""

import csv
import datetime
import os
import pathlib
import platform


class Results:
    """Rows of a file, by the fields that say what was measured."""

    def __init__(self, path, fields, key):
        self.path = pathlib.Path(path)
        self.fields = fields
        self.key = key
        self.rows = []
        if self.path.exists():
            with open(self.path, newline="") as file:
                self.rows = list(csv.DictReader(file))
        if self.rows and set(self.rows[0]) != set(fields):
            raise SystemExit(f"{self.path} has other columns: remove it, or take another --out")

    def __contains__(self, row):
        wanted = self.identity(row)
        return any(self.identity(other) == wanted for other in self.rows)

    def identity(self, row):
        return [str(row[name]) for name in self.key]

    def add(self, rows):
        """Adds rows, of which the file had none, and writes it."""
        stamp = {"date": datetime.date.today().isoformat(), "machine": machine()}
        for row in rows:
            self.rows.append({name: text({**stamp, **row}.get(name)) for name in self.fields})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        half = self.path.with_suffix(".new")
        with open(half, "w", newline="") as file:
            writer = csv.DictWriter(file, self.fields, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        half.replace(self.path)


def text(value):
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def machine():
    """The processor, how many of it, and the kernel."""
    model = platform.machine()
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = " ".join(line.split(":", 1)[1].split())
                break
    kernel = platform.release().split("-")[0]
    return f"{model}; {os.cpu_count()} cores; Linux {kernel}"
