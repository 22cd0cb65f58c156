//! From a request to its answer: finds the kind, reads the parameters, calls the verb, shows the result. Holds the store's lock only in between.

use crate::discovery;
use crate::failure::{Failure, FieldError};
use crate::lab::Inner;
use crate::media::{self, Form};
use crate::openapi;
use crate::options::Parameters;
use crate::parts;
use crate::paths::{self as urls, Address, Place};
use crate::present::View;
use crate::request::{Call, Verb, header};
use crate::resource::Resource;
use crate::reviews;
use crate::selector::Selector;
use crate::server::Answer;
use crate::table;
use crate::verbs::{DeleteOptions, Desk, ListOptions, Part, PatchKind, WriteOptions};
use crate::watch::{self, WatchOptions};
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// One request about objects, with all that is needed to answer it.
struct Exchange<'a> {
    lab: &'a Arc<Inner>,
    resource: Arc<Resource>,
    address: Address,
    query: Vec<(String, String)>,
    request: &'a Request<Bytes>,
    form: Form,
    verb: Verb,
}

/// Answers a request. Refusals are answers too.
pub(crate) fn respond(lab: &Arc<Inner>, call: &Call, request: &Request<Bytes>) -> Answer {
    answer(lab, call, request).unwrap_or_else(|failure| Answer::refusal(&failure))
}

fn answer(lab: &Arc<Inner>, call: &Call, request: &Request<Bytes>) -> Result<Answer, Failure> {
    let store = lab.store();
    let address = match urls::parse(&call.path) {
        Place::Core => return Ok(Answer::json(200, &discovery::core())),
        Place::Groups => return Ok(Answer::json(200, &discovery::groups(&store.registry))),
        Place::Group(group) => {
            return Ok(
                discovery::group(&store.registry, &group).map_or_else(|_| no_page(), |group| Answer::json(200, &group))
            );
        }
        Place::Version(group, version) => {
            let resources = discovery::resources(&store.registry, &group, &version);
            return Ok(resources.map_or_else(|_| no_page(), |resources| Answer::json(200, &resources)));
        }
        Place::Other if call.path == "/openapi/v3" => return Ok(Answer::json(200, &openapi::index(&store.registry))),
        Place::Other if call.path == "/openapi/v2" => {
            return Ok(match header(request.headers(), "accept") {
                accept if accept.contains("protobuf") => Answer::bytes(200, openapi::V2_MEDIA, openapi::EMPTY_V2),
                _ => Answer::json(200, &openapi::empty_v2()),
            });
        }
        Place::Other => {
            return match call.path.strip_prefix("/openapi/v3/") {
                Some(path) => Ok(Answer::json(200, &openapi::document(&store.registry, path)?)),
                None => Ok(other(&call.path)),
            };
        }
        Place::Objects(address) => address,
    };
    if reviews::GROUPS.contains(&address.group.as_str()) && call.verb == Verb::Create {
        let body = media::body(header(request.headers(), "content-type"), request.body())?;
        let answer = reviews::answer(&address.group, &address.plural, body).ok_or_else(Failure::no_such_path)?;
        return Ok(Answer::json(201, &answer));
    }
    let resource = store.registry.by_path(&address.group, &address.version, &address.plural);
    let of_built_in =
        |one: &Arc<Resource>| one.builtin().is_some() && one.group == address.group && one.version == address.version;
    let is_known = store.registry.iter().any(of_built_in);
    drop(store);
    let Some(resource) = resource else {
        return if is_known { Err(Failure::no_such_path()) } else { Ok(no_page()) };
    };
    if !resource.namespaced && !address.namespace.is_empty() {
        return Err(Failure::no_such_path());
    }
    let form = media::accepted(header(request.headers(), "accept")).map_err(|why| without_streams(why, call))?;
    Exchange { lab, resource, address, query: urls::query(&call.query), request, form, verb: call.verb }
        .answer(call.verb)
}

fn other(path: &str) -> Answer {
    match path {
        "/version" | "/version/" => Answer::json(200, &discovery::version()),
        "/healthz" | "/livez" | "/readyz" => Answer::text(200, "ok"),
        _ => no_page(),
    }
}

/// 404 of a path that is not even one of an API.
fn no_page() -> Answer {
    Answer::text(404, "404 page not found\n")
}

/// Streams are an offer to those only who may watch.
fn without_streams(mut failure: Failure, call: &Call) -> Failure {
    if !call.name.is_empty()
        && let Some((before, _)) = failure.message.split_once(", application/json;stream=watch")
    {
        failure.message = before.to_owned();
    }
    failure
}

/// A list says more about a bad version than a watch.
fn without_lead(message: &str) -> &str {
    message.strip_prefix("invalid resource version: ").unwrap_or(message)
}

/// 422 for the parameter `resourceVersionMatch` of a watch.
fn invalid_list(why: &str) -> Failure {
    Failure::invalid("ListOptions", "meta.k8s.io", "", &[FieldError::forbidden("resourceVersionMatch", why)])
}

