//! All that is to be written, known and found to be possible before anything is sent.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use writer_core::{Error, ErrorKind, Result};

use crate::args::FolderArgs;
use crate::folder::{Folder, Rules};
use crate::jobs::{self, Job, Reading, Request};
use crate::names::is_s3;
use crate::producer::Producer;
use crate::source::Source;
use crate::tally::{Tally, grouped};

/// The most files whose sizes are looked up beforehand: some 2 µs for each.
const MOST_LOOKED_AT: usize = 100_000;

/// The objects to write, from files that were named and from files that were found in folders.
#[derive(Debug)]
pub(crate) struct Plan {
    destination: String,
    jobs: Vec<Job>,
    folders: Vec<Folder>,
    /// The destination came before the one source.
    swapped: bool,
    /// What can't be written, and was told, where the rest is written all the same.
    refused: Tally,
}

impl Plan {
    /// The plan that `arguments` and `folders` ask for, with `producer` as the only source if there
    /// is one. It reads folders, so it takes its time;
    /// what is wrong with names is printed as it is found.
    ///
    /// # Errors
    ///
    /// If the arguments contradict each other. Unless it is to `keep_going` without them: if a
    /// source is not there, or a name can't be that of an object.
    pub(crate) fn make(
        arguments: &[OsString],
        producer: Option<Arc<Producer>>,
        folders: &FolderArgs,
        null: bool,
        keep_going: bool,
        mut tally: Tally,
    ) -> anyhow::Result<Self> {
        let how = Reading {
            recursive: folders.recursive,
            null,
        };
        let mut request = match producer {
            Some(producer) => jobs::of_command(arguments, producer)?,
            None => jobs::parse(arguments, how)?,
        };
        check(&mut request, &mut tally)?;
        let swapped = request.swapped;
        let rules = Rules::new(folders, &request.destination)?;
        let mut folders = Vec::new();
        for root in request.folders {
            match Folder::walk(root, &rules, &mut tally) {
                Ok(folder) => folders.push(folder),
                Err(error) if keep_going => tally.add(&error.into()),
                Err(error) => return Err(error.into()),
            }
        }
        let mut plan = Self {
            folders,
            jobs: request.jobs,
            destination: request.destination,
            swapped,
            refused: Tally::default(),
        };
        plan.refuse_collisions(&mut tally);
        if keep_going {
            plan.refused = tally;
            return Ok(plan);
        }
        let text = format!(
            "nothing was sent, because of {} that can't be objects or be looked at",
            match tally.count() {
                1 => "one file or folder".to_owned(),
                count => format!("{} files or folders", grouped(count)),
            }
        );
        tally.into_result(text)?;
        Ok(plan)
    }

    /// What can't be written, and was told: its errors count with those that follow.
    pub(crate) fn take_refused(&mut self) -> Tally {
        std::mem::take(&mut self.refused)
    }

    /// What the URIs of all objects begin with.
    pub(crate) fn destination(&self) -> &str {
        &self.destination
    }

    /// The one object, if its destination came first, as that of a download does elsewhere.
    pub(crate) fn swapped(&self) -> Option<&Job> {
        self.jobs.first().filter(|_| self.swapped)
    }

    /// How many objects there are.
    pub(crate) fn len(&self) -> usize {
        let found = self.folders.iter().map(|folder| folder.files.len());
        self.jobs.len() + found.sum::<usize>()
    }

