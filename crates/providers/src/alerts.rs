//! Receivers of alerts.
