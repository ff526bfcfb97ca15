//! The command line.

pub(crate) mod attributes;
mod bench;
mod compression;
#[cfg(feature = "s3")]
mod connection;
pub(crate) mod output;
mod reading;
#[cfg(feature = "s3")]
mod resuming;
mod tools;
mod variables;
pub(crate) mod watch;

use std::ffi::OsString;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args as ClapArgs, Parser, Subcommand};
use globset::Glob;
use writer_core::{ByteRange, Crc64Nvme};

pub(crate) use self::bench::BenchArgs;
pub(crate) use self::compression::{CompressionArgs, DecodingArgs};
#[cfg(feature = "s3")]
pub(crate) use self::connection::{Conditions, ConnectionArgs, PayloadSigning, S3WriteArgs};
pub(crate) use self::reading::ReadingArgs;
#[cfg(feature = "s3")]
pub(crate) use self::resuming::ResumeArgs;
pub(crate) use self::tools::{CompletionsArgs, ManArgs};
pub(crate) use self::variables::parse;
#[cfg(feature = "s3")]
use crate::values::parse_age;
use crate::values::{parse_range, parse_size};

/// Stream objects to S3 and to the file system.
///
/// Objects are named by URIs (s3://bucket/key, file:///path) or by plain paths. URIs are taken
/// literally: nothing in them is decoded.
#[derive(Debug, Parser)]
#[command(
    name = "s3-cli",
    version,
    help_template = help::ROOT,
    after_help = help::MORE,
    after_long_help = help::long()
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(flatten)]
    pub(crate) output: output::OutputArgs,
    #[cfg(feature = "s3")]
    #[command(flatten)]
    pub(crate) s3: S3Args,
    #[cfg(feature = "s3")]
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

impl Args {
    /// Where errors go if they are JSON: of `cat`, standard output has the bytes of an object.
    pub(crate) fn errors(&self) -> crate::json::Errors {
        match self.command {
            Command::Cat(_) => crate::json::Errors::Stderr,
            _ => crate::json::Errors::Stdout,
        }
    }
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
    /// Compare a file with an object, or with what a compressed one holds
    ///
    /// There is no download if the service knows the object's checksum.
    #[command(after_help = examples::VERIFY)]
    Verify(VerifyArgs),
    /// Write an object, or a range of it, to standard output
    ///
    /// Its Content-Encoding (zstd, gzip) is undone.
    #[command(after_help = examples::CAT)]
    Cat(CatArgs),
    /// Show what is known of an object, one `key: value` per line
    #[command(after_help = examples::STAT)]
    Stat(StatArgs),
    /// Remove objects
    ///
    /// That there is none is no error.
    #[command(after_help = examples::RM)]
    Rm(RmArgs),
    /// List objects: size, last modified and URI, one per line
    #[command(after_help = examples::LS)]
    Ls(LsArgs),
    /// List or remove uploads that were begun and not ended
    #[cfg(feature = "s3")]
    #[command(after_help = examples::UPLOADS)]
    Uploads(UploadsArgs),
    /// Find out what a service does, and which --service it is
    ///
    /// It is tried on scratch objects.
    #[cfg(feature = "s3")]
    #[command(after_help = examples::PROBE)]
    Probe(ProbeArgs),
    /// Measure what writing costs here, with generated objects that are removed again
    #[command(after_help = bench::EXAMPLES)]
    Bench(Box<BenchArgs>),
    /// Print a completion script for a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Write the manual pages into a folder
    Man(ManArgs),
}

/// What the help of the program says besides its commands. Their options are in their own.
mod help {
    pub(super) const ROOT: &str = "\
{about-with-newline}
{usage-heading} {usage}

Commands:
{subcommands}{after-help}";

    pub(super) const MORE: &str = "\
`s3-cli COMMAND --help` has the options of a command, `-h` the usual ones.
Each --some-option can be set by S3_CLI_SOME_OPTION in the environment, too.";

    pub(super) fn long() -> String {
        format!("{MORE}\n\n{}", crate::exit::TABLE)
    }
}