impl Exchange<'_> {
    fn answer(&self, verb: Verb) -> Result<Answer, Failure> {
        if let Some(refusal) = parts::refusal(&self.resource, &self.address.name, &self.address.subresource) {
            return Err(refusal);
        }
        match self.address.subresource.as_str() {
            "" => self.objects(verb),
            "status" if self.resource.status => self.status(verb),
            "scale" if self.resource.scale.is_some() => self.scale(verb),
            "finalize" if self.resource.table == "namespaces" && verb == Verb::Update => {
                self.write(|desk, body| desk.replace("", &self.address.name, body, Part::Main))
            }
            // A custom kind without that subresource claims that the object does not exist.
            _ if self.resource.custom().is_some() => Err(self.resource.not_found(&self.address.name)),
            _ => Err(Failure::no_such_path()),
        }
    }

    fn objects(&self, verb: Verb) -> Result<Answer, Failure> {
        let (namespace, name) = (self.address.namespace.as_str(), self.address.name.as_str());
        // Objects of namespaced kinds have no address without their namespace.
        if self.resource.namespaced
            && namespace.is_empty()
            && !matches!(verb, Verb::List | Verb::Watch | Verb::DeleteCollection)
        {
            return match verb {
                Verb::Create if self.resource.custom().is_some() => Ok(no_page()),
                Verb::Create => Err(Failure::method_not_allowed()),
                _ => Err(Failure::no_such_path()),
            };
        }
        match verb {
            Verb::Get => self.read(|desk| desk.get(namespace, name)),
            Verb::List => self.list(),
            Verb::Watch => self.watch(),
            Verb::Create if name.is_empty() => self.write(|desk, body| Ok((desk.create(namespace, body)?, true))),
            Verb::Update if !name.is_empty() => {
                self.write(|desk, body| desk.replace(namespace, name, body, Part::Main))
            }
            Verb::Patch if !name.is_empty() => self.patch(Part::Main),
            Verb::Delete => self.delete(),
            Verb::DeleteCollection => self.delete_collection(),
            _ => Err(Failure::method_not_allowed()),
        }
    }

    fn status(&self, verb: Verb) -> Result<Answer, Failure> {
        let (namespace, name) = (self.address.namespace.as_str(), self.address.name.as_str());
        match verb {
            Verb::Get => self.read(|desk| desk.get(namespace, name)),
            Verb::Update => self.write(|desk, body| desk.replace(namespace, name, body, Part::Status)),
            Verb::Patch => self.patch(Part::Status),
            _ => Err(Failure::method_not_allowed()),
        }
    }

    fn scale(&self, verb: Verb) -> Result<Answer, Failure> {
        let (namespace, name) = (self.address.namespace.as_str(), self.address.name.as_str());
        let mut store = self.lab.store();
        let mut desk = self.desk(&mut store)?;
        let scale = match verb {
            Verb::Get => desk.scale(namespace, name)?,
            Verb::Update => desk.set_scale(namespace, name, &self.body()?)?,
            Verb::Patch => {
                let mut scale = desk.scale(namespace, name)?;
                PatchKind::of(self.content_type())?.apply_to_plain(&mut scale, &self.body()?)?;
                desk.set_scale(namespace, name, &scale)?
            }
            _ => return Err(Failure::method_not_allowed()),
        };
        drop(store);
        let shown = match self.form {
            Form::Table => table::scale(&scale, self.parameter("includeObject"), self.lab.clock().now()),
            Form::Whole | Form::Metadata => scale,
        };
        Ok(Answer::json(200, &shown))
    }

    fn read(&self, verb: impl FnOnce(&mut Desk<'_>) -> Result<Arc<Value>, Failure>) -> Result<Answer, Failure> {
        let mut store = self.lab.store();
        let object = verb(&mut self.desk(&mut store)?)?;
        drop(store);
        Ok(Answer::json(200, &self.view().object(&object)))
    }

    fn write(
        &self,
        verb: impl FnOnce(&mut Desk<'_>, Value) -> Result<(Arc<Value>, bool), Failure>,
    ) -> Result<Answer, Failure> {
        let body = self.body()?;
        let mut store = self.lab.store();
        let mut desk = self.desk(&mut store)?;
        let (object, created) = verb(&mut desk, body)?;
        let warnings = std::mem::take(&mut desk.warnings);
        drop(store);
        Ok(Answer::json(if created { 201 } else { 200 }, &self.view().object(&object)).warning(&warnings))
    }

    fn patch(&self, part: Part) -> Result<Answer, Failure> {
        let kind = PatchKind::of(self.content_type())?;
        let body = self.body()?;
        let mut store = self.lab.store();
        let mut desk = self.desk(&mut store)?;
        let (object, created) = desk.patch(&self.address.namespace, &self.address.name, kind, &body, part)?;
        let warnings = std::mem::take(&mut desk.warnings);
        drop(store);
        Ok(Answer::json(if created { 201 } else { 200 }, &self.view().object(&object)).warning(&warnings))
    }

    fn list(&self) -> Result<Answer, Failure> {
        let options = self.list_options()?;
        let mut store = self.lab.store();
        let page = self.desk(&mut store)?.list(self.scope(), &options)?;
        drop(store);
        Ok(Answer::json(200, &self.view().list(&page)))
    }

    fn watch(&self) -> Result<Answer, Failure> {
        let is = |key: &str| self.parameters().flag(key);
        let initial_events = is("sendInitialEvents");
        let version_match = self.parameter("resourceVersionMatch");
        if initial_events && version_match != "NotOlderThan" {
            return Err(invalid_list("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
        }
        if !version_match.is_empty() && self.parameter("sendInitialEvents").is_empty() {
            return Err(invalid_list(
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        let options = WatchOptions {
            view: self.view(),
            namespace: self.scope().map(str::to_owned),
            selector: self.selector()?,
            after: self
                .version()
                .map_err(|why| Failure::unknown(without_lead(&why.message)))?
                .filter(|version| *version > 0),
            initial_events,
            bookmarks: is("allowWatchBookmarks"),
            timeout: self
                .parameter("timeoutSeconds")
                .parse()
                .ok()
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
        };
        Ok(Answer::stream(watch::start(self.lab, &mut self.lab.store(), options)))
    }

    fn delete(&self) -> Result<Answer, Failure> {
        let options = self.delete_options()?;
        let mut store = self.lab.store();
        let (object, gone) = self.desk(&mut store)?.delete(&self.address.namespace, &self.address.name, &options)?;
        drop(store);
        if !gone || self.resource.builtin().is_some_and(|one| one.returns_deleted) {
            return Ok(Answer::json(200, &self.view().object(&object)));
        }
        let mut details = json!({"name": self.address.name, "group": self.resource.group, "kind": self.resource.plural, "uid": crate::store::uid(&object)});
        if self.resource.group.is_empty() {
            objects::paths::set(&mut details, &["group"], Value::Null);
        }
        Ok(Answer::json(
            200,
            &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}),
        ))
    }

    fn delete_collection(&self) -> Result<Answer, Failure> {
        let (list, options) = (self.list_options()?, self.delete_options()?);
        let mut store = self.lab.store();
        let items = self.desk(&mut store)?.delete_collection(self.scope(), &list, &options)?;
        let page = crate::verbs::Page { items, version: store.version(), more: String::new(), remaining: None };
        drop(store);
        Ok(Answer::json(200, &self.view().list(&page)))
    }

    fn desk<'s>(&self, store: &'s mut crate::store::Store) -> Result<Desk<'s>, Failure> {
        Ok(Desk::new(store, Arc::clone(&self.resource), self.lab.clock().now(), self.write_options()?))
    }

    fn view(&self) -> View {
        let include = self.parameter("includeObject").to_owned();
        View { resource: Arc::clone(&self.resource), form: self.form, include, now: self.lab.clock().now() }
    }

    fn parameters(&self) -> Parameters<'_> {
        Parameters(&self.query)
    }

    fn parameter(&self, key: &str) -> &str {
        self.parameters().text(key)
    }

    fn content_type(&self) -> &str {
        header(self.request.headers(), "content-type")
    }

    fn body(&self) -> Result<Value, Failure> {
        media::body(self.content_type(), self.request.body())
    }

    fn scope(&self) -> Option<&str> {
        Some(self.address.namespace.as_str()).filter(|namespace| !namespace.is_empty())
    }

    fn version(&self) -> Result<Option<u64>, Failure> {
        let text = self.parameter("resourceVersion");
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| {
            let why = format!("Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax");
            Failure::bad_request(format!("invalid resource version: resourceVersion: {why}"))
        })
    }

    fn selector(&self) -> Result<Selector, Failure> {
        let mut fields = self.parameter("fieldSelector").to_owned();
        if !self.address.name.is_empty() {
            fields = format!("metadata.name={}", self.address.name);
        }
        Selector::parse(&self.resource, self.parameter("labelSelector"), &fields)
    }

    fn list_options(&self) -> Result<ListOptions, Failure> {
        self.parameters().check_list()?;
        let whole = self.parameter("resourceVersion") == "0" && self.parameter("continue").is_empty();
        Ok(ListOptions {
            selector: self.selector()?,
            // What may be of any age comes from the server's cache, which knows no pages.
            limit: usize::try_from(self.parameters().number("limit")?).ok().filter(|_| !whole).unwrap_or_default(),
            after: Some(self.parameter("continue").to_owned()).filter(|token| !token.is_empty()),
            version: self.version()?.unwrap_or_default(),
            exact: self.parameter("resourceVersionMatch") == "Exact",
        })
    }

    fn write_options(&self) -> Result<WriteOptions, Failure> {
        self.parameters().write(self.verb, header(self.request.headers(), "user-agent"))
    }

    fn delete_options(&self) -> Result<DeleteOptions, Failure> {
        let mut body = if self.request.body().is_empty() { json!({}) } else { self.body()? };
        for key in ["propagationPolicy", "orphanDependents"] {
            let text = self.parameter(key);
            if !text.is_empty() {
                objects::paths::set(&mut body, &[key], if text == "true" { json!(true) } else { json!(text) });
            }
        }
        DeleteOptions::read(&body)
    }
}
