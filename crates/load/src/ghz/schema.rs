//! What is known of the method that is called: its path and the type of its message.
//!
//! From a `.proto` file, a descriptor set, the server's reflection, or, for the health service, from the description kept here: manifests name
//! `/tmp/ghz/health.proto`, a file of the original image, and servers need not have reflection for it.
//! Source: <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>, <https://github.com/grpc/grpc/blob/master/doc/server-reflection.md>.

use super::client::Channel;
use super::options::Options;
use super::status::{self, Status};
use crate::engine;
use anyhow::{Context as _, anyhow, bail};
use http::HeaderMap;
use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::{FileDescriptorProto, FileDescriptorSet};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, Value};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The service that every gRPC server of a mesh has.
const HEALTH: &str = "grpc.health.v1.Health";
const HEALTH_PROTO: &str = r#"
syntax = "proto3";
package grpc.health.v1;
message HealthCheckRequest { string service = 1; }
message HealthCheckResponse {
  enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; SERVICE_UNKNOWN = 3; }
  ServingStatus status = 1;
}
service Health {
  rpc Check(HealthCheckRequest) returns (HealthCheckResponse);
  rpc Watch(HealthCheckRequest) returns (stream HealthCheckResponse);
}
"#;

/// What is used of reflection; both versions have it alike.
const REFLECTION_PROTO: &str = r#"
syntax = "proto3";
package reflection;
message Request { oneof message_request { string file_by_filename = 3; string file_containing_symbol = 4; } }
message Response { Files file_descriptor_response = 4; Failure error_response = 7; }
message Files { repeated bytes file_descriptor_proto = 1; }
message Failure { int32 error_code = 1; string error_message = 2; }
"#;
const REFLECTION: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
/// Files that a server may describe a service with.
const FILES: usize = 1000;

/// A method that can be called.
#[derive(Debug)]
pub(super) struct Method {
    /// `package.Service.Method`.
    pub(super) name: String,
    /// `/package.Service/Method`.
    pub(super) path: String,
    input: MessageDescriptor,
}

impl Method {
    /// The bytes of a message given as JSON.
    pub(super) fn encode(&self, data: &serde_json::Value) -> anyhow::Result<Vec<u8>> {
        let message = DynamicMessage::deserialize(self.input.clone(), data)
            .map_err(|error| anyhow!("Error creating message from data. Data: '{data}' Error: {error}"))?;
        Ok(message.encode_to_vec())
    }
}

/// Finds the method that is asked for; asks the server if need be.
pub(super) fn method(options: &Options, channel: &Channel, metadata: &HeaderMap) -> anyhow::Result<Method> {
    let call = options.call.trim_start_matches('/');
    let (service, name) =
        call.rsplit_once(['/', '.']).ok_or_else(|| anyhow!("{call:?} is not package.Service/Method"))?;
    let service = service.replace('/', ".");
    let pool = match (&options.proto, &options.protoset) {
        // A manifest for another image names a file that is not here.
        (Some(path), _) if service == HEALTH && !Path::new(path).exists() => compiled("health.proto", HEALTH_PROTO)?,
        (Some(path), _) => from_file(Path::new(path), &options.import_paths)?,
        (None, Some(path)) => from_set(Path::new(path))?,
        (None, None) if service == HEALTH => compiled("health.proto", HEALTH_PROTO)?,
        (None, None) => engine::finish(engine::runtime()?, reflected(&service, channel, metadata))?,
    };
    let found = pool.get_service_by_name(&service).and_then(|found| found.methods().find(|one| one.name() == name));
    unary(&found.with_context(|| format!("Symbol not found: {service}.{name}"))?)
}

fn unary(method: &MethodDescriptor) -> anyhow::Result<Method> {
    if method.is_client_streaming() || method.is_server_streaming() {
        bail!("{} streams; this load generator makes unary calls only", method.full_name());
    }
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    Ok(Method { name: method.full_name().to_owned(), path, input: method.input() })
}

/// A `.proto` file, with the files beside it and in the import paths.
fn from_file(path: &Path, import_paths: &[String]) -> anyhow::Result<DescriptorPool> {
    // Protox shows the source line; one line is enough here.
    let failed = |error: protox::Error| anyhow!("{}: {error}", path.display());
    let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty()).map(Path::to_owned);
    let given = import_paths.iter().map(PathBuf::from);
    let mut resolver = ChainFileResolver::new();
    for folder in given.chain(beside).chain([PathBuf::from(".")]) {
        resolver.add(IncludeFileResolver::new(folder));
    }
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_file(path).map_err(failed)?;
    Ok(compiler.descriptor_pool())
}

fn from_set(path: &Path) -> anyhow::Result<DescriptorPool> {
    let bytes = std::fs::read(path).with_context(|| format!("open {}", path.display()))?;
    DescriptorPool::decode(bytes.as_slice()).with_context(|| format!("{} is not a descriptor set", path.display()))
}

/// A description kept here.
fn compiled(name: &'static str, source: &'static str) -> anyhow::Result<DescriptorPool> {
    let mut compiler = Compiler::with_file_resolver(Kept(name, source));
    compiler.open_file(name)?;
    Ok(compiler.descriptor_pool())
}

struct Kept(&'static str, &'static str);

