//! From the arguments of `put` to sources and the objects that they become.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use writer_core::{Error, ErrorKind, Result, WriterOptions, file_path, split_scheme};
use writer_tokio::guess_content_type;

use crate::list::{List, name_of};
use crate::names::{MAX_KEY_LEN, is_s3, room};
use crate::producer::Producer;
use crate::source::Source;

/// One object to write.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) source: Source,
    pub(crate) uri: String,
}

impl Job {
    /// Sets the media type in `options`, if they ask for that: by the object's name, or else by that
    /// of its source.
    ///
    /// # Errors
    ///
    /// If this build can't.
    pub(crate) fn guess_type(&self, options: &mut WriterOptions) -> Result<()> {
        if !guess_content_type(&self.uri, options)?
            && let Some(name) = self.source.file_name().and_then(OsStr::to_str)
        {
            guess_content_type(name, options)?;
        }
        Ok(())
    }
}

/// What the arguments of `put` say.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) destination: String,
    pub(crate) jobs: Vec<Job>,
    /// Folders whose files are to be written below the destination.
    pub(crate) folders: Vec<PathBuf>,
    /// What is wrong with the names of some of several sources, which no object can have.
    pub(crate) refused: Vec<Error>,
    /// The destination came before the source.
    pub(crate) swapped: bool,
}

/// How arguments are read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    /// Sources may be folders.
    pub(crate) recursive: bool,
    /// The names in lists end in NUL bytes.
    pub(crate) null: bool,
}

/// Reads `arguments`, and the lists that they name.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] if the arguments contradict each other; that a list can't be read.
pub(crate) fn parse(arguments: &[OsString], how: Reading) -> Result<Request> {
    let (sources, destination) = split(arguments)?;
    let swapped = arguments.first() == Some(destination);
    let destination = destination_of(destination)?;
    let is_prefix = destination.ends_with('/');
    let is_many = |source: &&OsString| List::of(source).is_some() || how.recursive;
    if swapped && sources.iter().copied().any(|source| is_many(&source)) {
        let text = "comes first, but is the destination: of many files it comes last";
        return Err(invalid(destination, text));
    }
    if sources.len() > 1 && !is_prefix {
        let text = "several sources need a destination that ends in /";
        return Err(invalid(destination, text));
    }
    refuse_stdin_twice(&sources)?;
    let is_alone = sources.len() == 1;
    let mut request = Request {
        destination: destination.to_owned(),
        jobs: Vec::new(),
        folders: Vec::new(),
        refused: Vec::new(),
        swapped,
    };
    for argument in sources {
        match List::of(argument) {
            Some(_) if !is_prefix => {
                let text = "the files of a list need a destination that ends in /";
                return Err(invalid(destination, text));
            }
            Some(list) => request.add_list(&list, how)?,
            None => request.add(argument, how.recursive, is_alone)?,
        }
    }
    Ok(request)
}

impl Request {
    fn add(&mut self, argument: &OsStr, recursive: bool, is_alone: bool) -> Result<()> {
        let source = Source::parse(argument)?;
        match source.folder().filter(|_| recursive) {
            Some(_) if !self.destination.ends_with('/') => {
                let text = "the files of a folder need a destination that ends in /";
                return Err(invalid(&self.destination, text));
            }
            Some(folder) => self.folders.push(folder.to_owned()),
            None => match job(source, &self.destination) {
                Ok(job) => self.jobs.push(job),
                Err(error) if is_alone => return Err(error),
                Err(error) => self.refused.push(error),
            },
        }
        Ok(())
    }

    fn add_list(&mut self, list: &List, how: Reading) -> Result<()> {
        for path in list.read(how.null)? {
            if how.recursive && path.is_dir() {
                self.folders.push(path);
                continue;
            }
            let named = name_of(&path).and_then(|name| {
                let uri = format!("{}{name}", self.destination);
                refuse_long(&uri)?;
                Ok(uri)
            });
            let source = Source::Path(path);
            match named {
                Ok(uri) => self.jobs.push(Job { source, uri }),
                Err(error) => self.refused.push(error),
            }
        }
        Ok(())
    }
}

/// What one source reads, the other would miss.
fn refuse_stdin_twice(sources: &[&OsString]) -> Result<()> {
    let is_stdin = |source: &&&OsString| {
        **source == "-" || List::of(source).is_some_and(|list| list.is_stdin())
    };
    match sources.iter().filter(is_stdin).count() {
        0 | 1 => Ok(()),
        _ => {
            let text = "standard input is named twice, and can be read once";
            Err(Error::new(ErrorKind::InvalidInput, text))
        }
    }
}

/// Refuses what S3 takes for no key.
fn refuse_long(uri: &str) -> Result<()> {
    match room(uri) {
        Some(_) => Ok(()),
        None => {
            let text = format!("is too long: its key has more than {MAX_KEY_LEN} bytes of UTF-8");
            Err(invalid(uri, &text))
        }
    }
}

