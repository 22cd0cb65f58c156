//! One Canary with what the checks need of it.

use super::finding::Report;
use super::rules::Rule;
use super::words::nearest;
use crate::given::{self, Given};
use crate::manifests::Manifest;
use crate::render::stage::Stage;
use api::{Canary, Rollout, Settings};
use objects::Kind;
use objects::kind::DEPLOYMENT;
use std::sync::Arc;

/// How the loader marks what kustomize made.
const KUSTOMIZED: &str = "(kustomize)";

/// See the module.
#[derive(Debug)]
pub(super) struct Case<'g> {
    /// All manifests.
    pub(super) given: &'g Given,
    /// The Canary's.
    pub(super) manifest: &'g Manifest,
    /// As the controller reads it.
    pub(super) canary: Canary,
    /// Resolved.
    pub(super) rollout: Rollout,
    /// Of the operator.
    pub(super) settings: Arc<Settings>,
    /// The target's manifest, if it is among them.
    pub(super) target: Option<&'g Manifest>,
}

impl<'g> Case<'g> {
    /// The case of one Canary.
    pub(super) fn new(given: &'g Given, manifest: &'g Manifest, canary: Canary, settings: &Arc<Settings>) -> Self {
        let rollout = Rollout::resolve(&canary, settings);
        let target = Some(&DEPLOYMENT).filter(|kind| kind.kind == rollout.target.kind);
        let target = target.and_then(|kind| given.find(kind, &rollout.namespace, &rollout.target.name));
        Self { given, manifest, canary, rollout, settings: Arc::clone(settings), target }
    }

    /// A breach in the Canary.
    pub(super) fn add(
        &self,
        report: &mut Report,
        rule: &'static Rule,
        path: &str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        report.add(rule, self.manifest, path, message, advice);
    }

    /// An object in the Canary's namespace.
    pub(super) fn find(&self, kind: &Kind, name: &str) -> Option<&'g Manifest> {
        self.given.find(kind, &self.rollout.namespace, name)
    }

    /// Puts the Canary on the stage; `None` if nobody can be in charge of it.
    pub(super) fn stage(&self) -> Option<Stage> {
        Stage::new(self.given, &self.canary, &self.settings).ok()
    }

    /// What to do about an object that is referred to and not among the manifests: its namesake elsewhere, or one of a similar name.
    pub(super) fn advice(&self, kind: &Kind, namespace: &str, name: &str) -> String {
        let mut others = self.given.of(kind);
        if let Some(other) = others.find(|other| other.name() == name) {
            return format!(
                "there is one in the namespace {}, but it must be in {namespace}: {}",
                self.given.namespace_of(other),
                other.source
            );
        }
        let here: Vec<&Manifest> =
            self.given.of(kind).filter(|other| self.given.namespace_of(other) == namespace).collect();
        if let Some(meant) = nearest(name, here.iter().map(|other| other.name())) {
            return format!("did you mean {meant}?");
        }
        let renamed = here.iter().find(|other| other.name().starts_with(name) || other.name().ends_with(name));
        match renamed {
            Some(meant) if self.manifest.source.file.ends_with(KUSTOMIZED) => {
                format!("did you mean {}? kustomize must be told of this reference, see docs/validate.md", meant.name())
            }
            Some(meant) => format!("did you mean {}?", meant.name()),
            None => "give its manifest with -f too, or make sure that the cluster has it".to_owned(),
        }
    }
}

/// `group` and kind of a manifest, as a kind's name in texts.
pub(super) fn is(manifest: &Manifest, group: &str, kind: &str) -> bool {
    manifest.kind() == kind && given::group(manifest) == group
}
