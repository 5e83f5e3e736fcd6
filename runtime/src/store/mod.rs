//! Where messages survive.
