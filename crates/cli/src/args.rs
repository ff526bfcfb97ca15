//! The command line.

pub(crate) mod watch;

use std::ffi::OsString;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args as ClapArgs, Parser, Subcommand};
use globset::Glob;
use writer_core::{ByteRange, Crc64Nvme};

#[cfg(feature = "s3")]
use crate::values::parse_age;
use crate::values::{parse_entry, parse_range, parse_size};

/// Stream objects to S3 and to the file system.
///
/// Objects are named by URIs (s3://bucket/key, file:///path) or by plain paths. URIs are taken
/// literally: nothing in them is decoded.
#[derive(Debug, Parser)]
#[command(name = "s3-cli", version, after_help = crate::exit::TABLE)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[cfg(feature = "s3")]
    #[command(flatten)]
    pub(crate) s3: S3Args,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write files, standard input, or what a command prints, as objects
    #[command(
        visible_alias = "put-streaming",
        override_usage = "s3-cli put [OPTIONS] SOURCE... DEST\n       \
                          s3-cli put [OPTIONS] DEST -- COMMAND [ARG]...",
        after_help = examples::PUT
    )]
    Put(Box<PutArgs>),
    /// Compare a file with an object as it is stored, without a download if the service knows its
    /// checksum
    #[command(after_help = examples::VERIFY)]
    Verify(VerifyArgs),
    /// Write an object, or a range of it, to standard output
    #[command(after_help = examples::CAT)]
    Cat(CatArgs),
    /// Show what is known of an object, one `key: value` per line
    #[command(after_help = examples::STAT)]
    Stat(StatArgs),
    /// Remove objects; that there is none is no error
    #[command(after_help = examples::RM)]
    Rm(RmArgs),
    /// List objects: size, last modified and URI, one per line
    #[command(after_help = examples::LS)]
    Ls(LsArgs),
    /// List or remove multipart uploads that were begun and not ended
    #[cfg(feature = "s3")]
    Uploads(UploadsArgs),
    /// Find out what a service does, and which --service it is, by trying it on scratch objects
    #[cfg(feature = "s3")]
    Probe(ProbeArgs),
}

/// What the help of each command ends with.
mod examples {
    pub(super) const PUT: &str = "\
Examples:
  s3-cli put disk.img s3://bucket/images/
  s3-cli put -r --exclude '*.tmp' results s3://bucket/results/
  s3-cli put --verify s3://bucket/db.sql.zst -- pg_dump mydb
  head -c 1G /dev/urandom | s3-cli put --exact-size 1G - s3://bucket/random";
    pub(super) const VERIFY: &str = "\
Example:
  s3-cli verify disk.img s3://bucket/images/disk.img";
    pub(super) const CAT: &str = "\
Example:
  s3-cli cat --range 0-511 s3://bucket/images/disk.img | xxd";
    pub(super) const STAT: &str = "\
Example:
  s3-cli stat s3://bucket/images/disk.img";
    pub(super) const RM: &str = "\
Example:
  s3-cli rm s3://bucket/images/disk.img s3://bucket/images/old.img";
    pub(super) const LS: &str = "\
Example:
  s3-cli ls s3://bucket/images/";
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Messages")]
pub(crate) struct LogArgs {
    /// Say more on standard error; twice for more still. RUST_LOG comes first, if it is set
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say nothing but errors, not even what was uploaded
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

/// What is not given comes from the AWS environment variables and profiles.
#[cfg(feature = "s3")]
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "S3")]
pub(crate) struct S3Args {
    /// The service's URL, for services other than Amazon's [env: AWS_ENDPOINT_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
    /// The bucket's region [env: AWS_REGION]
    #[arg(long, global = true)]
    pub(crate) region: Option<String>,
    /// The profile of the AWS configuration to use [env: AWS_PROFILE]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// A file of certificates in PEM to trust instead of the system's [env: AWS_CA_BUNDLE]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_bundle: Option<std::path::PathBuf>,
    /// Put the bucket into the path of requests, not into the host name
    #[arg(long, global = true)]
    pub(crate) path_style: bool,
    /// What the service is: aws, ceph, dev-s3, garage, r2, basic (no CRC64NVME, equal parts) or
    /// unknown. Without this it is told by the host [env: S3_CLI_SERVICE]
    #[arg(
        long,
        global = true,
        value_name = "PROFILE",
        env = "S3_CLI_SERVICE",
        hide_env = true
    )]
    pub(crate) service: Option<String>,
    /// What is done about --if-none-match and --if-match where the service is not known to keep
    /// them [env: S3_CLI_CONDITIONS]
    #[arg(
        long,
        global = true,
        value_name = "HOW",
        default_value = "known",
        env = "S3_CLI_CONDITIONS",
        hide_env = true
    )]
    pub(crate) conditions: Conditions,
    /// The account that the bucket must belong to
    #[arg(long, global = true, value_name = "ACCOUNT")]
    pub(crate) expected_bucket_owner: Option<String>,
    /// Agree to pay for requests, where requesters do
    #[arg(long, global = true, value_name = "WHO")]
    pub(crate) request_payer: Option<Payer>,
}

