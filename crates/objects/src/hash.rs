//! The spec hash: which revision of a target this is, in exactly the characters that the reference writes to the status.
//!
//! The hash is FNV-1a over a typed dump of the object, so it depends on the Go types of one release of the Kubernetes API
//! (`types.txt`): unset fields are in it too. [`Generation::CURRENT`] is the one to store; the older ones tell whether a stored
//! hash was written by an older release of the reference for the same object.
//! Works on the raw JSON that the API server returned; what has an unexpected JSON type counts as absent.
//! Does not decide whether something changed, and does not read or store hashes.
//!
//! Source: the public Go modules k8s.io/api, k8s.io/apimachinery and github.com/davecgh/go-spew (its `%#v` with methods off and
//! keys sorted); `tests/vectors/` holds what they give.

mod dump;
mod quantity;
mod schema;
mod time;

use dump::{Dumper, NodeSelector};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// A release of the Kubernetes API types that some release of the reference was built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Generation {
    /// k8s.io/api 0.26: reference 1.28 to 1.33.
    V26,
    /// k8s.io/api 0.27: reference 1.34 to 1.37.
    V27,
    /// k8s.io/api 0.30: reference 1.38.
    V30,
    /// k8s.io/api 0.31: reference 1.39 and 1.40.
    V31,
    /// k8s.io/api 0.32: reference 1.41.
    V32,
    /// k8s.io/api 0.34: reference 1.42.
    V34,
    /// k8s.io/api 0.35: reference 1.43.
    V35,
    /// k8s.io/api 0.36: reference 1.44.
    V36,
}

impl Generation {
    /// The generation whose hashes are stored. Frozen: another one would restart every canary.
    pub const CURRENT: Self = Self::V36;

    /// All that a status may have been written with, oldest first.
    pub const ALL: [Self; 8] = [Self::V26, Self::V27, Self::V30, Self::V31, Self::V32, Self::V34, Self::V35, Self::V36];

    /// The generations that are only recognised, newest first.
    pub const OLDER: [Self; 7] = [Self::V35, Self::V34, Self::V32, Self::V31, Self::V30, Self::V27, Self::V26];

    /// The minor version of k8s.io/api.
    pub fn minor(self) -> u8 {
        match self {
            Self::V26 => 26,
            Self::V27 => 27,
            Self::V30 => 30,
            Self::V31 => 31,
            Self::V32 => 32,
            Self::V34 => 34,
            Self::V35 => 35,
            Self::V36 => 36,
        }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "0.{}", self.minor())
    }
}

/// Hash of a Deployment's `spec.template`.
pub fn pod_template(template: &Value, generation: Generation) -> String {
    hash_of(|out| write_template(out, template, generation, NodeSelector::AsIs))
}

/// Hash of a DaemonSet's `spec.template`. The node selector by which the target is scaled to zero is left out,
/// so that scaling is no new revision.
pub fn daemon_set_template(template: &Value, generation: Generation) -> String {
    hash_of(|out| write_template(out, template, generation, NodeSelector::WithoutScaleToZero))
}

/// Hash of a core Service's `spec`.
pub fn service_spec(spec: &Value, generation: Generation) -> String {
    hash_of(|out| write_service(out, spec, generation))
}

/// Hash of a text: the name of a Knative revision.
pub fn text(text: &str) -> String {
    hash_of(|out| write!(out, "(string){text}"))
}

/// The `checksum` of webhook payloads: identifies the tracked configs and the revision.
/// `None` (no `status.trackedConfigs`) and an empty map differ.
pub fn webhook_checksum(tracked: Option<&BTreeMap<String, String>>, last_applied: &str) -> String {
    hash_of(|out| write_webhook(out, tracked, last_applied))
}

