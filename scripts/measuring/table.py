"""Markdown tables."""

import dataclasses


@dataclasses.dataclass
class Table:
    """A title (`None` for tables that are one with the next of the same kind), and the rows."""

    title: str
    header: list
    rows: list


def print_tables(tables):
    """Prints tables, and those of the same title as one."""
    merged = {}
    for table in tables:
        merged.setdefault(table.title, Table(table.title, table.header, [])).rows += table.rows
    for table in merged.values():
        print(f"\n{table.title}\n")
        print_row(table.header)
        print_row(["---"] * len(table.header))
        for row in table.rows:
            print_row(row)


def print_row(cells):
    print("|", " | ".join(cells), "|")


def costs(job, figures, floor, ours):
    """A table of what each program took, beside the one called `floor` and the one called `ours`.

    The last two columns are ratios of CPU time: the program's to the floor's, and ours to the
    program's.
    """
    header = ["job", "program", "wall s", "CPU s", "peak MiB", "CPU / floor", "s3-cli / CPU"]
    rows = []
    for name, took in figures.items():
        to_floor = took.cpu / figures[floor].cpu
        of_ours = figures[ours].cpu / took.cpu
        row = [f"{took.wall:.2f}", f"{took.cpu:.3f}", f"{took.peak:.1f}"]
        rows.append([job, name, *row, f"{to_floor:.2f}", f"{of_ours:.2f}"])
    return Table("1 GiB stored:", header, rows)
