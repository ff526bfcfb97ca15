"""Another commit of this repository, beside the one at hand."""

import contextlib
import os
import subprocess


def git(*arguments):
    """What git answers, `None` if it fails."""
    answer = subprocess.run(["git", *arguments], capture_output=True, text=True)
    return answer.stdout.strip() if answer.returncode == 0 else None


def base():
    """Where this branch began: its merge base with origin/main, or else the commit before."""
    head = git("rev-parse", "HEAD")
    branched = git("merge-base", "HEAD", "origin/main")
    # On main itself that is the commit at hand.
    return branched if branched and branched != head else git("rev-parse", "HEAD~1")


def commit(revision):
    found = git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if not found:
        raise SystemExit(f"there is no commit {revision}")
    return found


@contextlib.contextmanager
def checked_out(revision, folder):
    """A work tree of `revision` in `folder`, which is gone afterwards.

    The folder is the same each time, so that Cargo's own folder beside it knows what it has built.
    """
    remove(folder)
    subprocess.run(
        ["git", "worktree", "add", "--quiet", "--force", "--detach", str(folder), revision],
        check=True,
    )
    try:
        yield folder
    finally:
        remove(folder)


def remove(folder):
    if os.path.exists(folder):
        subprocess.run(["git", "worktree", "remove", "--force", str(folder)], check=True)
