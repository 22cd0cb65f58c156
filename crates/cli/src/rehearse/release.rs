//! Which image each target gets.

use super::input::containers;
use super::role::Role;
use super::stage::Release;
use super::{Options, SetImage};
use crate::manifests::Problem;
use lab::Lab;
use objects::paths::{list, text};
use serde_json::Value;
use std::sync::Arc;

/// The tag that is made up where no image is given.
const MADE_UP: &str = "rehearsal";

/// One release for each role, none for targets that have no containers.
pub(super) fn plan(
    options: &Options,
    lab: &Lab,
    roles: &[Arc<Role>],
    problems: &mut Vec<Problem>,
) -> Vec<Option<Release>> {
    if options.initialize_only {
        return vec![None; roles.len()];
    }
    let workloads: Vec<Option<Arc<Value>>> = roles
        .iter()
        .map(|role| lab.get(&role.rollout.target.kind, &role.rollout.namespace, &role.rollout.target.name))
        .collect();
    problems.extend(options.set_image.iter().filter_map(|wish| misfit(wish, &workloads)));
    workloads.iter().map(|workload| release(options, workload.as_ref()?)).collect()
}

/// Why an image cannot be set.
fn misfit(wish: &SetImage, workloads: &[Option<Arc<Value>>]) -> Option<Problem> {
    let workloads: Vec<&Arc<Value>> = workloads.iter().flatten().collect();
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

fn release(options: &Options, workload: &Value) -> Option<Release> {
    let image_of = |name: &str| {
        let mut containers = list(workload, "/spec/template/spec/containers");
        containers.find(|one| text(one, "/name") == name).map(|one| text(one, "/image").to_owned())
    };
    let names = containers(workload);
    let wished = options.set_image.iter().find_map(|wish| {
        let container = match &wish.container {
            Some(container) => names.iter().find(|name| *name == container),
            None => names.iter().find(|name| is_of(&wish.image, image_of(name))).or(names.first()),
        };
        Some(((*container?).to_owned(), wish.image.clone()))
    });
    let (container, to) = wished.or_else(|| {
        let first = (*names.first()?).to_owned();
        let image = image_of(&first)?;
        Some((first, format!("{}:{MADE_UP}", repository(&image))))
    })?;
    let from = image_of(&container)?;
    // What is there already would be no release.
    let to = if to == from { format!("{}-again", to.replace('@', "-at-")) } else { to };
    Some(Release { container, from, to })
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