/// What the help of each command ends with.
mod examples {
    pub(super) const PUT: &str = "\
Examples:
  s3-cli put disk.img s3://bucket/images/
  s3-cli put -r --exclude '*.tmp' results s3://bucket/results/
  s3-cli put --verify s3://bucket/db.sql.zst -- pg_dump mydb
  s3-cli put @files.txt s3://bucket/files/
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
  s3-cli rm s3://bucket/images/disk.img s3://bucket/images/old.img
  s3-cli rm -r --include '*.tmp' --dry-run s3://bucket/images/";
    pub(super) const LS: &str = "\
Example:
  s3-cli ls s3://bucket/images/";
    #[cfg(feature = "s3")]
    pub(super) const UPLOADS: &str = "\
Examples:
  s3-cli uploads list s3://bucket/
  s3-cli uploads abort --older-than 7d s3://bucket/images/";
    #[cfg(feature = "s3")]
    pub(super) const PROBE: &str = "\
Example:
  s3-cli probe --endpoint-url http://localhost:9000 s3://bucket/scratch/";
    pub(super) const COMPLETIONS: &str = "\
Example:
  s3-cli completions bash > ~/.local/share/bash-completion/completions/s3-cli";
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Messages")]
pub(crate) struct LogArgs {
    /// Say more on standard error; twice for more still
    ///
    /// RUST_LOG comes first, if it is set.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say nothing but errors, and what the command is there to print: no receipts, no summary
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
    ///
    /// Its credentials, if it has any, come before AWS_ACCESS_KEY_ID in the environment; those of a
    /// profile that AWS_PROFILE names come after it.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// A file of certificates in PEM to trust instead of the system's [env: AWS_CA_BUNDLE]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub(crate) ca_bundle: Option<std::path::PathBuf>,
    /// Put the bucket into the path of requests, not into the host name
    ///
    /// This is how it is done wherever an endpoint is set.
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) path_style: bool,
    /// What the service is; without this it is told by the host
    ///
    /// One of aws, ceph, dev-s3, garage, r2, basic (no CRC64NVME, equal parts) and unknown; `s3-cli
    /// probe` finds out which.
    #[arg(long, global = true, value_name = "PROFILE", hide_short_help = true)]
    pub(crate) service: Option<String>,
    /// The account that the bucket must belong to
    #[arg(long, global = true, value_name = "ACCOUNT", hide_short_help = true)]
    pub(crate) expected_bucket_owner: Option<String>,
    /// Agree to pay for requests, where requesters do
    #[arg(long, global = true, value_name = "WHO", hide_short_help = true)]
    pub(crate) request_payer: Option<Payer>,
}

