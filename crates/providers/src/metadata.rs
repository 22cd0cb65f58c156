//! Labels, annotations and owner references of generated objects.
