//! A foreign object as it is kept: compact bytes, written while the answer of the API server is read.
//!
//! Most of what a watch brings nobody looks at. So no tree is built: the object is copied from the answer into bytes, without managed fields and, of configs,
//! without what `kubectl apply` leaves of their content; its name and version are taken note of on the way.

use kube::api::{ApiResource, ObjectMeta};
use kube::core::DynamicResourceScope;
use objects::Kind;
use objects::kind::{CONFIG_MAP, SECRET};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// Where `kubectl apply` leaves the whole object, the content of a Secret included.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// See the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Slim {
    /// Its namespace; empty for none.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Its version as a number. Versions are opaque by the letter and numbers in fact; one that is no number is taken as newer.
    pub(crate) version: Option<u64>,
    /// The object as JSON.
    pub(crate) bytes: Vec<u8>,
}

impl Slim {
    /// From the answer to a request of ours. Of a config the content is left out.
    pub(crate) fn of(kind: &Kind, object: &Value) -> Self {
        let (mut meta, mut bytes) = (ObjectMeta::default(), Vec::new());
        let copy = Copy { out: &mut bytes, meta: &mut meta, place: Place::Top, only_meta: by_metadata(kind) };
        // Whatever is a value can be written.
        drop(copy.deserialize(object));
        Self::new(meta, bytes)
    }

    fn new(meta: ObjectMeta, bytes: Vec<u8>) -> Self {
        Self {
            namespace: meta.namespace.unwrap_or_default(),
            name: meta.name.unwrap_or_default(),
            version: meta.resource_version.and_then(|version| version.parse().ok()),
            bytes,
        }
    }

    /// The object as a tree.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }
}

/// Kinds that are watched as metadata only.
pub(crate) fn by_metadata(kind: &Kind) -> bool {
    *kind == CONFIG_MAP || *kind == SECRET
}

/// An object as a watch brings it. `META`: only the metadata are asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received<const META: bool> {
    /// Namespace, name and version; nothing else of it is filled in.
    meta: ObjectMeta,
    bytes: Vec<u8>,
}

impl<const META: bool> From<Received<META>> for Slim {
    fn from(received: Received<META>) -> Self {
        Self::new(received.meta, received.bytes)
    }
}

impl<const META: bool> kube::Resource for Received<META> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn metadata_api() -> bool {
        META
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

impl<'de, const META: bool> Deserialize<'de> for Received<META> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (mut meta, mut bytes) = (ObjectMeta::default(), Vec::new());
        Copy { out: &mut bytes, meta: &mut meta, place: Place::Top, only_meta: META }.deserialize(deserializer)?;
        bytes.shrink_to_fit();
        Ok(Self { meta, bytes })
    }
}

/// Where in the object the copying is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Metadata,
    Annotations,
    /// The fields of `metadata` that are taken note of.
    Namespace,
    Name,
    Version,
    Elsewhere,
}

/// Copies one value into `out`.
struct Copy<'a> {
    out: &'a mut Vec<u8>,
    meta: &'a mut ObjectMeta,
    place: Place,
    only_meta: bool,
}

impl Copy<'_> {
    /// Where a field leads; `None`: it is left out.
    fn inside(&self, key: &str) -> Option<Place> {
        Some(match (self.place, key) {
            (Place::Top, "metadata") => Place::Metadata,
            // Of a metadata answer this is the kind of the answer; of a whole config it is its content, which `kubectl apply` leaves in an annotation as well.
            (Place::Top, _) | (Place::Annotations, LAST_APPLIED) if self.only_meta => return None,
            (Place::Metadata, "managedFields") => return None,
            (Place::Metadata, "annotations") => Place::Annotations,
            (Place::Metadata, "namespace") => Place::Namespace,
            (Place::Metadata, "name") => Place::Name,
            (Place::Metadata, "resourceVersion") => Place::Version,
            _ => Place::Elsewhere,
        })
    }

    fn write(self, value: &impl serde::Serialize) {
        // Writing into memory does not fail, and numbers and texts can be written.
        drop(serde_json::to_writer(self.out, value));
    }
}

