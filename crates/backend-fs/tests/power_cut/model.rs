//! A disk that loses its power: what can be on it afterwards.
//!
//! What was done is certain to be there once a sync that began after it has come to its end: a
//! sync of the file for its bytes, one of the directory for its names. Of all the rest any part
//! may be there and any may not, in whatever order it was done; only a rename is one thing.

use std::collections::BTreeMap;

use crate::record::{Deed, Node, Record, Step};

/// Most things that are tried out in every combination.
const ALL_COMBINATIONS_OF: usize = 8;

/// How many combinations of more things are tried, besides the plain ones.
const SAMPLES: usize = 64;

/// What is on a disk: names, and of each file which writes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Image {
    pub(crate) names: BTreeMap<String, Node>,
    /// The steps by number, of each file.
    pub(crate) written: BTreeMap<usize, Vec<usize>>,
}

impl Record {
    /// When the power may fail: after each line of the log.
    pub(crate) fn moments(&self) -> impl Iterator<Item = usize> {
        0..=self.lines
    }

    /// The same without this deed, however often it was done.
    pub(crate) fn without(&self, deed: &Deed) -> Self {
        let mut record = self.clone();
        record.steps.retain(|step| step.deed != *deed);
        record
    }

    /// True if the program knew of the object at `path`.
    pub(crate) fn knows(&self, path: &str, moment: usize) -> bool {
        let told = |step: &Step| matches!(&step.deed, Deed::Told(told) if told == path);
        self.steps
            .iter()
            .any(|step| told(step) && step.begin < moment)
    }

    /// What may be on the disk if the power fails at `moment`.
    pub(crate) fn images(&self, moment: usize, random: &mut fastrand::Rng) -> Vec<Image> {
        let mut certain = Vec::new();
        let mut pending = Vec::new();
        for (number, step) in self.steps.iter().enumerate() {
            let changes = !step.deed.syncs() && !matches!(step.deed, Deed::Told(_));
            if changes && step.begin < moment {
                if self.is_synced(step, moment) {
                    certain.push(number);
                } else {
                    pending.push(number);
                }
            }
        }
        let chosen = combinations(pending.len(), random);
        let images = chosen.into_iter().map(|chosen| {
            let more = pending.iter().zip(chosen).filter(|(_, chosen)| *chosen);
            let mut steps: Vec<usize> = more.map(|(number, _)| *number).collect();
            steps.extend(&certain);
            steps.sort_unstable();
            self.image(&steps)
        });
        images.collect()
    }

    fn is_synced(&self, step: &Step, moment: usize) -> bool {
        let path = match &step.deed {
            Deed::Enter { path, .. } | Deed::Remove(path) | Deed::Move { to: path, .. } => path,
            _ => "",
        };
        self.steps
            .iter()
            .filter(|sync| step.end < sync.begin && sync.end < moment)
            .any(|sync| match (&sync.deed, &step.deed) {
                (Deed::SyncFile(synced), Deed::Write { file, .. } | Deed::SetLen { file, .. }) => {
                    synced == file
                }
                (Deed::SyncDirectory(directory), _) => parent(path) == Some(directory),
                _ => false,
            })
    }

    fn image(&self, steps: &[usize]) -> Image {
        let mut image = Image {
            names: self.before.clone(),
            written: BTreeMap::new(),
        };
        for number in steps {
            match &self.steps[*number].deed {
                Deed::Enter { path, node } => {
                    image.names.insert(path.clone(), *node);
                }
                Deed::Move { from, to, node } => {
                    image.names.remove(from);
                    image.names.insert(to.clone(), *node);
                }
                Deed::Remove(path) => {
                    image.names.remove(path);
                }
                Deed::Write { file, .. } | Deed::SetLen { file, .. } => {
                    image.written.entry(*file).or_default().push(*number);
                }
                Deed::SyncFile(_) | Deed::SyncDirectory(_) | Deed::Told(_) => {}
            }
        }
        image.leave_out_of_reach(&self.base);
        image
    }

    /// The bytes of `file` on `image`, if all of it were `whole`.
    pub(crate) fn bytes(&self, image: &Image, file: usize, whole: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in image.written.get(&file).into_iter().flatten() {
            match self.steps[*number].deed {
                Deed::Write { at, len, .. } => {
                    let (at, end) = (at as usize, (at + len) as usize);
                    bytes.resize(bytes.len().max(end), 0);
                    bytes[at..end].copy_from_slice(&whole[at..end]);
                }
                Deed::SetLen { len, .. } => bytes.resize(len as usize, 0),
                _ => {}
            }
        }
        bytes
    }
}

impl Image {
    /// Names in a directory that is not there can't be seen, nor can files without a name.
    fn leave_out_of_reach(&mut self, base: &str) {
        let names = self.names.clone();
        self.names.retain(|path, _| {
            let above = std::iter::successors(parent(path), |path| parent(path));
            let mut above = above.take_while(|path| *path != base);
            above.all(|path| names.get(path) == Some(&Node::Directory))
        });
        let named: Vec<Node> = self.names.values().copied().collect();
        self.written
            .retain(|file, _| named.contains(&Node::File(*file)));
    }
}

pub(crate) fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent)
}

/// Which of `things` are chosen: in every way, or where there are too many ways, none, all, each
/// alone, all but each, and some at random.
fn combinations(things: usize, random: &mut fastrand::Rng) -> Vec<Vec<bool>> {
    if things <= ALL_COMBINATIONS_OF {
        let ways = 0..1_usize << things;
        return ways
            .map(|way| (0..things).map(|n| way >> n & 1 == 1).collect())
            .collect();
    }
    let mut ways = vec![vec![false; things], vec![true; things]];
    for one in 0..things {
        ways.push((0..things).map(|n| n == one).collect());
        ways.push((0..things).map(|n| n != one).collect());
    }
    for _ in 0..SAMPLES {
        ways.push((0..things).map(|_| random.bool()).collect());
    }
    ways
}
