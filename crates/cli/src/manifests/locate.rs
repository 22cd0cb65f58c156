//! Finds the line of a path.

use super::yaml::{Content, Mark, Node};

/// The place of a path (JSON pointer, or dotted), or of the innermost value around it that is there.
pub(super) fn find(root: &Node, path: &str) -> Mark {
    let mut place = root.mark;
    let mut node = root;
    if path.starts_with('/') {
        for token in path.split('/').skip(1) {
            let Some((mark, child)) = step(node, &token.replace("~1", "/").replace("~0", "~")) else { break };
            (place, node) = (mark, child);
        }
        return place;
    }
    let mut rest = path;
    while !rest.is_empty() {
        let Some((mark, child, left)) = dotted_step(node, rest) else { break };
        (place, node, rest) = (mark, child, left);
    }
    place
}

fn step<'n>(node: &'n Node, token: &str) -> Option<(Mark, &'n Node)> {
    match &node.content {
        Content::Scalar(_) => None,
        Content::List(items) => items.get(token.parse::<usize>().ok()?).map(|item| (item.mark, &**item)),
        Content::Map(_) => node.field(token).map(|field| (field.mark, &*field.value)),
    }
}

/// One step along `a.b[0].c[x.y/z]`. Keys may hold dots, so of the keys that fit the longest is taken.
fn dotted_step<'n, 'p>(node: &'n Node, path: &'p str) -> Option<(Mark, &'n Node, &'p str)> {
    let path = path.strip_prefix('.').unwrap_or(path);
    if let Some((inside, rest)) = path.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        let (mark, child) = step(node, inside.trim_matches('"'))?;
        return Some((mark, child, rest));
    }
    let Content::Map(fields) = &node.content else { return None };
    let fits = fields.iter().filter_map(|field| {
        let rest = path.strip_prefix(field.key.as_str())?;
        (rest.is_empty() || rest.starts_with(['.', '['])).then_some((field, rest))
    });
    let (field, rest) = fits.max_by_key(|(field, _)| field.key.len())?;
    Some((field.mark, &field.value, rest))
}

/// A path as people write it: `/spec/metrics/0/name` becomes `spec.metrics[0].name`; others stay.
pub(super) fn dotted(path: &str) -> String {
    let Some(pointer) = path.strip_prefix('/') else { return path.to_owned() };
    let mut text = String::new();
    for token in pointer.split('/') {
        let key = token.replace("~1", "/").replace("~0", "~");
        if !text.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit()) || key.contains(['.', '/']) {
            text.extend(["[", key.as_str(), "]"]);
        } else {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(&key);
        }
    }
    text
}