/// Who pays for requests.
#[cfg(feature = "s3")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Payer {
    /// Whoever makes them
    Requester,
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
    /// Only those in which nothing was stored for so long: 90s, 5m, 12h, 7d, 2w
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
    #[arg(
        long,
        value_name = "ID",
        group = "which",
        env = "S3_CLI_ABORT_UPLOAD_ID",
        hide_env = true
    )]
    pub(crate) upload_id: Option<String>,
    /// Only those in which nothing was stored for so long: 90s, 5m, 12h, 7d, 2w
    ///
    /// What is younger may be somebody's who is still at it.
    #[arg(
        long,
        value_name = "AGE",
        group = "which",
        value_parser = parse_age,
        env = "S3_CLI_ABORT_OLDER_THAN",
        hide_env = true
    )]
    pub(crate) older_than: Option<std::time::Duration>,
    /// Only say which would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PutArgs {
    /// What to write (files, pipes, `-`, or a list of files as @FILE), and where
    ///
    /// `-` is standard input. The destination comes last; of two arguments it is the one with a
    /// scheme, if only one has one. A destination that ends in `/` is a prefix, to which file names
    /// are appended. Several sources are written side by side.
    ///
    /// @FILE stands for the sources that it has, one a line, and `@-` for those on standard input.
    /// Nothing in a line is special, and empty ones are left out. Paths are relative to the current
    /// folder, and a/b becomes DEST/a/b; without a folder, or with `..` in it, DEST/b. A file whose
    /// name begins with @ is named as ./@name.
    // One is enough for clap, which counts anew after each option in between; `jobs` counts all.
    #[arg(required = true, num_args = 1.., value_names = ["SOURCE", "DEST"])]
    pub(crate) paths: Vec<OsString>,
    /// After `--`: a command to run, whose standard output becomes the object
    ///
    /// If its exit code is not 0, nothing is stored, and its exit code is that of this program. A
    /// file whose name begins with `-` is named as ./-name.
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "recursive")]
    pub(crate) command: Vec<OsString>,
    /// The names in an @FILE end in NUL bytes, as `find -print0` has them
    #[arg(short = '0', long, conflicts_with = "command")]
    pub(crate) null: bool,
    /// Go on after an object has failed
    ///
    /// Without this no other is begun then; those that are on their way are finished in any case.
    /// With it, what can't be sent at all (a source that is not there, two of one object) is an
    /// error, too, and the rest is sent.
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Only say what would be written, and what it would replace
    ///
    /// That is the size of each object, its parts, requests and memory. No command is started, and
    /// --resume looks for no parts.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Read the whole object into memory before it is stored
    #[arg(long, hide_short_help = true)]
    pub(crate) buffered: bool,
    /// Fail if there is an object already
    #[arg(long, visible_alias = "no-clobber")]
    pub(crate) if_none_match: bool,
    /// Fail unless the object that is there has this ETag, as `stat` shows it
    #[arg(
        long,
        value_name = "ETAG",
        value_parser = NonEmptyStringValueParser::new(),
        conflicts_with = "if_none_match"
    )]
    pub(crate) if_match: Option<String>,
    /// Fail unless what is stored has this checksum
    ///
    /// `crc64nvme:` and 16 hexadecimal digits, or the Base64 of the 8 bytes.
    #[arg(
        long,
        value_name = "CHECKSUM",
        value_parser = crate::checksum::parse,
        conflicts_with = "no_checksum"
    )]
    pub(crate) expect_checksum: Option<Crc64Nvme>,
    /// Read each object back, and compare what was read with what was sent
    ///
    /// An object that differs is an error, and is left as it is.
    #[arg(long, conflicts_with = "no_checksum")]
    pub(crate) verify: bool,
    /// Do not check what was stored against a checksum of what was sent
    #[arg(long, hide_short_help = true)]
    pub(crate) no_checksum: bool,
    #[command(flatten)]
    pub(crate) attributes: attributes::AttributeArgs,
    #[cfg(feature = "s3")]
    #[command(flatten)]
    pub(crate) protection: attributes::ProtectionArgs,
    #[command(flatten)]
    pub(crate) compression: CompressionArgs,
    #[command(flatten)]
    pub(crate) folders: FolderArgs,
    #[cfg(feature = "s3")]
    #[command(flatten)]
    pub(crate) resuming: ResumeArgs,
    #[cfg(feature = "s3")]
    #[command(flatten)]
    pub(crate) s3: S3WriteArgs,
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
    /// Write the files in folders, too: DIR/a/b becomes DEST/a/b
    ///
    /// All names are looked at before anything is sent; what is no regular file is left out, with a
    /// warning.
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Take only files whose path below the folder matches; may be repeated
    #[arg(long, value_name = "GLOB", requires = "recursive")]
    pub(crate) include: Vec<Glob>,
    /// Leave out files whose path below the folder matches; comes before --include
    #[arg(long, value_name = "GLOB", requires = "recursive")]
    pub(crate) exclude: Vec<Glob>,
    /// What becomes of symbolic links in folders
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "follow",
        requires = "recursive",
        hide_short_help = true
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
    /// Most parts in flight, of all objects together [env: S3DLIO_PUT_INFLIGHT] [default: 64]
    ///
    /// 1 to 1024; memory may allow fewer. With --resume and --keep-parts it is 8.
    #[arg(long, value_name = "PARTS", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) max_concurrency: Option<u64>,
    /// Most memory for bytes on their way, from 1MiB [env: S3DLIO_PUT_MEMORY, in bytes]
    /// [default: 128MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory: Option<u64>,
    /// Memory that is set aside from the start [env: S3DLIO_PUT_BUFFER_CAPACITY, in bytes]
    /// [default: 0]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, hide_short_help = true)]
    pub(crate) buffer_capacity: Option<u64>,
    /// How many bytes a pipe will bring, so that part sizes fit
    ///
    /// Others than that many are an error, and nothing is stored. For files it is known.
    #[arg(
        long,
        visible_alias = "exact-size",
        value_name = "SIZE",
        value_parser = parse_size
    )]
    pub(crate) expected_size: Option<u64>,
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
    pub(crate) decoding: DecodingArgs,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
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
    /// Remove all objects below each URI, as `ls URI/` lists them; the folders of a disk stay
    // What is removed has variables of its own: those of `put` must not choose it.
    #[arg(short, long, env = "S3_CLI_RM_RECURSIVE", hide_env = true)]
    pub(crate) recursive: bool,
    /// Only those whose path below the URI matches; may be repeated
    #[arg(
        long,
        value_name = "GLOB",
        requires = "recursive",
        env = "S3_CLI_RM_INCLUDE",
        hide_env = true
    )]
    pub(crate) include: Vec<Glob>,
    /// Not those whose path below the URI matches; may be repeated, and comes before --include
    #[arg(
        long,
        value_name = "GLOB",
        requires = "recursive",
        env = "S3_CLI_RM_EXCLUDE",
        hide_env = true
    )]
    pub(crate) exclude: Vec<Glob>,
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
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

    #[test]
    fn the_help_of_the_program_fits_a_screen() {
        let mut command = Args::command();
        for (help, lines) in [
            (command.render_help(), 24),
            (command.render_long_help(), 40),
        ] {
            let help = help.to_string();
            assert!(help.lines().count() <= lines, "{help}");
        }
    }
}