/// Reads `arguments` of which the source is `producer`.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] unless they are one destination, which names the object.
pub(crate) fn of_command(arguments: &[OsString], producer: Arc<Producer>) -> Result<Request> {
    let [destination] = arguments else {
        let text = "a command after `--` is the only source: before it comes the destination alone";
        return Err(Error::new(ErrorKind::InvalidInput, text));
    };
    let destination = destination_of(destination)?;
    Ok(Request {
        destination: destination.to_owned(),
        jobs: vec![job(Source::Command(producer), destination)?],
        folders: Vec::new(),
        refused: Vec::new(),
        swapped: false,
    })
}

/// Refuses an existing folder as the destination, unless it is named as one.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] if it is one.
pub(crate) fn refuse_folder(uri: &str) -> Result<()> {
    let Some(path) = file_path(uri) else {
        return Ok(());
    };
    if fs::metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        let text = "is a folder; with a / at its end, the file is written into it";
        return Err(invalid(uri, text));
    }
    Ok(())
}

/// The destination comes last; of two arguments it is the one with a scheme, if only one has one.
/// A `file://` URI and a path may be either, so there the one that exists is the source.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] if both exist: a guess could overwrite the wrong one.
fn split(arguments: &[OsString]) -> Result<(Vec<&OsString>, &OsString)> {
    let has_scheme = |argument: &OsString| argument.to_str().and_then(split_scheme).is_some();
    match arguments {
        [first, second] if has_scheme(first) && !has_scheme(second) => {
            match (Source::parse(first), Source::parse(second)) {
                (_, Ok(Source::Stdin)) => Ok((vec![second], first)),
                (Ok(one), Ok(other)) if one.exists() && other.exists() => Err(invalid(
                    first,
                    "exists, and so does the other argument: write both as file:// URIs, the \
                     source first",
                )),
                (Ok(one), _) if one.exists() => Ok((vec![first], second)),
                _ => Ok((vec![second], first)),
            }
        }
        [sources @ .., destination] if !sources.is_empty() => {
            Ok((sources.iter().collect(), destination))
        }
        _ => Err(Error::new(
            ErrorKind::InvalidInput,
            "a source and a destination are needed",
        )),
    }
}

fn destination_of(argument: &OsStr) -> Result<&str> {
    match text_of(argument)? {
        "" => Err(Error::new(
            ErrorKind::InvalidInput,
            "the destination has an empty name: expected s3://BUCKET/KEY or a path",
        )),
        "-" => Err(invalid(argument, "is standard input and no destination")),
        destination if has_no_bucket(destination) => Err(invalid(
            argument,
            "names no bucket: expected s3://BUCKET/KEY",
        )),
        destination => Ok(destination),
    }
}

fn has_no_bucket(uri: &str) -> bool {
    let path = split_scheme(uri).map(|(_scheme, path)| path);
    is_s3(uri) && path.is_some_and(|path| path.is_empty() || path.starts_with('/'))
}

fn job(source: Source, destination: &str) -> Result<Job> {
    let mut uri = destination.to_owned();
    if destination.ends_with('/') {
        let Some(name) = source.file_name() else {
            let text = "has no file name to append to the destination, which must name the object";
            return Err(invalid(source.to_string(), text));
        };
        uri.push_str(text_of(name)?);
    }
    refuse_long(&uri)?;
    Ok(Job { source, uri })
}

fn text_of(name: &OsStr) -> Result<&str> {
    let text = "is not valid UTF-8, which names of objects are";
    name.to_str().ok_or_else(|| invalid(name, text))
}

