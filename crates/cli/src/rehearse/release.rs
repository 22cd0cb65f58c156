//! Which image each target gets.

use super::input::containers;
use super::role::Role;
use super::{Options, SetImage};
use crate::manifests::Problem;
use lab::Lab;
use objects::paths::{list, text};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// The tag that is made up where no image is given.
const MADE_UP: &str = "rehearsal";

/// The images of one release.
pub(super) type Release = Vec<Image>;

/// A container that gets another image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Image {
    /// Its name.
    pub(super) container: String,
    /// What it has.
    pub(super) old: String,
    /// What it gets.
    pub(super) new: String,
}

/// One release for each role; an empty one for targets that get no other image.
pub(super) fn plan(options: &Options, lab: &Lab, roles: &[Arc<Role>], problems: &mut Vec<Problem>) -> Vec<Release> {
    if options.initialize_only {
        return vec![Vec::new(); roles.len()];
    }
    let workloads: Vec<Arc<Value>> = roles
        .iter()
        .map(|role| lab.get(&role.rollout.target.kind, &role.rollout.namespace, &role.rollout.target.name))
        .map(Option::unwrap_or_default)
        .collect();
    problems.extend(options.set_image.iter().filter_map(|wish| misfit(wish, &workloads)));
    let releases: Vec<Release> = workloads.iter().map(|workload| release(options, workload)).collect();
    for image in releases.iter().flatten().filter(|image| image.old == image.new) {
        let message = format!("container {} has the image {} already", image.container, image.old);
        problems.push(Problem::about("--set-image", message, "that is no release; give another image"));
    }
    releases
}

/// Why an image cannot be set.
fn misfit(wish: &SetImage, workloads: &[Arc<Value>]) -> Option<Problem> {
    let Some(container) = &wish.container else {
        let advice = "choose one with --canary NAME, or write --set-image CONTAINER=IMAGE";
        return (workloads.len() > 1)
            .then(|| Problem::about("--set-image", "there are several Canaries, and one image", advice));
    };
    let names: Vec<&str> = workloads.iter().flat_map(|workload| containers(workload)).collect();
    (!names.contains(&container.as_str())).then(|| {
        let message = format!("no target has a container {container}");
        Problem::about("--set-image", message, format!("known: {}", names.join(", ")))
    })
}

fn release(options: &Options, workload: &Value) -> Release {
    let image_of = |name: &str| {
        let mut containers = list(workload, "/spec/template/spec/containers");
        containers.find(|one| text(one, "/name") == name).map(|one| text(one, "/image").to_owned())
    };
    let names = containers(workload);
    let wished = options.set_image.iter().filter_map(|wish| {
        let container = match &wish.container {
            Some(container) => names.iter().find(|name| *name == container),
            None => names.iter().find(|name| is_of(&wish.image, image_of(name))).or(names.first()),
        };
        Some(((*container?).to_owned(), wish.image.clone()))
    });
    let mut wished: Vec<(String, String)> = wished.collect();
    if let Some((first, image)) = names.first().and_then(|name| Some((*name, image_of(name)?)))
        && wished.is_empty()
    {
        wished.push((first.to_owned(), made_up(&image)));
    }
    let image = |(container, new): (String, String)| {
        let old = image_of(&container).unwrap_or_default();
        Image { container, old, new }
    };
    wished.into_iter().map(image).collect()
}

/// Another tag of an image.
fn made_up(image: &str) -> String {
    let new = format!("{}:{MADE_UP}", repository(image));
    if new == image { format!("{new}-2") } else { new }
}

/// Whether two images differ by tag or digest only.
fn is_of(image: &str, other: Option<String>) -> bool {
    other.is_some_and(|other| repository(image) == repository(&other))
}

/// An image without tag and digest.
fn repository(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    match image.rsplit_once(':') {
        // A colon before a slash belongs to a port.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use super::repository;

    #[test]
    fn ports_are_no_tags() {
        for (image, wanted) in [
            ("web", "web"),
            ("web:1", "web"),
            ("host:5000/web", "host:5000/web"),
            ("host:5000/web:1@sha256:ab", "host:5000/web"),
        ] {
            assert_eq!(repository(image), wanted);
        }
    }
}
