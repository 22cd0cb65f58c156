//! The kinds of flagger.app/v1beta1 as on the wire, their CRDs, and Rollout: a Canary resolved once.
