//! Webhooks: what is sent, and what an answer means.
