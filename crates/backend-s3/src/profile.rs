//! Where services differ, and which of them does what.

use writer_core::{Condition, Error, ErrorKind, PartLimits, Result, WriterOptions};

/// What a service is known to do, where services differ.
///
/// `docs/compatibility.md` says which of it was tried, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceProfile {
    /// What the profile is called.
    pub name: &'static str,
    /// PutObject keeps `If-None-Match` and `If-Match`.
    pub conditional_put: bool,
    /// CompleteMultipartUpload keeps them.
    pub conditional_complete: bool,
    /// It takes CRC64NVME checksums. Without, payloads are signed with SHA-256, which such services
    /// check.
    pub checksums: bool,
    /// All parts of an object but the last must have one size.
    pub equal_parts: bool,
    /// PutObject keeps tags; where that is not known, it is believed to. (A probe does not try
    /// this, nor the next two.)
    pub tags_by_put: bool,
    /// CreateMultipartUpload keeps tags.
    pub tags_by_create: bool,
    /// Storage classes are kept, or refused if they are not known.
    pub storage_classes: bool,
    /// Sizes and numbers of parts.
    pub part_limits: PartLimits,
}

impl ServiceProfile {
    /// Amazon S3
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>).
    pub const AWS: Self = Self {
        name: "aws",
        conditional_put: true,
        conditional_complete: true,
        checksums: true,
        equal_parts: false,
        tags_by_put: true,
        tags_by_create: true,
        storage_classes: true,
        part_limits: PartLimits::S3,
    };

    /// A service of which nothing is known: it gets checksums, which it may refuse or ignore, and
    /// no condition is believed to be kept. What an endpoint of one's own is taken for.
    pub const UNKNOWN: Self = Self {
        name: "unknown",
        conditional_put: false,
        conditional_complete: false,
        ..Self::AWS
    };

    /// The least that calls itself S3: no CRC64NVME, no conditions, equal parts.
    pub const BASIC: Self = Self {
        name: "basic",
        checksums: false,
        equal_parts: true,
        ..Self::UNKNOWN
    };

    /// Ceph RGW 16.2: CompleteMultipartUpload ignores conditions, and CreateMultipartUpload tags.
    pub const CEPH: Self = Self {
        name: "ceph",
        conditional_complete: false,
        tags_by_create: false,
        ..Self::AWS
    };

    /// Garage 2.5: conditions on writes are ignored, and so are tags and storage classes.
    pub const GARAGE: Self = Self {
        name: "garage",
        tags_by_put: false,
        tags_by_create: false,
        storage_classes: false,
        ..Self::UNKNOWN
    };

    /// Cloudflare R2, as its documentation says
    /// (<https://developers.cloudflare.com/r2/objects/multipart-objects/>): equal parts, and
    /// conditions on PutObject.
    pub const R2: Self = Self {
        name: "r2",
        conditional_put: true,
        equal_parts: true,
        ..Self::UNKNOWN
    };

    /// The server of this project's tests, which keeps all that S3 promises.
    pub const DEV: Self = Self {
        name: "dev-s3",
        ..Self::AWS
    };

    /// All profiles.
    pub const ALL: [Self; 7] = [
        Self::AWS,
        Self::UNKNOWN,
        Self::BASIC,
        Self::CEPH,
        Self::GARAGE,
        Self::R2,
        Self::DEV,
    ];

    /// The profile that is called `name`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`], with all names, if none is.
    pub fn by_name(name: &str) -> Result<Self> {
        let named = Self::ALL.into_iter().find(|profile| profile.name == name);
        named.ok_or_else(|| {
            let names = Self::ALL.map(|profile| profile.name).join(", ");
            Error::new(
                ErrorKind::InvalidInput,
                format!("there is no service profile {name:?}: expected one of {names}"),
            )
        })
    }

    /// True if a service of this profile does what one of `other` does, whatever they are called,
    /// as far as a probe can tell.
    #[must_use]
    pub fn does_the_same(&self, other: &Self) -> bool {
        let alike = Self {
            name: other.name,
            tags_by_put: other.tags_by_put,
            tags_by_create: other.tags_by_create,
            storage_classes: other.storage_classes,
            ..*self
        };
        alike == *other
    }

    /// Refuses attributes that the service is known to ignore; `multipart` unless the object is
    /// known to be one PutObject.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`], naming the option.
    pub(crate) fn refuse_ignored(&self, options: &WriterOptions, multipart: bool) -> Result<()> {
        let keeps_tags = self.tags_by_put && (self.tags_by_create || !multipart);
        let ignored = match options {
            _ if !options.tags.is_empty() && !keeps_tags => "tags",
            _ if options.storage_class.is_some() && !self.storage_classes => "storage_class",
            _ => return Ok(()),
        };
        let when = match self.tags_by_put && ignored == "tags" {
            true => ", unless the object is known to be one request",
            false => "",
        };
        let text = format!(
            "{ignored}: this service ({}) would ignore that{when}",
            self.name
        );
        Err(Error::new(ErrorKind::Unsupported, text))
    }

    /// The profile of the service at `endpoint`, by its host; without an endpoint it is Amazon's.
    #[must_use]
    pub fn of_endpoint(endpoint: Option<&str>) -> Self {
        let Some(url) = endpoint else {
            return Self::AWS;
        };
        let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = authority.split(['/', '?']).next().unwrap_or_default();
        let host = authority.split(':').next().unwrap_or_default();
        let host = host.to_ascii_lowercase();
        let below = |domain: &str| host.strip_suffix(domain)?.strip_suffix('.');
        // Machines and load balancers have such names, too, and anything may run there.
        let is_s3 = |label: &str| {
            label == "s3" || label.starts_with("s3-") || label.starts_with("s3express-")
        };
        let amazon = below("amazonaws.com").or_else(|| below("amazonaws.com.cn"));
        if amazon.is_some_and(|host| host.split('.').any(is_s3)) {
            Self::AWS
        } else if below("r2.cloudflarestorage.com").is_some() {
            Self::R2
        } else {
            Self::UNKNOWN
        }
    }
}

