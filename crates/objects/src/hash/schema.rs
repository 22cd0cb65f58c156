//! The type table of the spec hash, read into trees that can be dumped quickly.
//!
//! A tree is made for one generation and kept for the life of the process. It holds the text of every field as it is dumped when
//! absent, since most fields of most objects are. Source: `types.txt`.

use super::Generation;
use super::time::ZERO_TIME;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// The types that are hashed, of one generation.
pub(super) struct Schema {
    pub(super) template: Arc<Struct>,
    pub(super) service: Arc<Struct>,
}

/// A struct: its fields in the order of the dump.
#[derive(Default)]
pub(super) struct Struct {
    pub(super) fields: Vec<Field>,
}

/// A field of a struct.
pub(super) struct Field {
    /// What stands before the value, with the blank that separates it from the field before: ` Name:(string)`.
    pub(super) label: String,
    /// The label and the value of a field that is not set.
    pub(super) absent: String,
    /// Key in the JSON object; `None`: an embedded struct, which has no object of its own.
    pub(super) key: Option<String>,
    pub(super) kind: Kind,
}

/// How a value is dumped.
pub(super) enum Kind {
    Text,
    Bool,
    Int32,
    Int64,
    IntOrString,
    Quantity,
    Time,
    Struct(Arc<Struct>),
    Pointer(Box<Kind>),
    List(Box<Kind>),
    /// Keys are texts.
    Map(Box<Kind>),
    /// The node selector of a pod, which has a rule of its own in a DaemonSet.
    NodeSelector,
}

impl Kind {
    /// The dump of a value that is not set.
    pub(super) fn absent(&self) -> String {
        match self {
            Self::Text => String::new(),
            Self::Bool => "false".into(),
            Self::Int32 | Self::Int64 => "0".into(),
            Self::IntOrString => "{Type:(intstr.Type)0 IntVal:(int32)0 StrVal:(string)}".into(),
            Self::Quantity => concat!(
                "{i:(resource.int64Amount){value:(int64)0 scale:(resource.Scale)0} ",
                "d:(resource.infDecAmount){Dec:(*inf.Dec)<nil>} s:(string) Format:(resource.Format)}"
            )
            .into(),
            Self::Time => ZERO_TIME.into(),
            Self::Struct(shape) => shape.absent(),
            Self::Pointer(_) | Self::List(_) | Self::Map(_) | Self::NodeSelector => "<nil>".into(),
        }
    }
}

impl Struct {
    fn absent(&self) -> String {
        let fields: String = self.fields.iter().map(|field| field.absent.as_str()).collect();
        format!("{{{fields}}}")
    }
}

/// The types of a generation, read at its first use.
pub(super) fn of(generation: Generation) -> &'static Schema {
    static V26: LazyLock<Schema> = LazyLock::new(|| Schema::read(Generation::V26));
    static V27: LazyLock<Schema> = LazyLock::new(|| Schema::read(Generation::V27));
    static V30: LazyLock<Schema> = LazyLock::new(|| Schema::read(Generation::V30));
    static V31: LazyLock<Schema> = LazyLock::new(|| Schema::read(Generation::V31));
    static V32: LazyLock<Schema> = LazyLock::new(|| Schema::read(Generation::V32));
    static V34: LazyLock<Schema> = LazyLock::new(|| Schema::read(Generation::V34));
    static V35: LazyLock<Schema> = LazyLock::new(|| Schema::read(Generation::V35));
    static V36: LazyLock<Schema> = LazyLock::new(|| Schema::read(Generation::V36));
    match generation {
        Generation::V26 => &V26,
        Generation::V27 => &V27,
        Generation::V30 => &V30,
        Generation::V31 => &V31,
        Generation::V32 => &V32,
        Generation::V34 => &V34,
        Generation::V35 => &V35,
        Generation::V36 => &V36,
    }
}

/// The table itself.
pub(super) const TYPES: &str = include_str!("types.txt");

impl Schema {
    fn read(generation: Generation) -> Self {
        let lines = TYPES.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(": "));
        let mut reader = Reader { minor: generation.minor(), table: lines.collect(), done: HashMap::new() };
        Self { template: reader.structure("PodTemplateSpec"), service: reader.structure("ServiceSpec") }
    }
}

/// Reads structs of the table, each once.
struct Reader {
    minor: u8,
    /// Fields by name of the struct.
    table: HashMap<&'static str, &'static str>,
    done: HashMap<&'static str, Arc<Struct>>,
}

impl Reader {
    /// A struct by its name; without fields if the table lacks it.
    fn structure(&mut self, name: &'static str) -> Arc<Struct> {
        if let Some(known) = self.done.get(name) {
            return Arc::clone(known);
        }
        let mut fields = Vec::new();
        for entry in self.table.get(name).copied().unwrap_or_default().split("; ") {
            if let Some(field) = self.field(name, entry, fields.is_empty()) {
                fields.push(field);
            }
        }
        let shape = Arc::new(Struct { fields });
        self.done.insert(name, Arc::clone(&shape));
        shape
    }

    /// One `Field[=key] type[@from][@..to]`; `None` if this generation does not have it.
    fn field(&mut self, of: &str, entry: &'static str, first: bool) -> Option<Field> {
        let (names, typed) = entry.split_once(' ')?;
        let (name, key) = names.split_once('=').unwrap_or((names, ""));
        let mut parts = typed.split('@');
        let printed = parts.next()?;
        if !parts.all(|limit| self.includes(limit)) {
            return None;
        }
        let kind = if of == "PodSpec" && name == "NodeSelector" { Kind::NodeSelector } else { self.kind(printed) };
        let label = format!("{}{name}:({printed})", if first { "" } else { " " });
        let key = match key {
            "^" => None,
            "" => Some(small_first_letter(name)),
            key => Some(key.to_owned()),
        };
        Some(Field { absent: label.clone() + &kind.absent(), label, key, kind })
    }

    /// Whether this generation is within `30` (from there on) or `..30` (up to there).
    fn includes(&self, limit: &str) -> bool {
        match limit.strip_prefix("..") {
            Some(last) => last.parse::<u8>().is_ok_and(|last| self.minor <= last),
            None => limit.parse::<u8>().is_ok_and(|first| self.minor >= first),
        }
    }

    fn kind(&mut self, printed: &'static str) -> Kind {
        if let Some(inner) = printed.strip_prefix('*') {
            return Kind::Pointer(Box::new(self.kind(inner)));
        }
        if let Some(inner) = printed.strip_prefix("[]") {
            return Kind::List(Box::new(self.kind(inner)));
        }
        if let Some(inner) = printed.strip_prefix("map[string]") {
            return Kind::Map(Box::new(self.kind(inner)));
        }
        match printed {
            "bool" => Kind::Bool,
            "int32" => Kind::Int32,
            "int64" => Kind::Int64,
            "intstr.IntOrString" => Kind::IntOrString,
            "resource.Quantity" => Kind::Quantity,
            "v1.ResourceList" => Kind::Map(Box::new(Kind::Quantity)),
            "v1.Time" => Kind::Time,
            _ => match printed.strip_prefix("v1.").filter(|name| self.table.contains_key(name)) {
                Some(name) => Kind::Struct(self.structure(name)),
                None => Kind::Text,
            },
        }
    }
}

/// The JSON key of most fields.
fn small_first_letter(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}
