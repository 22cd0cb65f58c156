//! Getting and listing objects.

use super::Desk;
use crate::failure::Failure;
use crate::selector::Selector;
use crate::store::{Key, key_of};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::Arc;

/// What to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListOptions {
    /// Which objects.
    pub selector: Selector,
    /// The most that one page holds; 0: no limit.
    pub limit: usize,
    /// Where the previous page ended.
    pub after: Option<String>,
    /// The version that is asked for; 0: any.
    pub version: u64,
    /// Whether exactly that version is wanted.
    pub exact: bool,
}

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    /// The objects, as they are stored.
    pub items: Vec<Arc<Value>>,
    /// The version of the whole list.
    pub version: u64,
    /// How to get the next page; empty: there is none.
    pub more: String,
    /// How many objects the next pages hold, where that is known.
    pub remaining: Option<usize>,
}

const LOST: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, \
    or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - \
    objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

impl Desk<'_> {
    /// One object, as it is stored.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Result<Arc<Value>, Failure> {
        self.present(namespace, name)
    }

    /// The objects of one namespace, or of all.
    pub(crate) fn list(&self, namespace: Option<&str>, options: &ListOptions) -> Result<Page, Failure> {
        let now = self.store.version();
        if options.version > now {
            return Err(Failure::too_large_version(options.version, now));
        }
        let (version, after) = match &options.after {
            Some(token) => read_token(token)?,
            None if options.exact => (options.version, None),
            None => (now, None),
        };
        let objects = if version == now {
            self.store.list(&self.resource.table, namespace).cloned().collect()
        } else {
            self.store.list_at(&self.resource.table, namespace, version).map_err(|lost| {
                if options.after.is_some() {
                    Failure::expired(LOST)
                } else {
                    Failure::expired(format!(
                        "The resourceVersion for the provided list is too old. ({} < {})",
                        version, lost.oldest
                    ))
                }
            })?
        };
        let mut rest = objects.into_iter().filter(|object| after.as_ref().is_none_or(|after| key_of(object) > *after));
        let wanted = rest.by_ref().filter(|object| options.selector.matches(&self.resource.present(object)));
        let items: Vec<_> = if options.limit == 0 { wanted.collect() } else { wanted.take(options.limit).collect() };
        let full = options.limit > 0 && items.len() == options.limit;
        let left = if full { rest.count() } else { 0 };
        let more = items.last().filter(|_| left > 0).map(|last| token(version, &key_of(last))).unwrap_or_default();
        let remaining = (left > 0 && options.selector.is_empty()).then_some(left);
        Ok(Page { items, version, more, remaining })
    }
}

fn token(version: u64, last: &Key) -> String {
    URL_SAFE_NO_PAD.encode(json!({"v": "meta.k8s.io/v1", "rv": version, "start": [last.0, last.1]}).to_string())
}

fn read_token(token: &str) -> Result<(u64, Option<Key>), Failure> {
    let invalid = || Failure::bad_request("invalid continue token: continue key is not valid");
    let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|_| invalid())?;
    let token: Value = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
    let version = token.get("rv").and_then(Value::as_u64).ok_or_else(invalid)?;
    let part = |at: usize| Some(token.get("start")?.get(at)?.as_str()?.to_owned());
    Ok((version, Some((part(0).ok_or_else(invalid)?, part(1).ok_or_else(invalid)?))))
}