/// What is done about conditions on a service that is not known to keep them.
#[cfg(feature = "s3")]
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Conditions {
    /// Such a write is refused
    Known,
    /// The service is trusted
    Trust,
    /// The object is looked at right before; others may come in between
    CheckFirst,
}

/// Who pays for requests.
#[cfg(feature = "s3")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Payer {
    /// Whoever makes them
    Requester,
}

/// Uploads to S3 that stop before their end, and those that did.
#[cfg(feature = "s3")]
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Resuming (S3)")]
pub(crate) struct ResumeArgs {
    /// Take up the newest upload of the object that stopped, and send only what is missing: each
    /// part that is there is compared by its checksum first. What fails again keeps its parts.
    /// Fewer parts go at once (8), so that more of them are whole when it stops
    #[arg(long)]
    pub(crate) resume: bool,
    /// Take up this upload; `uploads list` shows them. Needed for one that was written to
    /// in the last 5 minutes, because somebody may still be at it
    #[arg(long, value_name = "ID")]
    pub(crate) upload_id: Option<String>,
    /// Leave the parts of uploads that fail or are interrupted, for --resume; they are charged for.
    /// As with --resume, 8 parts go at once
    #[arg(long)]
    pub(crate) keep_parts: bool,
}

#[cfg(feature = "s3")]
impl ResumeArgs {
    /// True if an upload is to be taken up.
    pub(crate) fn resumes(&self) -> bool {
        self.resume || self.upload_id.is_some()
    }

    /// True if what is stored is to stay for another time.
    pub(crate) fn keeps(&self) -> bool {
        self.resumes() || self.keep_parts
    }
}

#[cfg(feature = "s3")]
#[derive(Debug, ClapArgs)]
pub(crate) struct UploadsArgs {
    #[command(subcommand)]
    pub(crate) command: UploadsCommand,
}

#[cfg(feature = "s3")]
#[derive(Debug, ClapArgs)]
pub(crate) struct ProbeArgs {
    /// Where scratch objects may be written, and are removed again: s3://BUCKET/PREFIX. Some 40 MiB
    /// are sent
    pub(crate) prefix: String,
}

/// Multipart uploads that were begun and not ended.
#[cfg(feature = "s3")]
#[derive(Debug, Subcommand)]
pub(crate) enum UploadsCommand {
    /// List them: bytes stored, when something was last stored, upload id and URI, one per line
    List(UploadsListArgs),
    /// Remove them with their parts
    Abort(UploadsAbortArgs),
}

#[cfg(feature = "s3")]
#[derive(Debug, ClapArgs)]
pub(crate) struct UploadsListArgs {
    /// What the objects' URIs begin with, taken literally
    pub(crate) prefix: String,
    /// Only those in which nothing was stored for so long: 90s, 5m, 12h, 7d
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    pub(crate) older_than: Option<std::time::Duration>,
}

#[cfg(feature = "s3")]
#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub(crate) struct UploadsAbortArgs {
    /// What the objects' URIs begin with, taken literally
    pub(crate) prefix: String,
    /// Only this one
    #[arg(long, value_name = "ID", group = "which")]
    pub(crate) upload_id: Option<String>,
    /// Only those in which nothing was stored for so long: 90s, 5m, 12h, 7d. What is younger may be
    /// somebody's who is still at it
    #[arg(long, value_name = "AGE", group = "which", value_parser = parse_age)]
    pub(crate) older_than: Option<std::time::Duration>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PutArgs {
    /// What to write where. A source is a file, a pipe, or `-` for standard input. The
    /// destination comes last; of two arguments it is the one with a scheme, if only one has
    /// one. A destination that ends in `/` is a prefix, to which file names are appended. Several
    /// sources are written side by side
    // One is enough for clap, which counts anew after each option in between; `jobs` counts all.
    #[arg(required = true, num_args = 1.., value_names = ["SOURCE", "DEST"])]
    pub(crate) paths: Vec<OsString>,
    /// After `--`: a command to run, whose standard output becomes the object, if its exit code is
    /// 0. If it fails, nothing is stored, and its exit code is that of this program. A file whose
    /// name begins with `-` is named as ./-name
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "recursive")]
    pub(crate) command: Vec<OsString>,
    /// Go on after an object has failed. Without this no other is begun then; those that are on
    /// their way are finished in any case
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Read the whole object into memory before it is stored
    #[arg(long)]
    pub(crate) buffered: bool,
    /// The object's media type
    #[arg(long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,
    /// Metadata of your own, kept with the object; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_entry)]
    pub(crate) metadata: Vec<(String, String)>,
    /// Fail if there is an object already
    #[arg(long, visible_alias = "no-clobber")]
    pub(crate) if_none_match: bool,
    /// Fail unless the object that is there has this ETag, as `stat` shows it: only what has not
    /// changed is replaced
    #[arg(
        long,
        value_name = "ETAG",
        value_parser = NonEmptyStringValueParser::new(),
        conflicts_with = "if_none_match"
    )]
    pub(crate) if_match: Option<String>,
    /// Fail unless what is stored has this checksum: `crc64nvme:` and 16 hexadecimal digits, or
    /// the Base64 of the 8 bytes
    #[arg(
        long,
        value_name = "CHECKSUM",
        value_parser = crate::checksum::parse,
        conflicts_with = "no_checksum"
    )]
    pub(crate) expect_checksum: Option<Crc64Nvme>,
    /// Read each object back, and compare what was read with what was sent. An object that differs
    /// is an error, and is left as it is
    #[arg(long, conflicts_with = "no_checksum")]
    pub(crate) verify: bool,
    /// Do not check what was stored against a checksum of what was sent
    #[arg(long)]
    pub(crate) no_checksum: bool,
    /// Store objects whose names end in .zst or .gz as they are, too. Without this they are
    /// compressed in that format, unless the bytes already are
    #[arg(long)]
    pub(crate) no_compression: bool,
    /// Sign the bytes of requests: always, never, or where nothing else protects them
    #[cfg(feature = "s3")]
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) payload_signing: PayloadSigning,
    #[command(flatten)]
    pub(crate) folders: FolderArgs,
    #[cfg(feature = "s3")]
    #[command(flatten)]
    pub(crate) resuming: ResumeArgs,
    #[command(flatten)]
    pub(crate) tuning: TuningArgs,
    #[command(flatten)]
    pub(crate) watch: watch::WatchArgs,
}

