//! A profile of the AWS configuration files, by its name.

use aws_config::Region;
use aws_config::profile::{ProfileFileCredentialsProvider, load};
use aws_config::provider_config::ProviderConfig;
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_sdk_s3::config::SharedHttpClient;
use aws_types::os_shim_internal::{Env, Fs};
use writer_core::{Error, ErrorKind, Result};

/// The settings by which a profile says where its credentials come from
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html>).
const CREDENTIALS: [&str; 6] = [
    "aws_access_key_id",
    "credential_process",
    "role_arn",
    "web_identity_token_file",
    "sso_session",
    "sso_start_url",
];

/// The credentials of the profile `name`, if it has any. By itself the SDK takes those in the
/// environment first, whichever profile is asked for.
///
/// # Errors
///
/// If no file has such a profile, or a file can't be understood.
pub(crate) async fn credentials(
    name: &str,
    region: Option<&str>,
    http: SharedHttpClient,
) -> Result<Option<ProfileFileCredentialsProvider>> {
    let files = EnvConfigFiles::default();
    let set = load(&Fs::real(), &Env::real(), &files, None).await;
    let set = set.map_err(|error| {
        let text = format!("the AWS configuration files: {error}");
        Error::new(ErrorKind::InvalidInput, text).with_source(error)
    })?;
    let Some(profile) = set.get_profile(name) else {
        let text = format!("there is no profile {name:?} in the AWS configuration files");
        return Err(Error::new(ErrorKind::InvalidInput, text).with_note(known(set.profiles())));
    };
    let region = region.or_else(|| profile.get("region"));
    let region = region.map(|region| Region::new(region.to_owned()));
    let config = ProviderConfig::without_region()
        .with_region(region)
        .with_http_client(http);
    let provider = ProfileFileCredentialsProvider::builder()
        .configure(&config)
        .profile_name(name)
        .build();
    let has_any = CREDENTIALS.iter().any(|key| profile.get(key).is_some());
    Ok(has_any.then_some(provider))
}

fn known<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    match names.is_empty() {
        true => "they have none (~/.aws/config, ~/.aws/credentials)".to_owned(),
        false => format!("they have {}", names.join(", ")),
    }
}
