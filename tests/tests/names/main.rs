//! Endpoints by name, as programs use them: hosts that move, services, files of endpoints.

mod files;
mod hosts;
mod services;
mod support;