/// What is done about conditions on a service that is not known to keep them.
///
/// Any conditional write keeps a token in the object's metadata, under the name `writer-token`, which
/// tells whether an object is its own when the answer was lost. `stat` and receipts leave it out.
///
/// As to such a service: One that ignores
/// them would replace the very object that the condition protects, and say that all is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conditions {
    /// A conditional write is refused.
    #[default]
    Known,
    /// The service is trusted to keep them.
    Trust,
    /// The object is looked at (HeadObject) right before the new one is made visible. Another
    /// program may come in between: the receipt says
    /// [`Advisory`](writer_core::Condition::Advisory).
    CheckFirst,
}

impl Conditions {
    /// How the condition of a write with `options` will be kept on a service of `profile`;
    /// `multipart` unless the object is known to be one PutObject.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] if it might not be kept.
    pub(crate) fn on(
        self,
        profile: &ServiceProfile,
        options: &WriterOptions,
        multipart: bool,
    ) -> Result<Option<Condition>> {
        if !options.is_conditional() {
            return Ok(None);
        }
        let keeps = profile.conditional_put && (profile.conditional_complete || !multipart);
        match self {
            Self::Trust => Ok(Some(Condition::Enforced)),
            _ if keeps => Ok(Some(Condition::Enforced)),
            Self::CheckFirst => Ok(Some(Condition::Advisory)),
            Self::Known => Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the service ({}) is not known to keep the condition of this write, and might \
                     replace the object in spite of it: name its profile, trust it, or have the \
                     object looked at first, which is no protection against others",
                    profile.name
                ),
            )),
        }
    }
}

