//! What a program did to a directory, from the log of its calls to the kernel.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::strace::{Call, calls};

/// The calls that matter.
pub(crate) const TRACE: &str = "openat,pwritev,pwrite64,write,copy_file_range,ftruncate,\
    flock,fsync,fdatasync,rename,renameat2,linkat,unlink,mkdir,rmdir";

/// A file by its number, or a directory: what a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    File(usize),
    Directory,
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    Write {
        file: usize,
        at: u64,
        len: u64,
    },
    SetLen {
        file: usize,
        len: u64,
    },
    SyncFile(usize),
    SyncDirectory(String),
    Enter {
        path: String,
        node: Node,
    },
    Move {
        from: String,
        to: String,
        node: Node,
    },
    Remove(String),
    /// The program knows that the object at this path is stored.
    Told(String),
}

impl Deed {
    pub(crate) fn syncs(&self) -> bool {
        matches!(self, Self::SyncFile(_) | Self::SyncDirectory(_))
    }
}

/// A deed, and when it was done: between two lines of the log.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) deed: Deed,
    pub(crate) begin: usize,
    pub(crate) end: usize,
}

/// All that was done below a directory.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// The directory that is there before and stays.
    pub(crate) base: String,
    /// The files in it at first.
    pub(crate) before: BTreeMap<String, Node>,
    pub(crate) steps: Vec<Step>,
    /// How many files there are; the first are those that were there before.
    pub(crate) files: usize,
    pub(crate) lines: usize,
}

/// How a program marks that it knows of the object at `path`: it removes a directory that does
/// not exist.
pub(crate) fn mark(path: &str) -> String {
    format!("{path}.told")
}

struct Reader {
    calls: Vec<Call>,
    /// What each call that opened something has opened.
    opened: BTreeMap<usize, Opened>,
    names: BTreeMap<String, Node>,
    record: Record,
}

enum Opened {
    File(usize),
    Directory(String),
}

/// Reads `log`, of a program that works in `base`, where the files `before` were.
pub(crate) fn read(log: &str, base: &str, before: &[String]) -> Record {
    let files = before.iter().enumerate();
    let before: BTreeMap<String, Node> = files
        .map(|(n, path)| (path.clone(), Node::File(n)))
        .collect();
    let mut calls = calls(log);
    // Two at a time do not depend on each other, so the order in which they end will do.
    calls.sort_by_key(|call| call.end);
    let mut reader = Reader {
        calls,
        opened: BTreeMap::new(),
        names: before.clone(),
        record: Record {
            base: base.to_owned(),
            files: before.len(),
            before,
            steps: Vec::new(),
            lines: log.lines().count(),
        },
    };
    for number in 0..reader.calls.len() {
        reader.read(number);
    }
    reader.record
}

impl Record {
    /// What was synced: each file, and each directory.
    pub(crate) fn synced(&self) -> BTreeSet<Deed> {
        let deeds = self.steps.iter().map(|step| &step.deed);
        deeds.filter(|deed| deed.syncs()).cloned().collect()
    }

    /// True if `file` was given the name `path`.
    pub(crate) fn becomes(&self, file: usize, path: &str) -> bool {
        self.steps.iter().any(|step| match &step.deed {
            Deed::Enter { path: to, node } | Deed::Move { to, node, .. } => {
                to == path && *node == Node::File(file)
            }
            _ => false,
        })
    }
}