/// Whether the hash of this template is sure to be the reference's. A time or `managedFields` in the metadata (pasted from an
/// exported object) is dumped by the reference with the time zone data of its process; the hash then assumes a container
/// without such data.
pub fn reproducible(template: &Value) -> bool {
    let plain = |metadata: Option<&Value>| {
        ["creationTimestamp", "deletionTimestamp", "managedFields"].iter().all(|key| {
            metadata
                .and_then(|metadata| metadata.get(key))
                .is_none_or(|value| value.is_null() || value.as_array().is_some_and(Vec::is_empty))
        })
    };
    let volumes = template.pointer("/spec/volumes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    plain(template.get("metadata"))
        && volumes.iter().all(|volume| plain(volume.pointer("/ephemeral/volumeClaimTemplate/metadata")))
}

/// The text that [`pod_template`] hashes, to see why two hashes differ.
pub fn dump_pod_template(template: &Value, generation: Generation) -> String {
    text_of(|out| write_template(out, template, generation, NodeSelector::AsIs))
}

/// The text that [`daemon_set_template`] hashes.
pub fn dump_daemon_set_template(template: &Value, generation: Generation) -> String {
    text_of(|out| write_template(out, template, generation, NodeSelector::WithoutScaleToZero))
}

/// The text that [`service_spec`] hashes.
pub fn dump_service_spec(spec: &Value, generation: Generation) -> String {
    text_of(|out| write_service(out, spec, generation))
}

/// The text that [`webhook_checksum`] hashes.
pub fn dump_webhook_checksum(tracked: Option<&BTreeMap<String, String>>, last_applied: &str) -> String {
    text_of(|out| write_webhook(out, tracked, last_applied))
}

fn write_template(out: &mut impl Write, template: &Value, generation: Generation, rule: NodeSelector) -> fmt::Result {
    out.write_str("(v1.PodTemplateSpec)")?;
    Dumper::new(out, rule).structure(&schema::of(generation).template, template)
}

fn write_service(out: &mut impl Write, spec: &Value, generation: Generation) -> fmt::Result {
    out.write_str("(v1.ServiceSpec)")?;
    Dumper::new(out, NodeSelector::AsIs).structure(&schema::of(generation).service, spec)
}

fn write_webhook(out: &mut impl Write, tracked: Option<&BTreeMap<String, String>>, last_applied: &str) -> fmt::Result {
    out.write_str("(struct { TrackedConfigs *map[string]string; LastAppliedSpec string })")?;
    out.write_str("{TrackedConfigs:(*map[string]string)")?;
    match tracked {
        None => out.write_str("<nil>")?,
        Some(tracked) => {
            out.write_str("map[")?;
            for (index, (key, value)) in tracked.iter().enumerate() {
                write!(out, "{}{key}:{value}", if index == 0 { "" } else { " " })?;
            }
            out.write_str("]")?;
        }
    }
    write!(out, " LastAppliedSpec:(string){last_applied}}}")
}

/// The hash of what is written. The dump is not kept: a template's is some kilobytes, and most of it is constant.
fn hash_of(write: impl FnOnce(&mut Fnv) -> fmt::Result) -> String {
    let mut sum = Fnv(Fnv::OFFSET);
    match write(&mut sum) {
        Ok(()) | Err(fmt::Error) => encode(sum.0), // writing to a number never fails
    }
}

fn text_of(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut text = String::new();
    match write(&mut text) {
        Ok(()) | Err(fmt::Error) => text, // nor does writing to a String
    }
}

/// The decimal digits of the sum in an alphabet without vowels, so that no word comes out.
fn encode(sum: u32) -> String {
    let digits = sum.to_string();
    digits.chars().filter_map(|digit| "456789bcdf".chars().nth(digit.to_digit(10)? as usize)).collect()
}

/// FNV-1a, 32 bits, over everything written.
struct Fnv(u32);

impl Fnv {
    const OFFSET: u32 = 2_166_136_261;
    const PRIME: u32 = 16_777_619;
}

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = text.bytes().fold(self.0, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(Self::PRIME));
        Ok(())
    }
}
