//! The binary `flagger`: command line to runtime.
