//! The decision: observation in, plan out.