/// Which profile would help, where a service refuses with `code` and `message`.
pub(crate) fn advice(code: &str, message: &str) -> Option<&'static str> {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match code {
        "InvalidArgument" | "InvalidRequest" | "NotImplemented" if says(&["checksum", "crc64"]) => {
            Some("the service profile `basic` sends no CRC64NVME")
        }
        "NotImplemented" if says(&["header", "condition", "if-none-match", "if-match"]) => {
            Some("if it is the condition that the service lacks, have the object looked at first")
        }
        "InvalidPart" | "InvalidPartSize" | "EntityTooSmall"
            if says(&["same length", "same size", "equal"]) =>
        {
            Some("the service profiles `basic` and `r2` send equal parts")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use writer_core::IfExists;

    #[test]
    fn hosts_tell_what_a_service_is() {
        for (endpoint, expected) in [
            (None, ServiceProfile::AWS),
            (
                Some("https://s3.eu-west-1.amazonaws.com"),
                ServiceProfile::AWS,
            ),
            (
                Some("https://S3.cn-north-1.amazonaws.com.cn:443/"),
                ServiceProfile::AWS,
            ),
            (
                Some("https://b.vpce-1.s3.us-east-1.vpce.amazonaws.com"),
                ServiceProfile::AWS,
            ),
            (
                Some("https://s3-fips.us-east-1.amazonaws.com"),
                ServiceProfile::AWS,
            ),
            (
                Some("http://ec2-1-2-3-4.compute-1.amazonaws.com:9000"),
                ServiceProfile::UNKNOWN,
            ),
            (
                Some("http://minio-1.us-east-1.elb.amazonaws.com"),
                ServiceProfile::UNKNOWN,
            ),
            (
                Some("https://1234.r2.cloudflarestorage.com"),
                ServiceProfile::R2,
            ),
            (Some("http://localhost:9000"), ServiceProfile::UNKNOWN),
            (
                Some("https://amazonaws.com.example"),
                ServiceProfile::UNKNOWN,
            ),
            (Some("https://notamazonaws.com"), ServiceProfile::UNKNOWN),
            (Some(""), ServiceProfile::UNKNOWN),
        ] {
            assert_eq!(
                ServiceProfile::of_endpoint(endpoint),
                expected,
                "{endpoint:?}"
            );
        }
    }

    #[test]
    fn every_profile_has_a_name_of_its_own() {
        for profile in ServiceProfile::ALL {
            assert_eq!(ServiceProfile::by_name(profile.name).unwrap(), profile);
        }
        let error = ServiceProfile::by_name("swift").unwrap_err();
        assert!(error.message().contains("garage"), "{error}");
    }

    #[test]
    fn a_condition_is_kept_or_refused() {
        let create = WriterOptions::default().with_if_exists(IfExists::Fail);
        let on = |conditions: Conditions, profile, multipart| {
            conditions.on(&profile, &create, multipart).ok().flatten()
        };
        use Condition::{Advisory, Enforced};
        use Conditions::{CheckFirst, Known, Trust};
        assert_eq!(on(Known, ServiceProfile::AWS, true), Some(Enforced));
        assert_eq!(on(Known, ServiceProfile::CEPH, false), Some(Enforced));
        assert_eq!(on(Known, ServiceProfile::CEPH, true), None);
        assert_eq!(on(CheckFirst, ServiceProfile::CEPH, true), Some(Advisory));
        assert_eq!(on(CheckFirst, ServiceProfile::AWS, true), Some(Enforced));
        assert_eq!(on(Trust, ServiceProfile::UNKNOWN, true), Some(Enforced));
        let free = WriterOptions::default();
        assert_eq!(Known.on(&ServiceProfile::BASIC, &free, true).unwrap(), None);
    }

    #[test]
    fn what_a_service_would_ignore_is_refused() {
        let tagged = WriterOptions::default().with_tag("a", "b");
        let cold = WriterOptions::default().with_storage_class("COLD");
        let refused = |profile: ServiceProfile, options, multipart| {
            let refused = profile.refuse_ignored(options, multipart);
            refused.err().map(|error| error.kind())
        };
        let unsupported = Some(ErrorKind::Unsupported);
        for profile in [ServiceProfile::AWS, ServiceProfile::UNKNOWN] {
            assert_eq!(refused(profile, &tagged, true), None);
            assert_eq!(refused(profile, &cold, true), None);
        }
        assert_eq!(refused(ServiceProfile::CEPH, &tagged, false), None);
        assert_eq!(refused(ServiceProfile::CEPH, &tagged, true), unsupported);
        assert_eq!(refused(ServiceProfile::CEPH, &cold, true), None);
        assert_eq!(refused(ServiceProfile::GARAGE, &tagged, false), unsupported);
        assert_eq!(refused(ServiceProfile::GARAGE, &cold, false), unsupported);
        let free = WriterOptions::default();
        assert_eq!(refused(ServiceProfile::GARAGE, &free, true), None);
    }

    #[test]
    fn a_refusal_names_what_would_help() {
        let basic = advice("InvalidArgument", "Unknown checksum algorithm");
        assert!(basic.unwrap().contains("basic"));
        let equal = advice(
            "InvalidPart",
            "All non-trailing parts must have the same length.",
        );
        assert!(equal.unwrap().contains("r2"));
        assert_eq!(advice("AccessDenied", "checksum"), None);
    }
}
