//! How objects of our own kinds are read and written: leniently in, sparsely out.
//!
//! The macro [`wire!`] declares a struct of which every field follows the same rules, so that no field can forget one:
//! absent, `null` and (for texts) empty mean the default; whole numbers may be written as `5.0`; unknown fields are
//! ignored; what equals the default is not written. Objects written by the reference contain zero values of all these
//! forms, and one object that cannot be read must be an error of that object only.
//! Does not validate: that is the CRD's task, and [`crate::validate`]'s. Source: API notes, section 12 and quirk Q3.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_json::Value;

/// A value with a default that stands for "absent", and a lenient way of reading it.
pub(crate) trait Wire: Sized + Default + PartialEq {
    /// Reads the value; `null` is the default.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;

    /// Whether `Some` of this is the same as `None`, as it is for the empty text.
    fn is_absent(&self) -> bool {
        false
    }
}

/// Declares structs that are read and written by the rules of this module; attributes are kept.
macro_rules! wire {
    ($(
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $( $(#[$field_attribute:meta])* pub $field:ident: $type:ty, )*
        }
    )+) => {$(
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        $(#[$attribute])*
        #[serde(default, rename_all = "camelCase")]
        $visibility struct $name {
            $(
                $(#[$field_attribute])*
                #[serde(deserialize_with = "crate::wire::read", skip_serializing_if = "crate::wire::is_default")]
                pub $field: $type,
            )*
        }

        impl crate::wire::Wire for $name {
            fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::wire::or_default(deserializer)
            }
        }
    )+};
}
pub(crate) use wire;

/// Declares an enum that is a text on the wire. The empty text is the default, a text that is not known is `Unknown`:
/// an object that some other program has written must not become unreadable.
macro_rules! text_enum {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident { $( $(#[$variant_attribute:meta])* $variant:ident = $text:literal, )+ }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $( $(#[$variant_attribute])* $variant, )+
            /// A text that this program does not know.
            Unknown,
        }

        impl $name {
            /// All values that have a text of their own, in the order of their declaration.
            pub const ALL: &[Self] = &[$( Self::$variant, )+];

            /// The text on the wire; empty for `Unknown`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $( Self::$variant => $text, )+
                    Self::Unknown => "",
                }
            }

            /// The value that a text on the wire stands for.
            pub fn from_text(text: &str) -> Self {
                if text.is_empty() {
                    return Self::default();
                }
                Self::ALL.iter().copied().find(|value| value.as_str() == text).unwrap_or(Self::Unknown)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text: std::borrow::Cow<'de, str> = serde::Deserialize::deserialize(deserializer)?;
                Ok(Self::from_text(&text))
            }
        }

        impl crate::wire::Wire for $name {
            fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::wire::or_default(deserializer)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut texts: Vec<_> = Self::ALL.iter().map(|value| value.as_str()).collect();
                if !texts.contains(&"") {
                    texts.insert(0, "");
                }
                schemars::json_schema!({"type": "string", "enum": texts})
            }
        }
    };
}
pub(crate) use text_enum;

/// Entry point of the attributes that [`wire!`] adds.
pub(crate) fn read<'de, D: Deserializer<'de>, T: Wire>(deserializer: D) -> Result<T, D::Error> {
    T::read(deserializer)
}

/// Entry point of the attributes that [`wire!`] adds: what is not written.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Reads a type that has its own `Deserialize`; `null` is the default.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Lends [`Wire::read`] to the elements of lists and maps, whose own `Deserialize` would be strict.
struct Element<T>(T);

impl<'de, T: Wire> Deserialize<'de> for Element<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Element)
    }
}

impl Wire for String {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        or_default(deserializer)
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

impl Wire for bool {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        or_default(deserializer)
    }
}

impl Wire for f64 {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        or_default(deserializer)
    }
}

impl Wire for Value {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer)
    }

    fn is_absent(&self) -> bool {
        self.is_null()
    }
}

impl Wire for Timestamp {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        or_default(deserializer)
    }
}