    /// How many bytes there are in all, if they can be known at little cost.
    pub(crate) fn bytes(&self) -> Option<u64> {
        if self.len() > MOST_LOOKED_AT {
            return None;
        }
        let size = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            metadata.is_file().then_some(metadata.len())
        };
        let named = self.jobs.iter();
        let named = named.map(|job| job.source.path().and_then(size));
        let found = self.folders.iter().flat_map(|folder| {
            let root = folder.bounds.root();
            folder
                .files
                .iter()
                .map(move |file| size(&root.join(&**file)))
        });
        named.chain(found).sum()
    }

    /// What the URIs of all objects end in.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let files = self.folders.iter().flat_map(|folder| &folder.files);
        let named = self.jobs.iter().map(|job| &*job.uri);
        named.chain(files.map(|file| &**file))
    }

    /// The objects, in no order that matters.
    pub(crate) fn into_jobs(self) -> impl Iterator<Item = Job> + Send {
        let destination = self.destination;
        let found = self.folders.into_iter().flat_map(move |folder| {
            let (bounds, destination) = (folder.bounds, destination.clone());
            folder.files.into_iter().map(move |file| Job {
                source: Source::Found(bounds.root().join(&*file), Arc::clone(&bounds)),
                uri: format!("{destination}{file}"),
            })
        });
        self.jobs.into_iter().chain(found)
    }

    /// Complains of objects that have two sources and, where names are paths, of those that would
    /// have to be folders as well; none of them stays.
    fn refuse_collisions(&mut self, tally: &mut Tally) {
        // Files of one folder have names of their own.
        if self.jobs.len() + self.folders.len() < 2 {
            return;
        }
        let refused = self.collisions(tally);
        if refused.is_empty() {
            return;
        }
        let start = self.destination.len();
        let stays = |name: &str| !refused.contains(name);
        self.jobs.retain(|job| stays(&job.uri[start..]));
        for folder in &mut self.folders {
            folder.files.retain(|file| stays(file));
        }
    }

    /// The names that can't all be objects, each of which is told.
    fn collisions(&self, tally: &mut Tally) -> HashSet<String> {
        let mut refused = HashSet::new();
        let mut sources: HashMap<&str, Origin<'_>> = HashMap::new();
        for (name, origin) in self.origins() {
            match sources.entry(name) {
                Entry::Vacant(entry) => {
                    entry.insert(origin);
                }
                Entry::Occupied(other) => {
                    let (one, other) = (other.get().path(name), origin.path(name));
                    let text = format!("two sources would become this one object: {one}, {other}");
                    tally.add(&self.error(name, text).into());
                    refused.insert(name.to_owned());
                }
            }
        }
        if is_s3(&self.destination) {
            return refused;
        }
        for (name, origin) in self.origins() {
            let ends = name.match_indices('/').map(|(end, _)| end);
            let mut above = ends.map(|end| &name[..end]);
            if let Some(file) = above.find(|above| sources.contains_key(above)) {
                let path = origin.path(name);
                let text = format!("would be a file, and a folder because of {path}");
                tally.add(&self.error(file, text).into());
                refused.extend([file.to_owned(), name.to_owned()]);
            }
        }
        refused
    }

    /// The names of all objects, as far as they differ, and where they come from.
    fn origins(&self) -> impl Iterator<Item = (&str, Origin<'_>)> {
        let start = self.destination.len();
        let named = self.jobs.iter();
        let named = named.map(move |job| (&job.uri[start..], Origin::Named(&job.source)));
        let found = self.folders.iter().flat_map(|folder| {
            let files = folder.files.iter();
            files.map(|file| (&**file, Origin::Folder(folder.bounds.root())))
        });
        named.chain(found)
    }

    fn error(&self, name: &str, text: String) -> Error {
        let uri = format!("{}{name}", self.destination);
        Error::new(ErrorKind::InvalidInput, text).with_uri(uri)
    }
}

/// Looks at what the arguments name.
///
/// # Errors
///
/// What is wrong with the only source; with several, all is told to `tally`, and does not stay.
fn check(request: &mut Request, tally: &mut Tally) -> Result<()> {
    let sound = |job: &Job| {
        job.source.check()?;
        jobs::refuse_folder(&job.uri)
    };
    let is_alone = request.refused.is_empty() && request.folders.is_empty();
    if let ([job], true) = (&request.jobs[..], is_alone) {
        return sound(job);
    }
    for error in request.refused.drain(..) {
        tally.add(&error.into());
    }
    request.jobs.retain(|job| {
        let sound = sound(job);
        if let Err(error) = &sound {
            tally.add(&error.clone().into());
        }
        sound.is_ok()
    });
    Ok(())
}

