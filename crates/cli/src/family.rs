//! What a command has started: the processes that Ctrl-C in a terminal would reach with it.

use std::collections::HashSet;
use std::fs;

use rustix::process::{Pid, Signal, getpgrp, kill_process};

/// The processes below a command that are in this program's group. Those that took a group or a
/// session of their own, as daemons do, are not meant. On a system without Linux's `/proc`, none.
#[derive(Debug, Default)]
pub(crate) struct Family(HashSet<Process>);

/// A process. Ids are given anew when all others were; with the time of its start it is one process
/// only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Process {
    id: i32,
    /// In clock ticks since the system was started.
    started: u64,
}

/// What proc_pid_stat(5) says of a process.
struct Stat {
    process: Process,
    parent: i32,
    group: i32,
    has_ended: bool,
}

impl Family {
    /// Adds those that are below the process `root` by now. Who is known already stays, even if its
    /// parent has ended.
    pub(crate) fn look(&mut self, root: Pid) {
        let group = getpgrp().as_raw_nonzero().get();
        let mut others = all();
        others.retain(|stat| stat.group == group && !stat.has_ended);
        let mut parents = vec![root.as_raw_nonzero().get()];
        parents.extend(self.0.iter().filter(|one| !one.is_gone()).map(|one| one.id));
        while let Some(parent) = parents.pop() {
            for stat in others.iter().filter(|stat| stat.parent == parent) {
                if self.0.insert(stat.process) {
                    parents.push(stat.process.id);
                }
            }
        }
    }

    /// Sends `signal` to those that are still there.
    pub(crate) fn send(&self, signal: Signal) {
        for one in self.0.iter().filter(|one| !one.is_gone()) {
            if let Some(id) = Pid::from_raw(one.id) {
                let _already_ended = kill_process(id, signal);
            }
        }
    }

    /// True if all have ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.iter().all(Process::is_gone)
    }
}

impl Process {
    fn is_gone(&self) -> bool {
        stat(self.id).is_none_or(|stat| stat.has_ended || stat.process != *self)
    }
}

fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter_map(stat).collect()
}

fn stat(id: i32) -> Option<Stat> {
    parse(id, &fs::read(format!("/proc/{id}/stat")).ok()?)
}

fn parse(id: i32, text: &[u8]) -> Option<Stat> {
    // The second field is a name in parentheses, of any bytes.
    let name_end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&text[name_end + 1..]).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        process: Process {
            id,
            started: fields.get(19)?.parse().ok()?,
        },
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        // A zombie, until somebody asks how it ended; or dead.
        has_ended: matches!(*fields.first()?, "Z" | "X"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_anything() {
        let rest = "S 7 8 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
        for name in ["sh", "a) S 1 2", "\u{fc} ("] {
            let stat = parse(42, format!("42 ({name}) {rest}\n").as_bytes()).unwrap();
            assert_eq!((stat.parent, stat.group, stat.has_ended), (7, 8, false));
            assert_eq!((stat.process.id, stat.process.started), (42, 12_345));
        }
        for wrong in ["", "42 (sh", "42 (sh) S 7", "42 (sh) S x 8 9"] {
            assert!(parse(42, wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_process_is_known_by_its_start_too() {
        let id = std::process::id().cast_signed();
        let own = stat(id).unwrap().process;
        assert!(!own.is_gone());
        let earlier = Process {
            started: own.started.wrapping_sub(1),
            ..own
        };
        assert!(earlier.is_gone());
    }
}
