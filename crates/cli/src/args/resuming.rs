//! Uploads that are taken up again.

use clap::Args as ClapArgs;

/// Uploads to S3 that stop before their end, and those that did.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Resuming (S3)")]
pub(crate) struct ResumeArgs {
    /// Take up the newest upload of the object that stopped, and send only what is missing
    ///
    /// Each part that is there is compared by its checksum first. What fails again keeps its parts.
    /// Fewer parts go at once (8), so that more of them are whole when it stops. If there is no
    /// such upload, a new one begins.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Take up this upload; `uploads list` shows them
    ///
    /// Needed for one that was written to in the last 5 minutes, because somebody may still be at
    /// it.
    #[arg(long, value_name = "ID", hide_short_help = true)]
    pub(crate) upload_id: Option<String>,
    /// Leave the parts of uploads that fail or are interrupted, for --resume
    ///
    /// They are charged for. As with --resume, 8 parts go at once.
    #[arg(long, hide_short_help = true)]
    pub(crate) keep_parts: bool,
    /// The command line says one of these, and not the environment alone.
    #[cfg(feature = "fs")]
    #[arg(skip)]
    pub(crate) typed: bool,
}

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
