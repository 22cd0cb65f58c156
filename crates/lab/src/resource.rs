//! What is served: one [`Resource`] per kind and version, built in or defined by a `CustomResourceDefinition`, and the registry that finds them.
//!
//! The built-in ones come from the table in `builtins.rs`, the custom ones from `crd.rs`.

use crate::builtins::{BUILT_INS, BuiltIn};
use crate::failure::{Failure, FieldError, qualified};
use crate::schema::Schema;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::Arc;

/// One kind in one version, as it is served.
#[derive(Debug)]
pub(crate) struct Resource {
    /// API group; empty for the core group.
    pub group: String,
    /// Version within the group.
    pub version: String,
    /// Name in `kind:`.
    pub kind: String,
    /// Name in `kind:` of lists.
    pub list_kind: String,
    /// Name in URLs.
    pub plural: String,
    /// Name for people.
    pub singular: String,
    /// Abbreviations that kubectl knows.
    pub short_names: Vec<String>,
    /// Groups of kinds, e.g. `all`.
    pub categories: Vec<String>,
    /// False for cluster-scoped kinds.
    pub namespaced: bool,
    /// Whether there is a `status` subresource.
    pub status: bool,
    /// Where the `scale` subresource finds its numbers, if there is one.
    pub scale: Option<Scale>,
    /// The table of the store that holds the objects of all versions: `plural.group`.
    pub table: String,
    /// `apiVersion` of the objects in the store.
    pub storage_version: String,
    /// Where it comes from, and its rules.
    pub origin: Origin,
}

/// Paths of the `scale` subresource, as JSON pointers.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    /// Wanted number.
    pub spec: String,
    /// Present number.
    pub status: String,
    /// The label selector as text, or an object (`/spec/selector`) for built-in kinds.
    pub selector: Option<String>,
}

/// Where a kind comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// The table of built-in kinds.
    BuiltIn(&'static BuiltIn),
    /// A `CustomResourceDefinition`.
    Custom(Box<Custom>),
}

/// What a `CustomResourceDefinition` says about one version.
#[derive(Debug)]
pub(crate) struct Custom {
    /// The structural schema.
    pub schema: Schema,
    /// `additionalPrinterColumns`.
    pub columns: Vec<Column>,
    /// `selectableFields`, as JSON pointers.
    pub selectable: Vec<String>,
}

/// One column of kubectl's tables.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Heading.
    pub name: String,
    /// `string`, `integer`, `date`...
    pub kind: String,
    /// Above 0: only with `-o wide`.
    pub priority: i64,
    /// `JSONPath` of the value.
    pub path: String,
}

impl Resource {
    /// A resource of the built-in table.
    fn built_in(one: &'static BuiltIn) -> Self {
        let strings = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        Self {
            group: one.group.to_owned(),
            version: one.version.to_owned(),
            kind: one.kind.to_owned(),
            list_kind: format!("{}List", one.kind),
            plural: one.plural.to_owned(),
            singular: one.kind.to_lowercase(),
            short_names: strings(one.short),
            categories: strings(one.categories),
            namespaced: one.namespaced,
            status: one.status,
            scale: one.scale.then(|| Scale {
                spec: "/spec/replicas".to_owned(),
                status: "/status/replicas".to_owned(),
                selector: Some("/spec/selector".to_owned()),
            }),
            table: qualified(one.plural, one.table_group()),
            storage_version: one.storage_api_version(),
            origin: Origin::BuiltIn(one),
        }
    }

    /// `group/version`, or only the version in the core group.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The schema of a custom kind.
    pub(crate) fn custom(&self) -> Option<&Custom> {
        match &self.origin {
            Origin::Custom(custom) => Some(custom),
            Origin::BuiltIn(_) => None,
        }
    }

    /// The entry of the table of built-in kinds.
    pub(crate) fn builtin(&self) -> Option<&'static BuiltIn> {
        match &self.origin {
            Origin::Custom(_) => None,
            Origin::BuiltIn(one) => Some(one),
        }
    }

    /// Whether `metadata.generation` counts changes.
    pub(crate) fn counts_generations(&self) -> bool {
        self.builtin().is_none_or(|one| one.generation)
    }

    /// Whether an update may leave out the version that it is based on.
    pub(crate) fn allows_unconditional_update(&self) -> bool {
        self.builtin().is_some()
    }

    /// The object as this version shows it.
    pub(crate) fn present<'a>(&self, stored: &'a Value) -> Cow<'a, Value> {
        let api_version = self.api_version();
        if api_version == self.storage_version {
            return Cow::Borrowed(stored);
        }
        let mut object = stored.clone();
        match self.builtin() {
            Some(one) => (one.present)(&mut object),
            None => objects::paths::set(&mut object, &["apiVersion"], json!(api_version)),
        }
        Cow::Owned(object)
    }

    /// The object as it is stored.
    pub(crate) fn stored(&self, mut object: Value) -> Value {
        if self.api_version() != self.storage_version {
            match self.builtin() {
                Some(one) => (one.store)(&mut object),
                None => objects::paths::set(&mut object, &["apiVersion"], json!(self.storage_version)),
            }
        }
        object
    }

    /// 404 for an object of this kind.
    pub(crate) fn not_found(&self, name: &str) -> Failure {
        Failure::not_found(&self.plural, &self.group, name)
    }

    /// 422 for an object of this kind.
    pub(crate) fn invalid(&self, name: &str, errors: &[FieldError]) -> Failure {
        Failure::invalid(&self.kind, &self.group, name, errors)
    }

    /// 409 for an object of this kind.
    pub(crate) fn conflict(&self, name: &str, why: &str) -> Failure {
        Failure::conflict(&self.plural, &self.group, name, why)
    }

    /// Whether kubectl's short forms mean this kind: `deployments.apps`, `deploy`, `Deployment`.
    fn is_called(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case(&self.plural)
            || name.eq_ignore_ascii_case(&self.singular)
            || name.eq_ignore_ascii_case(&self.kind)
            || name.eq_ignore_ascii_case(&self.table)
            || self.short_names.iter().any(|short| short.eq_ignore_ascii_case(name))
    }
}

/// All kinds that are served, built-in ones first.
#[derive(Debug)]
pub(crate) struct Registry {
    resources: Vec<Arc<Resource>>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { resources: BUILT_INS.iter().map(|one| Arc::new(Resource::built_in(one))).collect() }
    }
}

impl Registry {
    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.iter()
    }

    /// The kind behind a URL.
    pub(crate) fn by_path(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        self.resources.iter().find(|one| one.plural == plural && one.version == version && one.group == group).cloned()
    }

    /// The kind of a manifest.
    pub(crate) fn by_kind(&self, api_version: &str, kind: &str) -> Option<Arc<Resource>> {
        self.resources.iter().find(|one| one.kind == kind && one.api_version() == api_version).cloned()
    }

    /// The kind that a person means: plural, singular, kind, short name, or `plural.group`. The first one wins, built-in kinds first.
    pub(crate) fn by_name(&self, name: &str) -> Option<Arc<Resource>> {
        self.resources.iter().find(|one| one.is_called(name)).cloned()
    }

    /// The first resource whose objects are in that table.
    pub(crate) fn by_table(&self, table: &str) -> Option<Arc<Resource>> {
        self.resources.iter().find(|one| one.table == table).cloned()
    }

    /// Puts the versions of a custom kind in place of those it had.
    pub(crate) fn replace(&mut self, table: &str, versions: Vec<Resource>) {
        self.resources.retain(|one| one.table != table || one.builtin().is_some());
        self.resources.extend(versions.into_iter().map(Arc::new));
    }
}
