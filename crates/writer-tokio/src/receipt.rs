//! Receipts, written down.

use std::collections::BTreeMap;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::ser::{SerializeMap as _, Serializer};
use serde::{Serialize, ser};
use writer_core::{Condition, Field, ObjectMetadata};

/// What is known of an object, for [`serde`]: one map, with the names of the fields of
/// [`ObjectMetadata`] as keys. What is not known is left out.
///
/// | kind of field | form |
/// |---|---|
/// | sizes and counts | numbers; sizes are in bytes |
/// | `last_modified` | RFC 3339, in UTC, with as many digits of the second as are known |
/// | `elapsed` | seconds, a number with a fraction |
/// | `checksum` | CRC64NVME, as 16 hexadecimal digits |
/// | `metadata`, `tags` | maps of strings |
/// | `condition` | `enforced` or `advisory` |
/// | all others | strings |
///
/// Later versions may add keys; those that are there keep their meaning.
///
/// ```
/// use writer_core::{Crc64Nvme, ObjectMetadata};
/// use writer_tokio::Receipt;
///
/// let mut object = ObjectMetadata::new("s3://bucket/key", 7);
/// object.checksum = Some(Crc64Nvme(0xab));
/// assert_eq!(
///     serde_json::to_string(&Receipt(&object))?,
///     r#"{"uri":"s3://bucket/key","size":7,"checksum":"00000000000000ab"}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Receipt<'a>(pub &'a ObjectMetadata);

impl Serialize for Receipt<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = self.0.fields();
        let mut map = serializer.serialize_map(Some(fields.len()))?;
        for (name, field) in fields {
            map.serialize_entry(name, &Value(field))?;
        }
        map.end()
    }
}

struct Value<'a>(Field<'a>);

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Field::Text(text) => serializer.serialize_str(text),
            Field::Number(number) => serializer.serialize_u64(number),
            Field::Time(time) => serialize_time(time, serializer),
            Field::Duration(time) => serializer.serialize_f64(time.as_secs_f64()),
            Field::Checksum(checksum) => serializer.collect_str(&checksum),
            Field::Condition(Condition::Enforced) => serializer.serialize_str("enforced"),
            Field::Condition(Condition::Advisory) => serializer.serialize_str("advisory"),
            Field::Map(map) => BTreeMap::serialize(map, serializer),
            _ => Err(ser::Error::custom("a field of a kind that is not known")),
        }
    }
}

fn serialize_time<S: Serializer>(time: SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    match Timestamp::try_from(time) {
        Ok(time) => serializer.collect_str(&time),
        // Beyond the year 9999 there is no RFC 3339.
        Err(_) => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};
    use writer_core::Crc64Nvme;

    #[test]
    fn every_kind_of_field_has_its_form() {
        let mut object = ObjectMetadata::new("s3://b/\"k\"", u64::MAX);
        object.e_tag = Some("abc-2".into());
        object.checksum = Some(Crc64Nvme(u64::MAX));
        object.last_modified = Some(UNIX_EPOCH + Duration::from_millis(86_400_500));
        object.tags.insert("k".into(), "v".into());
        object.condition = Some(Condition::Enforced);
        object.parts = Some(3);
        object.elapsed = Some(Duration::from_millis(1_250));
        let text = serde_json::to_string(&Receipt(&object)).unwrap();
        assert_eq!(
            text,
            r#"{"uri":"s3://b/\"k\"","size":18446744073709551615,"e_tag":"abc-2","checksum":"ffffffffffffffff","last_modified":"1970-01-02T00:00:00.5Z","tags":{"k":"v"},"parts":3,"condition":"enforced","elapsed":1.25}"#
        );
    }

    #[test]
    fn a_time_that_nobody_can_write_is_null() {
        let mut object = ObjectMetadata::new("x", 0);
        object.last_modified = Some(UNIX_EPOCH + Duration::from_secs(1 << 40));
        let text = serde_json::to_string(&Receipt(&object)).unwrap();
        assert!(text.ends_with(r#""last_modified":null}"#), "{text}");
    }
}
