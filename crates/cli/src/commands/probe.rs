//! `probe`: what a service does, found out by trying it.

use std::fmt::Write as _;

use backend_s3::{Probe, ServiceProfile};

use serde::Serialize;

use super::Context;
use crate::args::ProbeArgs;
use crate::json;

pub(super) async fn run(context: &Context, args: ProbeArgs) -> anyhow::Result<()> {
    let store = context.stores.s3(&args.prefix).await?;
    let probe = store.probe(&args.prefix).await?;
    let text = match context.printer.is_json() {
        true => lines(&probe, store.service()),
        false => table(&probe, store.service()),
    };
    let _nobody_reads = context.printer.text(text).await?;
    Ok(())
}

/// One for each finding, and one for what follows from them.
fn lines(probe: &Probe, assumed: &ServiceProfile) -> String {
    #[derive(Serialize)]
    struct Found<'a> {
        feature: &'a str,
        works: Option<bool>,
        detail: &'a str,
    }
    #[derive(Serialize)]
    struct Advice {
        assumed: &'static str,
        is_right: bool,
        advice: String,
    }

    let findings = probe.findings.iter().map(|finding| {
        json::line(&Found {
            feature: finding.feature,
            works: finding.works,
            detail: &finding.detail,
        })
    });
    let mut text: String = findings.collect();
    text += &json::line(&Advice {
        assumed: assumed.name,
        is_right: probe.profile.does_the_same(assumed),
        advice: advice(&probe.profile, assumed),
    });
    text
}

fn table(probe: &Probe, assumed: &ServiceProfile) -> String {
    let mut text = String::new();
    // Writing to a string can't fail.
    for finding in &probe.findings {
        let works = match finding.works {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unclear",
        };
        let line = format!("{:<8}{:<48}{}", works, finding.feature, finding.detail);
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(text, "\n{}", advice(&probe.profile, assumed));
    text
}

fn advice(found: &ServiceProfile, assumed: &ServiceProfile) -> String {
    if found.does_the_same(assumed) {
        return format!("The profile {:?}, which is used, is right.", assumed.name);
    }
    if ServiceProfile::ALL.iter().any(|known| known == found) {
        return format!("Use --service={} (S3_CLI_SERVICE).", found.name);
    }
    let service = match (found.checksums, found.equal_parts) {
        (true, false) => "unknown",
        (true, true) => "r2",
        (false, _) => "basic",
    };
    let conditions = match found.conditional_put && found.conditional_complete {
        true => ", with --conditions=trust, because it keeps them",
        false => "",
    };
    format!("No profile is the same; --service={service} works{conditions}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_is_a_profile_that_is_the_same() {
        let aws = ServiceProfile::AWS;
        assert!(advice(&aws, &ServiceProfile::DEV).contains("is right"));
        assert!(advice(&aws, &ServiceProfile::UNKNOWN).contains("--service=aws"));
        assert!(advice(&ServiceProfile::CEPH, &aws).contains("--service=ceph"));
    }

    #[test]
    fn else_it_is_one_that_works() {
        for (checksums, equal_parts, kept, expected) in [
            (
                true,
                true,
                true,
                "--service=r2 works, with --conditions=trust",
            ),
            (
                false,
                false,
                true,
                "--service=basic works, with --conditions=trust",
            ),
            (false, false, false, "--service=basic works."),
        ] {
            let mut found = ServiceProfile::UNKNOWN;
            (found.name, found.checksums, found.equal_parts) = ("probed", checksums, equal_parts);
            (found.conditional_put, found.conditional_complete) = (kept, kept);
            let advice = advice(&found, &ServiceProfile::AWS);
            assert!(advice.contains(expected), "{advice}");
        }
    }
}
