//! Foreign objects as JSON: references, snapshot, diff, the spec hash.