/// Where an object comes from.
#[derive(Clone, Copy)]
enum Origin<'a> {
    Named(&'a Source),
    Folder(&'a Path),
}

impl Origin<'_> {
    fn path(self, name: &str) -> String {
        match self {
            Self::Named(source) => source.to_string(),
            Self::Folder(root) => root.join(name).display().to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Symlinks;
    use crate::bounds::Bounds;

    const ROOTS: [&str; 2] = ["/", "/tmp"];

    fn plan(destination: &str, jobs: &[&str], folders: &[&[&str]]) -> Plan {
        let job = |name: &&str| Job {
            source: Source::Path(name.into()),
            uri: format!("{destination}{name}"),
        };
        let folder = |(index, files): (usize, &&[&str])| Folder {
            // Any two folders that are there.
            bounds: Arc::new(Bounds::new(ROOTS[index].into(), Symlinks::Follow).unwrap()),
            files: files.iter().map(|file| Box::from(*file)).collect(),
        };
        Plan {
            destination: destination.into(),
            jobs: jobs.iter().map(job).collect(),
            folders: folders.iter().enumerate().map(folder).collect(),
            swapped: false,
            refused: Tally::default(),
        }
    }

    fn collisions(plan: &Plan) -> u64 {
        let mut tally = Tally::new(true);
        plan.collisions(&mut tally);
        tally.count()
    }

    #[test]
    fn every_file_is_a_job() {
        let plan = plan("s3://b/p/", &["x"], &[&["a", "d/b"], &["c"]]);
        assert_eq!(plan.len(), 4);
        let jobs: Vec<(String, String)> = plan
            .into_jobs()
            .map(|job| (job.source.to_string(), job.uri))
            .collect();
        let jobs: Vec<(&str, &str)> = jobs.iter().map(|(a, b)| (&**a, &**b)).collect();
        assert_eq!(
            jobs,
            [
                ("x", "s3://b/p/x"),
                ("/a", "s3://b/p/a"),
                ("/d/b", "s3://b/p/d/b"),
                ("/tmp/c", "s3://b/p/c"),
            ]
        );
    }

    #[test]
    fn two_sources_of_one_object_collide() {
        let s3 = "s3://b/p/";
        assert_eq!(collisions(&plan(s3, &["a", "b"], &[&["c"], &["d/a"]])), 0);
        assert_eq!(collisions(&plan(s3, &["a", "a"], &[])), 1);
        assert_eq!(collisions(&plan(s3, &["a"], &[&["a", "b"], &["b"]])), 2);
    }

    #[test]
    fn none_of_those_that_collide_stays() {
        let names = |mut plan: Plan| {
            plan.refuse_collisions(&mut Tally::new(true));
            let jobs = plan.into_jobs().map(|job| job.uri);
            jobs.collect::<Vec<_>>()
        };
        let twice = plan("s3://b/p/", &["a", "x"], &[&["a", "b"], &["b", "c"]]);
        assert_eq!(names(twice), ["s3://b/p/x", "s3://b/p/c"]);
        let above = plan("d/", &["x"], &[&["a/b"], &["a/b/c/d", "a/bc"]]);
        assert_eq!(names(above), ["d/x", "d/a/bc"]);
    }

    #[test]
    fn a_path_is_not_both_a_file_and_a_folder() {
        for (destination, expected) in [("s3://b/p/", 0), ("file:///d/", 1), ("d/", 1)] {
            let plan = plan(destination, &[], &[&["a/b"], &["a/b/c/d", "a/bc"]]);
            assert_eq!(collisions(&plan), expected, "{destination}");
        }
    }
}