impl FileResolver for Kept {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == self.0 { File::from_source(name, self.1) } else { Err(protox::Error::file_not_found(name)) }
    }
}

/// What the server says about a service: its file and all that this one imports.
async fn reflected(service: &str, channel: &Channel, metadata: &HeaderMap) -> anyhow::Result<DescriptorPool> {
    let types = compiled("reflection.proto", REFLECTION_PROTO)?;
    let mut failed = None;
    for path in REFLECTION {
        let reflection = Reflection { types: &types, path, channel, metadata };
        match reflection.files(service).await {
            Ok(files) => {
                let mut pool = DescriptorPool::new();
                pool.add_file_descriptor_set(FileDescriptorSet { file: files })
                    .map_err(|error| anyhow!("the server's description of {service} has a mistake: {error}"))?;
                return Ok(pool);
            }
            Err(error) => {
                let unknown = error.downcast_ref::<Status>().is_some_and(|s| s.code == status::UNIMPLEMENTED);
                failed = Some(error);
                if !unknown {
                    break;
                }
            }
        }
    }
    Err(failed.unwrap_or_else(|| anyhow!("the server has no reflection")))
}

struct Reflection<'a> {
    types: &'a DescriptorPool,
    path: &'static str,
    channel: &'a Channel,
    metadata: &'a HeaderMap,
}

impl Reflection<'_> {
    /// Files in an order in which each comes after what it imports is not needed: the pool sorts them out.
    async fn files(&self, service: &str) -> anyhow::Result<Vec<FileDescriptorProto>> {
        let mut files = BTreeMap::new();
        self.ask("file_containing_symbol", service, &mut files).await?;
        let mut asked = BTreeSet::new();
        loop {
            let imports = files.values().flat_map(|file: &FileDescriptorProto| file.dependency.iter());
            let Some(missing) = imports.filter(|name| !files.contains_key(*name)).find(|name| !asked.contains(*name))
            else {
                return Ok(files.into_values().collect());
            };
            let missing = missing.clone();
            if files.len() > FILES {
                bail!("the server describes {service} with more than {FILES} files");
            }
            if let Ok(known) = GoogleFileResolver::new().open_file(&missing) {
                files.insert(missing.clone(), known.file_descriptor_proto().clone());
            } else {
                self.ask("file_by_filename", &missing, &mut files).await?;
            }
            asked.insert(missing);
        }
    }

    /// Asks one question and adds the files of the answer.
    async fn ask(
        &self,
        what: &str,
        name: &str,
        files: &mut BTreeMap<String, FileDescriptorProto>,
    ) -> anyhow::Result<()> {
        let of = |name: &str| self.types.get_message_by_name(name).context("the description of reflection");
        let mut question = DynamicMessage::new(of("reflection.Request")?);
        question.set_field_by_name(what, Value::String(name.to_owned()));
        let answer = self.channel.ask(self.path, &question.encode_to_vec(), self.metadata).await?;
        let length = answer.get(1..5).and_then(|length| length.try_into().ok()).map(u32::from_be_bytes);
        let message = length.and_then(|length| answer.get(5..)?.get(..usize::try_from(length).ok()?));
        let message = message.context("the server's reflection answered with a broken frame")?;
        let answer = DynamicMessage::decode(of("reflection.Response")?, message)
            .context("the server's reflection answered with something else")?;
        if let Some(failure) =
            answer.get_field_by_name("error_response").filter(|_| answer.has_field_by_name("error_response"))
        {
            let text = failure.as_message().and_then(|failure| failure.get_field_by_name("error_message"));
            let text = text.and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default();
            bail!("Symbol not found: {name} ({text})");
        }
        let found = answer.get_field_by_name("file_descriptor_response");
        let found = found.as_ref().and_then(|found| found.as_message()?.get_field_by_name("file_descriptor_proto"));
        for bytes in found.as_ref().and_then(|found| found.as_list()).unwrap_or_default() {
            let file = FileDescriptorProto::decode(bytes.as_bytes().cloned().unwrap_or_default())
                .context("the server's reflection answered with a broken file")?;
            files.insert(file.name().to_owned(), file);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn health() -> Method {
        let pool = compiled("health.proto", HEALTH_PROTO).unwrap();
        let service = pool.get_service_by_name(HEALTH).unwrap();
        unary(&service.methods().next().unwrap()).unwrap()
    }

    #[test]
    fn messages_are_encoded() {
        assert_eq!(health().path, "/grpc.health.v1.Health/Check");
        assert_eq!(health().encode(&json!({})).unwrap(), b"");
        assert_eq!(health().encode(&json!({"service": "abc"})).unwrap(), b"\x0a\x03abc");
        let error = health().encode(&json!({"nope": 1})).unwrap_err().to_string();
        assert!(error.starts_with("Error creating message from data. Data: '{\"nope\":1}' Error: "), "{error}");
    }

    #[test]
    fn streams_are_refused_by_name() {
        let pool = compiled("health.proto", HEALTH_PROTO).unwrap();
        let watch = pool.get_service_by_name(HEALTH).unwrap().methods().nth(1).unwrap();
        assert!(unary(&watch).unwrap_err().to_string().starts_with("grpc.health.v1.Health.Watch streams"));
    }
}
