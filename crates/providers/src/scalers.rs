//! Kinds of autoscalers a target may have.

use crate::access::Access;
use crate::targets::Fresh;
use api::{AutoscalerReference, Rollout};
use objects::{ObjectRef, Snapshot, Write};
use std::fmt::Debug;

pub mod hpa;

/// A kind of autoscaler. Pure: live objects in, wanted objects out.
pub trait Scaler: Debug + Sync {
    /// `autoscalerRef.kind`.
    fn kind(&self) -> &'static str;

    /// Foreign kinds read and written.
    fn kinds(&self) -> &'static [Access];

    /// The objects whose state matters.
    fn reads(&self, rollout: &Rollout, scaler: &AutoscalerReference) -> Vec<ObjectRef>;

    /// The least number of replicas the target's autoscaler wants, when it can be read and is more than one.
    fn minimum(&self, rollout: &Rollout, scaler: &AutoscalerReference, live: &Snapshot) -> Option<i64>;

    /// Creates the primary's autoscaler where it is missing.
    fn create_primary(
        &self,
        rollout: &Rollout,
        scaler: &AutoscalerReference,
        live: &Snapshot,
        fresh: &Fresh,
    ) -> Result<Vec<Write>, ScalerError>;

    /// Makes the primary's autoscaler what the target's is.
    fn update_primary(
        &self,
        rollout: &Rollout,
        scaler: &AutoscalerReference,
        live: &Snapshot,
        fresh: &Fresh,
    ) -> Result<Vec<Write>, ScalerError>;

    /// Lets the target's autoscaler rest.
    fn pause(
        &self,
        rollout: &Rollout,
        scaler: &AutoscalerReference,
        live: &Snapshot,
    ) -> Result<Vec<Write>, ScalerError>;

    /// Lets it work again.
    fn resume(
        &self,
        rollout: &Rollout,
        scaler: &AutoscalerReference,
        live: &Snapshot,
    ) -> Result<Vec<Write>, ScalerError>;
}

/// Why an autoscaler cannot be read or rendered: the text of the event, as users know it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScalerError(pub String);

/// Every kind of autoscaler.
pub static SCALERS: &[&dyn Scaler] = &[&hpa::HorizontalPodAutoscaler];

/// The scaler for a kind; `None` where there is none for it (then the Canary runs as if it had no autoscaler).
pub fn scaler(kind: &str) -> Option<&'static dyn Scaler> {
    SCALERS.iter().copied().find(|scaler| scaler.kind() == kind)
}
