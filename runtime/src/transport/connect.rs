//! Reaching a peer at an endpoint.

use std::io;
use std::time::Duration;

use tokio::time::timeout;

use crate::names::Names;

use super::endpoint::{Address, Endpoint};
use super::error::{Action, TransportError};
use super::stream::Stream;
use super::{inproc, ipc, tcp};

/// Connects once, to the first address of the endpoint that answers; the first `passed_over` of several come last. Looking
/// up a host name counts toward `time`.
///
/// If the future is dropped, the attempt is given up and nothing stays open.
///
/// # Errors
/// See [`TransportErrorKind`](super::TransportErrorKind). All of them may pass with time, except
/// [`BindOnly`](super::TransportErrorKind::BindOnly). Of several addresses, the last one's failure is told.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    names: &Names,
    passed_over: usize,
    time: Duration,
) -> Result<Stream, TransportError> {
    let failed = |error| TransportError::from_io(Action::Connect, endpoint, error);
    let attempt = async {
        match endpoint.address() {
            Address::Tcp { host, port } => {
                tcp::connect(endpoint, (host, *port), names, passed_over, time).await
            }
            Address::Ipc { path } => ipc::connect(path).await.map_err(failed),
            Address::Inproc { name } => inproc::connect(name).await.map_err(failed),
            // Whoever connects asks first what they stand for.
            Address::Srv { .. } | Address::File { .. } => {
                Err(failed(io::ErrorKind::Unsupported.into()))
            }
        }
    };
    match timeout(time, attempt).await {
        Ok(result) => result,
        Err(_) => Err(failed(io::ErrorKind::TimedOut.into())),
    }
}
