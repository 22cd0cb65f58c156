//! YAML text to trees that know where everything stands.
//!
//! The parser is granit-parser (the one that kube reads kubeconfigs with); this builds values from its events: anchors, merge keys, and the limits that
//! keep a hostile document small. JSON is YAML here. A key that stands twice is an error, as the API server says too.

use super::scalar;
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// How many values a document may have once its aliases are followed.
const MOST_VALUES: usize = 1_000_000;
/// How deep a document may be once its aliases are followed.
const DEEPEST: usize = 256;

/// A value and where it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) mark: Mark,
    pub(super) content: Content,
    /// Values in it, itself included.
    size: usize,
    depth: usize,
}

/// A place in a file: line and column, from 1.
pub(super) type Mark = (usize, usize);

#[derive(Debug)]
pub(super) enum Content {
    Scalar(Value),
    List(Vec<Arc<Node>>),
    Map(Vec<Field>),
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) key: String,
    pub(super) mark: Mark,
    pub(super) value: Arc<Node>,
}

/// What is wrong with a text.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) message: String,
    pub(super) advice: String,
}

impl Node {
    pub(super) fn is_null(&self) -> bool {
        matches!(self.content, Content::Scalar(Value::Null))
    }

    pub(super) fn line(&self) -> usize {
        self.mark.0
    }

    pub(super) fn field(&self, key: &str) -> Option<&Field> {
        let Content::Map(fields) = &self.content else { return None };
        fields.iter().find(|field| field.key == key)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match &self.field(key)?.value.content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn items(&self, key: &str) -> Option<&[Arc<Node>]> {
        match &self.field(key)?.value.content {
            Content::List(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(|item| item.to_value()).collect(),
            Content::Map(fields) => Value::Object(
                fields.iter().map(|field| (field.key.clone(), field.value.to_value())).collect::<Map<_, _>>(),
            ),
        }
    }
}

/// The documents of a text, as far as it can be read.
pub(super) fn read(text: &str) -> (Vec<Arc<Node>>, Option<SyntaxError>) {
    let mut options = granit_parser::options! {};
    options.set_emit_comments(false);
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let taken = match event {
            Ok((event, span)) => builder.take(event, &span),
            Err(error) => Err(explain(text, *error.marker(), error.kind())),
        };
        if let Err(error) = taken {
            return (builder.documents, Some(error));
        }
    }
    (builder.documents, None)
}

fn explain(text: &str, mark: granit_parser::Marker, kind: &ErrorKind) -> SyntaxError {
    let (line, column) = (mark.line(), mark.col() + 1);
    let source = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let advice = if source.contains('\t') {
        "indent with spaces: YAML knows no tabs"
    } else if source.contains("{{") {
        "give what helm or another template engine makes of it, not the template"
    } else {
        "look at this line and the one before for indentation, a missing colon, or a value that needs quotes"
    };
    SyntaxError { line, column, message: format!("this is no YAML: {kind}"), advice: advice.to_owned() }
}

/// A collection that is not complete yet.
#[derive(Debug)]
enum Open {
    List { mark: Mark, anchor: usize, items: Vec<Arc<Node>> },
    Map { mark: Mark, anchor: usize, fields: Vec<Field>, key: Option<(String, Mark)>, merges: Vec<Arc<Node>> },
}

#[derive(Debug, Default)]
struct Builder {
    documents: Vec<Arc<Node>>,
    open: Vec<Open>,
    anchors: HashMap<usize, Arc<Node>>,
}

fn mark_of(span: &Span) -> Mark {
    (span.start.line(), span.start.col() + 1)
}

fn error<T>(mark: Mark, message: impl Into<String>, advice: &str) -> Result<T, SyntaxError> {
    let (line, column) = mark;
    Err(SyntaxError { line, column, message: message.into(), advice: advice.to_owned() })
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), SyntaxError> {
        let mark = mark_of(span);
        match event {
            Event::DocumentStart(..) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar_value(&text, style, tag.as_deref(), mark)?;
                self.finish(anchor, Node { mark, content: Content::Scalar(value), size: 1, depth: 1 })
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open.push(Open::List { mark, anchor, items: Vec::new() });
                Ok(())
            }
            Event::MappingStart(_, anchor, _) => {
                self.open.push(Open::Map { mark, anchor, fields: Vec::new(), key: None, merges: Vec::new() });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some(node) => self.put(mark, node),
                None => error(mark, "this alias refers to what it stands in", "write the value out"),
            },
            _ => Ok(()),
        }
    }

    fn close(&mut self) -> Result<(), SyntaxError> {
        match self.open.pop() {
            Some(Open::List { mark, anchor, items }) => {
                let (size, depth) = measure(items.iter(), mark)?;
                self.finish(anchor, Node { mark, content: Content::List(items), size, depth })
            }
            Some(Open::Map { mark, anchor, mut fields, merges, .. }) => {
                for merged in merges {
                    merge(&mut fields, &merged, mark)?;
                }
                let (size, depth) = measure(fields.iter().map(|field| &field.value), mark)?;
                self.finish(anchor, Node { mark, content: Content::Map(fields), size, depth })
            }
            None => Ok(()),
        }
    }

    fn finish(&mut self, anchor: usize, node: Node) -> Result<(), SyntaxError> {
        let (mark, node) = (node.mark, Arc::new(node));
        if anchor > 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        self.put(mark, node)
    }

    /// Puts a complete value where it belongs: it is a key, a value, an item or a whole document.
    fn put(&mut self, mark: Mark, node: Arc<Node>) -> Result<(), SyntaxError> {
        match self.open.last_mut() {
            None => self.documents.push(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { fields, key, merges, .. }) => match key.take() {
                None => {
                    let name = key_text(&node, mark)?;
                    if let Some(first) = fields.iter().find(|field| field.key == name) {
                        let message = format!("the key `{name}` stands here and in line {}", first.mark.0);
                        return error(mark, message, "only one of them would count; take the other away");
                    }
                    *key = Some((name, mark));
                }
                Some((name, _)) if name == "<<" => merges.push(node),
                Some((name, at)) => fields.push(Field { key: name, mark: at, value: node }),
            },
        }
        Ok(())
    }
}

