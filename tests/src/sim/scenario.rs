//! Scenarios: networks that a test drives by hand.
