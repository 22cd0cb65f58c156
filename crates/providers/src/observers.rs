//! Built-in queries, by provider.
