//! What is kept with an object besides its bytes.

use std::collections::HashSet;

use clap::Args as ClapArgs;
use clap::builder::NonEmptyStringValueParser;
use writer_core::{Error, ErrorKind, Result, WriterOptions};

use crate::values::parse_entry;

/// On a disk these are extended attributes, and what a disk can't keep is refused.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "What is kept with an object")]
pub(crate) struct AttributeArgs {
    /// The object's media type. Without this it is told by its name, or by that of its source, on S3
    #[arg(long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,
    /// Leave the media type to the service where --content-type does not say it
    #[arg(long, hide_short_help = true)]
    pub(crate) no_guess_content_type: bool,
    /// How long readers may keep a copy: `max-age=3600`
    #[arg(long, value_name = "VALUE")]
    pub(crate) cache_control: Option<String>,
    /// What a browser does with it: `attachment; filename="a.csv"`
    #[arg(long, value_name = "VALUE", hide_short_help = true)]
    pub(crate) content_disposition: Option<String>,
    /// The language it is in: `de-CH`
    #[arg(long, value_name = "TAG", hide_short_help = true)]
    pub(crate) content_language: Option<String>,
    /// Metadata of your own, kept with the object; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_entry)]
    pub(crate) metadata: Vec<(String, String)>,
    /// A tag of the object; may be repeated
    ///
    /// S3 takes 10, and needs s3:PutObjectTagging for them.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse_entry)]
    pub(crate) tags: Vec<(String, String)>,
    /// The class of storage, by the service's name: STANDARD_IA, GLACIER_IR
    ///
    /// Disks have none.
    #[arg(long, value_name = "CLASS", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) storage_class: Option<String>,
    /// The command line says the class, and not the environment.
    #[cfg(all(feature = "fs", feature = "s3"))]
    #[arg(skip)]
    pub(crate) class_is_typed: bool,
}

impl AttributeArgs {
    /// Sets what was said in `options`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a key that is said twice.
    pub(crate) fn apply(&self, options: &mut WriterOptions) -> Result<()> {
        options.content_type.clone_from(&self.content_type);
        options.cache_control.clone_from(&self.cache_control);
        options
            .content_disposition
            .clone_from(&self.content_disposition);
        options.content_language.clone_from(&self.content_language);
        options.storage_class.clone_from(&self.storage_class);
        refuse_twice("--metadata", &self.metadata)?;
        refuse_twice("--tag", &self.tags)?;
        options.metadata = self.metadata.iter().cloned().collect();
        options.tags = self.tags.iter().cloned().collect();
        Ok(())
    }
}

/// Refuses a key that `entries` have twice: one of its values would be lost.
fn refuse_twice(option: &str, entries: &[(String, String)]) -> Result<()> {
    let mut keys = HashSet::new();
    match entries.iter().find(|(key, _)| !keys.insert(key)) {
        Some((key, _)) => {
            let text = format!("{option} says the key {key:?} twice, and it has one value");
            Err(Error::new(ErrorKind::InvalidInput, text))
        }
        None => Ok(()),
    }
}

/// Objects on S3 that are encrypted by the service, or are not only their owner's.
#[cfg(feature = "s3")]
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Encryption and access (S3)")]
pub(crate) struct ProtectionArgs {
    /// How the service encrypts the object
    ///
    /// It must confirm that it does. Without this, as the bucket says.
    #[arg(long, value_name = "HOW")]
    pub(crate) sse: Option<Sse>,
    /// The key of the key service, by its id, ARN or alias
    ///
    /// Without this, the account's for S3.
    #[arg(long, value_name = "KEY", requires = "sse", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) sse_kms_key_id: Option<String>,
    /// What must be said again to decrypt, which stands in the key service's log; may be repeated
    #[arg(
        long,
        value_name = "KEY=VALUE",
        requires = "sse",
        value_parser = parse_entry,
        hide_short_help = true
    )]
    pub(crate) sse_kms_context: Vec<(String, String)>,
    /// Use one key of the bucket for many objects, which takes fewer calls of the key service
    #[arg(long, requires = "sse", hide_short_help = true)]
    pub(crate) sse_bucket_key: bool,
    /// A canned ACL: `bucket-owner-full-control`
    ///
    /// Most buckets have ACLs switched off, and take only that one. Needs s3:PutObjectAcl.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) acl: Option<String>,
    /// The first option that the command line says, and not the environment, of those that a disk
    /// has not.
    #[cfg(feature = "fs")]
    #[arg(skip)]
    pub(crate) typed: Option<&'static str>,
}

/// How the service encrypts.
#[cfg(feature = "s3")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sse {
    /// With keys of S3 itself
    #[value(name = "AES256")]
    Aes256,
    /// With a key of the key service
    #[value(name = "aws:kms")]
    Kms,
    /// Twice, with a key of the key service
    #[value(name = "aws:kms:dsse")]
    KmsDsse,
}

#[cfg(feature = "s3")]
impl ProtectionArgs {
    /// The encryption that was asked for.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](writer_core::ErrorKind::InvalidInput) for options of a key where there is
    /// none.
    pub(crate) fn encryption(&self) -> writer_core::Result<Option<backend_s3::Encryption>> {
        use backend_s3::{Encryption, KmsKey};
        let mut key = KmsKey::default();
        key.id.clone_from(&self.sse_kms_key_id);
        refuse_twice("--sse-kms-context", &self.sse_kms_context)?;
        key.context = self.sse_kms_context.iter().cloned().collect();
        key.bucket_key = self.sse_bucket_key.then_some(true);
        match self.sse {
            None => Ok(None),
            Some(Sse::Aes256) if key != KmsKey::default() => {
                let text = "--sse=AES256 has no key of one's own: --sse=aws:kms has";
                Err(Error::new(ErrorKind::InvalidInput, text))
            }
            Some(Sse::Aes256) => Ok(Some(Encryption::Aes256)),
            Some(Sse::Kms) => Ok(Some(Encryption::Kms(key))),
            Some(Sse::KmsDsse) => Ok(Some(Encryption::KmsDsse(key))),
        }
    }
}
