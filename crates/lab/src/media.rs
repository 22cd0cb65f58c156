//! The form in which an answer is wanted: the object itself, its metadata alone, or a table for kubectl.

use crate::failure::Failure;

/// A form of answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The object or list.
    Whole,
    /// `PartialObjectMetadata` or its list.
    Metadata,
    /// `Table`.
    Table,
}

/// Reads an `Accept` header; the first understood media type wins.
pub(crate) fn accepted(header: &str) -> Result<Form, Failure> {
    if header.trim().is_empty() {
        return Ok(Form::Whole);
    }
    header.split(',').find_map(one).ok_or_else(Failure::not_acceptable)
}

fn one(range: &str) -> Option<Form> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?;
    if !matches!(media, "application/json" | "application/*" | "*/*") {
        return None;
    }
    match parts.find_map(|part| part.strip_prefix("as=")) {
        None => Some(Form::Whole),
        Some("Table") => Some(Form::Table),
        Some("PartialObjectMetadata" | "PartialObjectMetadataList") => Some(Form::Metadata),
        Some(_) => None,
    }
}

/// Brackets that may be open at once: far more than the reader of YAML goes down, for which it takes time by the square.
const OPEN_BRACKETS: usize = 1000;

/// Refuses YAML that would only keep its reader busy. Brackets in texts count, too: a thousand that are never closed are no object either.
pub(crate) fn not_too_deep(bytes: &[u8]) -> Result<(), Failure> {
    let mut open = 0_usize;
    for byte in bytes {
        match byte {
            b'{' | b'[' => open += 1,
            b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > OPEN_BRACKETS {
            return Err(Failure::bad_request(format!(
                "error decoding YAML: more than {OPEN_BRACKETS} brackets are open at once"
            )));
        }
    }
    Ok(())
}

/// Reads the body of a request: JSON, or YAML where the content type says so.
pub(crate) fn body(content_type: &str, bytes: &[u8]) -> Result<serde_json::Value, Failure> {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    match media {
        "application/yaml" | "application/apply-patch+yaml" => {
            not_too_deep(bytes)?;
            serde_yaml_ng::from_slice(bytes).map_err(|why| Failure::bad_request(format!("error decoding YAML: {why}")))
        }
        // Patches come here too, under their own names.
        ""
        | "application/json"
        | "application/json-patch+json"
        | "application/merge-patch+json"
        | "application/strategic-merge-patch+json" => serde_json::from_slice(bytes).map_err(|why| {
            Failure::bad_request(format!(
                "the object provided is unrecognized: couldn't get version/kind; json parse error: {why}"
            ))
        }),
        "application/vnd.kubernetes.protobuf" => crate::protobuf::read(bytes)
            .ok_or_else(|| Failure::unsupported_media_type(&["application/json", "application/yaml"])),
        _ => Err(Failure::unsupported_media_type(&[
            "application/json",
            "application/yaml",
            "application/vnd.kubernetes.protobuf",
        ])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_understood_form_wins() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(accepted(kubectl).unwrap(), Form::Table);
        let discovery = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
        assert_eq!(accepted(discovery).unwrap(), Form::Whole);
        assert_eq!(accepted("application/vnd.kubernetes.protobuf, */*").unwrap(), Form::Whole);
        let metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        assert_eq!(accepted(metadata).unwrap(), Form::Metadata);
        assert_eq!(accepted("text/html").unwrap_err().code, 406);
    }
}