fn invalid(what: impl AsRef<OsStr>, text: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, text).with_uri(what.as_ref().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt as _;

    fn plan(arguments: &[&str]) -> Result<Vec<(String, String)>> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let request = parse(&arguments, Reading::default())?;
        Ok(request
            .jobs
            .into_iter()
            .map(|job| (job.source.to_string(), job.uri))
            .collect())
    }

    #[track_caller]
    fn assert_plan(arguments: &[&str], expected: &[(&str, &str)]) {
        let jobs = plan(arguments).unwrap();
        let jobs: Vec<(&str, &str)> = jobs.iter().map(|(a, b)| (&**a, &**b)).collect();
        assert_eq!(jobs, expected, "{arguments:?}");
    }

    #[test]
    fn the_destination_is_last_or_the_one_with_a_scheme() {
        assert_plan(&["a", "s3://b/k"], &[("a", "s3://b/k")]);
        assert_plan(&["s3://b/k", "a"], &[("a", "s3://b/k")]);
        assert_plan(&["-", "s3://b/k"], &[("standard input", "s3://b/k")]);
        assert_plan(&["s3://b/k", "-"], &[("standard input", "s3://b/k")]);
        assert_plan(&["file:///a", "s3://b/k"], &[("/a", "s3://b/k")]);
        assert_plan(&["file:///a", "file:///b"], &[("/a", "file:///b")]);
        assert_plan(&["a", "b"], &[("a", "b")]);
    }

    #[test]
    fn a_prefix_gets_file_names() {
        assert_plan(
            &["x/a b%#ü", "s3://b/p/"],
            &[("x/a b%#ü", "s3://b/p/a b%#ü")],
        );
        assert_plan(&["s3://b/", "a"], &[("a", "s3://b/a")]);
        assert_plan(&["x/a", "y/b", "d/"], &[("x/a", "d/a"), ("y/b", "d/b")]);
    }

    #[test]
    fn contradictions_are_refused() {
        for (arguments, expected) in [
            (&["a", "b", "s3://b/k"][..], "ends in /"),
            (&["-", "s3://b/p/"], "no file name"),
            (&["x/..", "s3://b/p/"], "no file name"),
            (&["a", "-"], "no destination"),
            (&["", "s3://b/k"], "empty name: expected a file"),
            (&["a", ""], "empty name: expected s3://"),
            (&["a", "s3://"], "s3://: names no bucket"),
            (&["a", "s3:///k"], "names no bucket"),
            (&["s3://b/a", "s3://b/b"], "is no source"),
        ] {
            let error = plan(arguments).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_source_may_have_any_name_but_an_object_may_not() {
        let odd = OsString::from_vec(vec![b'a', 0xff]);
        let parse = |arguments: &[OsString]| parse(arguments, Reading::default());
        let named = parse(&[odd.clone(), "s3://b/k".into()]).unwrap();
        assert_eq!(named.jobs[0].uri, "s3://b/k");
        assert!(parse(&[odd.clone(), "s3://b/".into()]).is_err());
        assert!(parse(&["a".into(), odd]).is_err());
    }

    #[test]
    fn a_command_has_one_destination_that_names_the_object() {
        let of = |arguments: &[&str]| {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            let producer = Producer::new(vec!["/bin/tar".into(), "c".into()]).unwrap();
            of_command(&arguments, producer)
        };
        let request = of(&["s3://b/k"]).unwrap();
        assert_eq!(request.jobs[0].source.to_string(), "/bin/tar");
        assert_eq!(request.jobs[0].uri, "s3://b/k");
        for (arguments, expected) in [
            (&["a", "s3://b/k"][..], "only source"),
            (&["s3://b/p/"], "no file name"),
            (&["-"], "no destination"),
        ] {
            let error = of(arguments).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_list_names_sources_and_all_that_is_wrong_with_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list");
        fs::write(&list, format!("a\nd/b\n{}\n..\n", "x".repeat(2000))).unwrap();
        let mut argument = OsString::from("@");
        argument.push(&list);
        let request = parse(&[argument.clone(), "s3://b/p/".into()], Reading::default()).unwrap();
        let uris: Vec<&str> = request.jobs.iter().map(|job| &*job.uri).collect();
        assert_eq!(uris, ["s3://b/p/a", "s3://b/p/d/b"]);
        assert_eq!(request.refused.len(), 2);
        let error = parse(&[argument, "s3://b/p".into()], Reading::default()).unwrap_err();
        assert!(error.to_string().contains("ends in /"), "{error}");
        let twice = ["@-", "-", "s3://b/p/"].map(OsString::from);
        let error = parse(&twice, Reading::default()).unwrap_err();
        assert!(error.to_string().contains("twice"), "{error}");
    }

    #[test]
    fn a_name_that_s3_has_no_room_for_is_refused() {
        let long = format!("s3://b/{}/", "x".repeat(1020));
        assert!(plan(&["abcd", &long]).is_err());
        assert!(plan(&["abc", &long]).is_ok());
    }

    #[test]
    fn a_folder_is_one_only_if_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = [folder.path().into(), "s3://b/p/".into()];
        let parse = |arguments: &[OsString], recursive| {
            let how = Reading {
                recursive,
                ..Reading::default()
            };
            parse(arguments, how)
        };
        let request = parse(&arguments, true).unwrap();
        assert_eq!(request.folders, [folder.path()]);
        assert!(request.jobs.is_empty());
        let request = parse(&arguments, false).unwrap();
        assert!(request.folders.is_empty());

        let root = parse(&["/".into(), "s3://b/p/".into()], true).unwrap();
        assert_eq!(root.folders, [PathBuf::from("/")]);
        let error = parse(&[folder.path().into(), "s3://b/p".into()], true).unwrap_err();
        assert!(error.to_string().contains("ends in /"), "{error}");
        let swapped = ["s3://b/p/".into(), folder.path().into()];
        let error = parse(&swapped, true).unwrap_err();
        assert!(error.to_string().contains("it comes last"), "{error}");
    }
}
