"""Pictures of the CSV files, readable on light and on dark pages."""

import argparse
import csv
import pathlib

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot  # noqa: E402: the backend comes first

GREY = "#808890"
OURS = "#d9622b"
OTHERS = "#5b8fc7"
FLOOR = "#8d9a8d"
NAMES = {"aws-sdk-s3-transfer-manager": "transfer manager (Rust)", "aws-sdk-s3": "aws-sdk-s3 loop"}


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/plot",
        description="Draws what DIR/peers.csv and DIR/growth.csv say, as SVG files beside them.",
    )
    parser.add_argument("folder", nargs="?", default="docs/benchmarks", metavar="DIR")
    folder = pathlib.Path(parser.parse_args().folder)
    style()
    drawn = []
    for name, draw in (("peers", draw_peers), ("growth", draw_growth)):
        path = folder / f"{name}.csv"
        if path.exists():
            with open(path, newline="") as file:
                drawn += draw(list(csv.DictReader(file)), folder)
    for path in drawn:
        print(path)
    if not drawn:
        raise SystemExit(f"there is nothing to draw in {folder}")


def style():
    pyplot.rcParams.update({
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "s3-cli",  # the same picture is the same file
        "font.family": "sans-serif",
        "font.size": 9,
        "text.color": GREY,
        "axes.edgecolor": GREY,
        "axes.labelcolor": GREY,
        "axes.titlecolor": GREY,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.constrained_layout.use": True,
    })  # fmt: skip


def save(figure, path):
    figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return path


def draw_peers(rows, folder):
    done = [row for row in rows if row["cpu_s"] and row["setting"] == "same"]
    drawn = []
    for job, what in (("file", "a file"), ("pipe", "a pipe")):
        panels = [
            (f"{job}, {scheme.upper()}", select(done, "discard", scheme, job))
            for scheme in ("http", "https")
        ]
        drawn += bars(
            panels, "cpu_s_per_gib", "CPU seconds per GiB", f"CPU of {what}",
            folder / f"peers-{job}-cpu.svg",
        )  # fmt: skip
        drawn += bars(
            panels, "peak_mib", "peak resident memory, MiB", f"Memory of {what}",
            folder / f"peers-{job}-memory.svg",
        )  # fmt: skip
    panels = [
        (f"{place}, {scheme.upper()}", select(done, place, scheme, "file"))
        for place, scheme in (("far", "http"), ("far", "https"))
    ]
    drawn += bars(
        panels, "wall_s", "seconds", "A file, 25 ms away, 80 MB/s for each connection",
        folder / "peers-far-time.svg",
    )  # fmt: skip
    panels = [
        (f"small, {scheme.upper()}", select(done, "discard", scheme, "small"))
        for scheme in ("http", "https")
    ]
    drawn += bars(panels, "cpu_s", "CPU seconds", small_title(panels), folder / "peers-small-cpu.svg")
    return drawn


def select(rows, place, scheme, job):
    """The rows of one panel: of several sizes, those of the largest."""
    rows = [r for r in rows if (r["place"], r["scheme"], r["job"]) == (place, scheme, job)]
    largest = max((int(row["size_bytes"]) for row in rows), default=0)
    return [row for row in rows if int(row["size_bytes"]) == largest]


def small_title(panels):
    for _, rows in panels:
        for row in rows:
            return f"{int(row['objects']):,} files of 16 KiB"
    return ""


def bars(panels, field, label, title, path):
    """Horizontal bars from zero, shortest first, one panel beside the other."""
    panels = [(name, rows) for name, rows in panels if rows]
    if not panels:
        return []
    most = max(len(rows) for _, rows in panels)
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(4.6 * len(panels), 0.9 + 0.26 * most), squeeze=False
    )
    figure.suptitle(title)
    for axis, (name, rows) in zip(axes[0], panels):
        rows = sorted(rows, key=lambda row: -float(row[field]))
        values = [float(row[field]) for row in rows]
        names = [NAMES.get(row["program"], row["program"]) for row in rows]
        colours = [{"s3-cli": OURS, "floor": FLOOR}.get(row["program"], OTHERS) for row in rows]
        axis.barh(names, values, color=colours)
        for at, value in enumerate(values):
            axis.text(value, at, f" {value:.3g}", va="center", fontsize=8)
        axis.set_xlim(0, max(values) * 1.15)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel(label)
        axis.tick_params(axis="y", length=0)
    return [save(figure, path)]


# Of each picture: the series, the field, its label, which axes are logarithmic, and the file's name.
CURVES = [
    (["file size", "pipe size"], "cpu_s", "CPU s", "xy", "growth-size-cpu"),
    (["file size", "pipe size"], "peak_mib", "peak MiB", "x", "growth-size-memory"),
    (["part size"], "cpu_s_per_gib", "CPU s per GiB", "x", "growth-part-size"),
    (["concurrency"], "mib_per_s", "MiB/s", "x", "growth-concurrency"),
    (["latency"], "mib_per_s", "MiB/s", "", "growth-latency"),
    (["objects"], "objects_per_s", "objects/s", "x", "growth-objects"),
]


def draw_growth(rows, folder):
    drawn = []
    for series, field, label, logarithmic, name in CURVES:
        figure, axis = pyplot.subplots(figsize=(4.6, 2.8))
        unit = None
        for one, colour in zip(series, (OURS, OTHERS)):
            points = sorted(
                (float(row["x"]), float(row[field]))
                for row in rows
                if row["series"] == one and row[field]
            )
            units = [row["unit"] for row in rows if row["series"] == one]
            if points:
                unit = units[0]
                axis.plot(*zip(*points), marker="o", markersize=4, color=colour, label=one)
        if unit is None:
            pyplot.close(figure)
            continue
        scale = {axis: ", logarithmic" for axis in logarithmic}
        if "x" in logarithmic:
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
        if "y" in logarithmic:
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
        else:
            axis.set_ylim(bottom=0)
        axis.minorticks_off()
        axis.set_xlabel(f"{series[0].removeprefix('file ')} ({unit}{scale.get('x', '')})")
        axis.set_ylabel(label + scale.get("y", ""))
        if len(series) > 1:
            axis.legend(frameon=False, labelcolor=GREY)
        drawn.append(save(figure, folder / f"{name}.svg"))
    return drawn


main()