macro_rules! whole_number {
    ($($type:ty),*) => {$(
        impl Wire for $type {
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Whole(PhantomData))
            }
        }
    )*};
}
whole_number!(i32, i64, u32);

/// Accepts `5` and `5.0`; refuses `5.5`, naming it.
struct Whole<T>(PhantomData<T>);

impl<T: TryFrom<i64> + Default> Visitor<'_> for Whole<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a whole number")
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        T::try_from(number).map_err(|_| E::custom(format_args!("{number} is out of range")))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        let signed = i64::try_from(number).map_err(|_| E::custom(format_args!("{number} is out of range")))?;
        self.visit_i64(signed)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        // The bound is exact in binary, so everything within it converts without loss.
        const LIMIT: f64 = 9_007_199_254_740_992.0;
        if number.fract() != 0.0 {
            return Err(E::custom(format_args!("{number} is not a whole number")));
        }
        if number.abs() > LIMIT {
            return Err(E::custom(format_args!("{number} is out of range")));
        }
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53, checked above")]
        self.visit_i64(number as i64)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read: Option<Element<T>> = Option::deserialize(deserializer)?;
        Ok(read.map(|Element(value)| value).filter(|value| !value.is_absent()))
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read: Option<Vec<Element<T>>> = Option::deserialize(deserializer)?;
        Ok(read.unwrap_or_default().into_iter().map(|Element(value)| value).collect())
    }
}

impl<T: Wire> Wire for BTreeMap<String, T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read: Option<BTreeMap<String, Element<T>>> = Option::deserialize(deserializer)?;
        Ok(read.unwrap_or_default().into_iter().map(|(key, Element(value))| (key, value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    wire! {
        /// One field of each form.
        pub(super) struct Sample {
            pub text: String,
            pub name: Option<String>,
            pub flag: bool,
            pub count: i64,
            pub limit: Option<i32>,
            pub steps: Vec<i64>,
            pub labels: BTreeMap<String, String>,
            pub present: Option<BTreeMap<String, String>>,
            pub free: Option<Value>,
        }
    }

    fn read(value: Value) -> Result<Sample, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn absent_null_and_empty_are_the_same() {
        let nothing = read(json!({})).unwrap();
        let nulls = json!({"text": null, "name": null, "flag": null, "count": null, "limit": null, "steps": null,
            "labels": null, "present": null, "free": null, "unheardOf": {"a": 1}});
        assert_eq!(read(nulls).unwrap(), nothing);
        let empty = json!({"text": "", "name": "", "flag": false, "count": 0, "steps": [], "labels": {}});
        assert_eq!(read(empty).unwrap(), nothing);
        assert_eq!(serde_json::to_value(&nothing).unwrap(), json!({}));
    }

    #[test]
    fn a_map_that_may_be_absent_or_empty_keeps_the_difference() {
        let sample = read(json!({"present": {}})).unwrap();
        assert_eq!(sample.present, Some(BTreeMap::new()));
        assert_eq!(serde_json::to_value(&sample).unwrap(), json!({"present": {}}));
    }

    #[test]
    fn whole_floats_are_integers_and_fractions_are_named() {
        let sample = read(json!({"count": 5.0, "limit": 1e3, "steps": [1, 2.0]})).unwrap();
        assert_eq!((sample.count, sample.limit, sample.steps), (5, Some(1000), vec![1, 2]));
        assert_eq!(read(json!({"count": 5.5})).unwrap_err(), "5.5 is not a whole number");
        assert_eq!(read(json!({"steps": [0.1]})).unwrap_err(), "0.1 is not a whole number");
        assert_eq!(read(json!({"limit": 3_000_000_000_i64})).unwrap_err(), "3000000000 is out of range");
        assert!(read(json!({"count": "5"})).unwrap_err().contains("a whole number"));
    }

    #[test]
    fn text_and_binary_floats_are_read_alike() {
        let sample: Sample = serde_json::from_str(r#"{"count": 5.0, "limit": null, "steps": null}"#).unwrap();
        assert_eq!((sample.count, sample.limit), (5, None));
    }
}
