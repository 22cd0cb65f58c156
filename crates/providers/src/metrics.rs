//! Sources of metrics.