impl<'de> DeserializeSeed<'de> for Copy<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Copy<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.write(&value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.write(&value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.write(&value);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.write(&value);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        let noted = match self.place {
            Place::Namespace => Some(&mut self.meta.namespace),
            Place::Name => Some(&mut self.meta.name),
            Place::Version => Some(&mut self.meta.resource_version),
            _ => None,
        };
        if let Some(noted) = noted {
            *noted = Some(value.to_owned());
        }
        self.write(&value);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.out.push(b'[');
        let mut first = true;
        loop {
            let before = self.out.len();
            if !first {
                self.out.push(b',');
            }
            let item =
                Copy { out: &mut *self.out, meta: &mut *self.meta, place: Place::Elsewhere, only_meta: self.only_meta };
            if items.next_element_seed(item)?.is_none() {
                self.out.truncate(before);
                break;
            }
            first = false;
        }
        self.out.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        self.out.push(b'{');
        let mut first = true;
        while let Some(key) = fields.next_key::<Cow<'de, str>>()? {
            let Some(place) = self.inside(&key) else {
                fields.next_value::<IgnoredAny>()?;
                continue;
            };
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            drop(serde_json::to_writer(&mut *self.out, &key));
            self.out.push(b':');
            fields.next_value_seed(Copy {
                out: &mut *self.out,
                meta: &mut *self.meta,
                place,
                only_meta: self.only_meta,
            })?;
        }
        self.out.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use objects::kind::SERVICE;
    use proptest::prelude::*;
    use serde_json::json;

    fn read<const META: bool>(object: &Value) -> Slim {
        serde_json::from_str::<Received<META>>(&object.to_string()).unwrap().into()
    }

    #[test]
    fn managed_fields_are_left_out_and_names_noted() {
        let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "n", "name": "a", "resourceVersion": "7",
            "managedFields": [{"manager": "x"}], "annotations": {"k": "v\"\n"}}, "spec": {"name": "not this", "metadata": {"managedFields": 1}}});
        let slim = read::<false>(&object);
        assert_eq!((slim.namespace.as_str(), slim.name.as_str(), slim.version), ("n", "a", Some(7)));
        let mut expected = object.clone();
        expected["metadata"].as_object_mut().unwrap().shift_remove("managedFields");
        assert_eq!(slim.value(), expected);
        assert_eq!(Slim::of(&SERVICE, &object), slim);
    }

    #[test]
    fn nothing_of_a_secret_is_kept() {
        let secret = json!({"metadata": {"name": "s", "annotations": {"mine": "1", LAST_APPLIED: "hidden"}}, "data": {"k": "hidden"}, "stringData": {"k": "hidden"}});
        let kept = json!({"metadata": {"name": "s", "annotations": {"mine": "1"}}});
        assert_eq!(read::<true>(&secret).value(), kept);
        assert_eq!(Slim::of(&SECRET, &secret).value(), kept);
        assert_eq!(read::<true>(&json!({"metadata": {"name": "s"}})).value(), json!({"metadata": {"name": "s"}}));
    }

    #[test]
    fn an_event_of_a_watch_is_read_in_any_order_of_its_fields() {
        let object = json!({"metadata": {"name": "a"}});
        for line in
            [format!(r#"{{"type":"ADDED","object":{object}}}"#), format!(r#"{{"object":{object},"type":"ADDED"}}"#)]
        {
            let event: kube::api::WatchEvent<Received<false>> = serde_json::from_str(&line).unwrap();
            let kube::api::WatchEvent::Added(received) = event else { panic!("{line}") };
            assert_eq!(Slim::from(received).value(), object, "{line}");
        }
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((".{0,8}", inner), 0..6).prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn everything_else_is_kept_as_it_is(spec in json_value()) {
            let object = json!({"metadata": {"name": "a"}, "spec": spec});
            prop_assert_eq!(Slim::of(&SERVICE, &object).bytes, object.to_string().into_bytes());
            let parsed: Value = serde_json::from_str(&object.to_string()).unwrap();
            prop_assert_eq!(read::<false>(&object).bytes, parsed.to_string().into_bytes());
        }
    }
}