fn measure<'n>(nodes: impl Iterator<Item = &'n Arc<Node>>, mark: Mark) -> Result<(usize, usize), SyntaxError> {
    let (mut size, mut depth) = (1_usize, 1);
    for node in nodes {
        size = size.saturating_add(node.size);
        depth = depth.max(node.depth + 1);
    }
    if size > MOST_VALUES || depth > DEEPEST {
        return error(
            mark,
            "this document is too large or too deep",
            "write fewer aliases (`*name`), or split the file",
        );
    }
    Ok((size, depth))
}

/// `<<: *anchor`: fields that are not there already.
fn merge(fields: &mut Vec<Field>, merged: &Node, mark: Mark) -> Result<(), SyntaxError> {
    match &merged.content {
        Content::Map(more) => {
            for field in more {
                if fields.iter().all(|own| own.key != field.key) {
                    fields.push(field.clone());
                }
            }
            Ok(())
        }
        Content::List(maps) => maps.iter().try_for_each(|map| merge(fields, map, mark)),
        Content::Scalar(_) => {
            error(mark, "`<<` merges a single value", "it takes an alias to a mapping, or a list of them")
        }
    }
}

fn key_text(node: &Node, mark: Mark) -> Result<String, SyntaxError> {
    match &node.content {
        Content::Scalar(Value::String(text)) => Ok(text.clone()),
        Content::Scalar(Value::Null) => error(mark, "this key is empty", "write a key before the colon"),
        Content::Scalar(value) => Ok(value.to_string()),
        _ => error(
            mark,
            "this key is a list or a mapping",
            "keys are words; a value with `{` in it (a template?) needs quotes",
        ),
    }
}

fn scalar_value(text: &str, style: ScalarStyle, tag: Option<&Tag>, mark: Mark) -> Result<Value, SyntaxError> {
    let quoted = style != ScalarStyle::Plain;
    match tag.and_then(Tag::core_suffix) {
        None if tag.is_none() && quoted => Ok(Value::String(text.to_owned())),
        Some("str" | "binary") => Ok(Value::String(text.to_owned())),
        _ => match scalar::resolve(text) {
            Some(value) => Ok(value),
            None => error(
                mark,
                format!("{text} is no number that JSON knows"),
                "write a finite number, or quotes around it",
            ),
        },
    }
}