impl Reader {
    fn read(&mut self, number: usize) {
        let call = self.calls[number].clone();
        let strings = call.strings();
        let arguments = call.arguments();
        let Some(result) = call.result() else {
            let told = strings.first().and_then(|path| path.strip_suffix(".told"));
            if let ("rmdir", Some(path)) = (call.name(), told) {
                self.step(&call, Deed::Told(path.to_owned()));
            }
            return;
        };
        match call.name() {
            "openat" => self.open(number, &call, strings[0]),
            "pwritev" | "pwrite64" => {
                let at = arguments[arguments.len() - 1].parse().unwrap();
                self.write(&call, arguments[0], at, result);
            }
            "copy_file_range" => {
                let at = arguments[3].split(['[', ']']).nth(1).unwrap();
                self.write(&call, arguments[2], at.parse().unwrap(), result);
            }
            "ftruncate" => {
                if let Some(Opened::File(file)) = self.descriptor(&call, arguments[0]) {
                    let (file, len) = (*file, arguments[1].parse().unwrap());
                    self.step(&call, Deed::SetLen { file, len });
                }
            }
            "fsync" | "fdatasync" => {
                let deed = match self.descriptor(&call, arguments[0]) {
                    Some(Opened::File(file)) => Deed::SyncFile(*file),
                    Some(Opened::Directory(path)) => Deed::SyncDirectory(path.clone()),
                    None => return,
                };
                self.step(&call, deed);
            }
            "rename" | "renameat2" => {
                let [from, to] = [strings[0], strings[1]].map(str::to_owned);
                let node = self.names.remove(&from).unwrap();
                self.names.insert(to.clone(), node);
                self.step(&call, Deed::Move { from, to, node });
            }
            "linkat" => {
                let node = match strings[0].strip_prefix("/proc/self/fd/") {
                    Some(number) => match self.descriptor(&call, number) {
                        Some(Opened::File(file)) => Node::File(*file),
                        _ => panic!("{call:?}"),
                    },
                    None => self.names[strings[0]],
                };
                self.enter(&call, strings[1], node);
            }
            "mkdir" => self.enter(&call, strings[0], Node::Directory),
            "unlink" | "rmdir" => {
                self.names.remove(strings[0]);
                self.step(&call, Deed::Remove(strings[0].to_owned()));
            }
            // Here for its delay.
            "flock" => {}
            // To standard output, or by someone else than the store.
            "write" => assert!(self.descriptor(&call, arguments[0]).is_none(), "{call:?}"),
            other => panic!("{other} is not known: {call:?}"),
        }
    }

    fn open(&mut self, number: usize, call: &Call, path: &str) {
        if !path.starts_with(&self.record.base) {
            return;
        }
        let opened = if call.text.contains("O_TMPFILE") {
            Opened::File(self.new_file())
        } else if call.text.contains("O_CREAT") {
            assert!(call.text.contains("O_EXCL"), "{call:?}");
            let file = self.new_file();
            self.enter(call, path, Node::File(file));
            Opened::File(file)
        } else {
            match self.names.get(path) {
                Some(Node::File(file)) => Opened::File(*file),
                _ => Opened::Directory(path.to_owned()),
            }
        };
        self.opened.insert(number, opened);
    }

    fn new_file(&mut self) -> usize {
        self.record.files += 1;
        self.record.files - 1
    }

    /// What a descriptor stands for when `call` begins: what was opened last under that number.
    fn descriptor(&self, call: &Call, argument: &str) -> Option<&Opened> {
        let number = argument.split('<').next().unwrap_or_default();
        let number: u64 = number.parse().ok()?;
        let opens = self.calls.iter().enumerate();
        let mut before = opens.filter(|(_, open)| open.name() == "openat" && open.end < call.begin);
        let last = before.rfind(|(_, open)| open.result() == Some(number));
        self.opened.get(&last?.0)
    }

    fn write(&mut self, call: &Call, descriptor: &str, at: u64, len: u64) {
        match self.descriptor(call, descriptor) {
            Some(Opened::File(file)) => {
                let file = *file;
                self.step(call, Deed::Write { file, at, len });
            }
            Some(Opened::Directory(_)) => panic!("{call:?}"),
            None => {}
        }
    }

    fn enter(&mut self, call: &Call, path: &str, node: Node) {
        let path = path.to_owned();
        self.names.insert(path.clone(), node);
        self.step(call, Deed::Enter { path, node });
    }

    fn step(&mut self, call: &Call, deed: Deed) {
        let (begin, end) = (call.begin, call.end);
        self.record.steps.push(Step { deed, begin, end });
    }
}