/// Globs are matched with a file's path below its folder: `*` and `?` match `/` as well, `[a-z]`
/// is one of a set, `{a,b}` either of two. A file is taken if it matches any `--include`, or there
/// is none, and no `--exclude`.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "Folders (in globs, * matches / too)")]
pub(crate) struct FolderArgs {
    /// Write the files in folders, too: DIR/a/b becomes DEST/a/b. All names are looked at before
    /// anything is sent; what is no regular file is left out, with a warning
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Take only files whose path below the folder matches; may be repeated
    #[arg(long, value_name = "GLOB", requires = "recursive")]
    pub(crate) include: Vec<Glob>,
    /// Leave out files whose path below the folder matches; may be repeated, and comes before
    /// --include
    #[arg(long, value_name = "GLOB", requires = "recursive")]
    pub(crate) exclude: Vec<Glob>,
    /// What becomes of symbolic links in folders
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "follow",
        requires = "recursive"
    )]
    pub(crate) symlinks: Symlinks,
}

/// What becomes of symbolic links in folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Symlinks {
    /// What they lead to is written; one that leads out of the folder is an error
    Follow,
    /// They are left out
    Skip,
    /// They are errors
    Error,
}

/// Sizes are numbers of bytes, or numbers with a unit in steps of 1024.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Tuning (sizes: 8388608, 8M and 8MiB are the same)")]
pub(crate) struct TuningArgs {
    /// Size of the first parts, from 5MiB on S3 [env: S3DLIO_PUT_PART_SIZE, in bytes]
    /// [default: 8MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) part_size: Option<u64>,
    /// Most parts in flight, of all objects together, 1 to 1024; memory may allow fewer. 8 with
    /// --resume and --keep-parts
    /// [env: S3DLIO_PUT_INFLIGHT]
    /// [default: 64]
    #[arg(long, value_name = "PARTS", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) max_concurrency: Option<u64>,
    /// Most memory for bytes on their way, from 1MiB [env: S3DLIO_PUT_MEMORY, in bytes]
    /// [default: 128MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory: Option<u64>,
    /// Memory that is set aside from the start [env: S3DLIO_PUT_BUFFER_CAPACITY, in bytes]
    /// [default: 0]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) buffer_capacity: Option<u64>,
    /// How many bytes a pipe will bring, so that part sizes fit; others than that many are an
    /// error, and nothing is stored. For files it is known
    #[arg(
        long,
        visible_alias = "exact-size",
        value_name = "SIZE",
        value_parser = parse_size
    )]
    pub(crate) expected_size: Option<u64>,
}

/// When the bytes of a request are signed.
#[cfg(feature = "s3")]
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum PayloadSigning {
    Auto,
    Always,
    Never,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct VerifyArgs {
    /// The file; `-` for standard input
    pub(crate) file: OsString,
    /// The object
    pub(crate) uri: String,
    /// Read the object in any case, instead of believing the checksum that the service keeps
    #[arg(long)]
    pub(crate) download: bool,
    #[command(flatten)]
    pub(crate) progress: watch::ProgressArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CatArgs {
    /// The object
    pub(crate) uri: String,
    /// Which bytes: 0-99 (the first hundred), 100- (all from there), -100 (the last hundred)
    #[arg(long, value_name = "A-B", value_parser = parse_range, allow_hyphen_values = true)]
    pub(crate) range: Option<ByteRange>,
    #[command(flatten)]
    pub(crate) progress: watch::ProgressArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StatArgs {
    /// The object
    pub(crate) uri: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RmArgs {
    /// The objects
    #[arg(required = true, value_name = "URI")]
    pub(crate) uris: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LsArgs {
    /// What the objects' URIs begin with, taken literally
    pub(crate) prefix: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
