//! Targets, scalers, routers, observers, metric sources and alert receivers: one file each, one list per family.
