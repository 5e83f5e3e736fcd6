//! Why an endpoint could not be bound or connected.

use std::error::Error;
use std::fmt;
use std::io;

use super::endpoint::{Endpoint, Transport};

/// An endpoint could not be bound or connected. Nothing is left behind: no port, no file, no half-open link.
///
/// Its sentence names the endpoint, what happened and what to do.
pub struct TransportError {
    action: Action,
    endpoint: Endpoint,
    kind: TransportErrorKind,
    source: Option<io::Error>,
}

/// The ways in which binding or connecting fails.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// Somebody else listens there.
    AddressInUse,
    /// The machine has no such address.
    AddressNotAvailable,
    /// The system does not let this user bind or connect there.
    PermissionDenied,
    /// The address can be reached from other machines, and nothing would check who connects.
    Exposed,
    /// Something that is not a socket is in the way.
    NotASocket,
    /// The file of an `ipc://` endpoint, or when binding its folder, does not exist.
    NoSuchFile,
    /// Nobody listens there.
    Refused,
    /// There is no way to the address.
    Unreachable,
    /// The other side did not answer in time.
    TimedOut,
    /// The host name has no address.
    NameNotFound,
    /// The endpoint makes sense for binding only: its host is a wildcard, or its port is 0.
    BindOnly,
    /// What the system says in its own words.
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    Bind,
    Connect,
}

impl TransportError {
    pub(super) fn new(action: Action, endpoint: &Endpoint, kind: TransportErrorKind) -> Self {
        Self { action, endpoint: endpoint.clone(), kind, source: None }
    }

    pub(super) fn name_not_found(action: Action, endpoint: &Endpoint, source: io::Error) -> Self {
        let kind = TransportErrorKind::NameNotFound;
        Self { source: Some(source), ..Self::new(action, endpoint, kind) }
    }

    pub(super) fn from_io(action: Action, endpoint: &Endpoint, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::AddrInUse => TransportErrorKind::AddressInUse,
            io::ErrorKind::AddrNotAvailable => TransportErrorKind::AddressNotAvailable,
            io::ErrorKind::PermissionDenied => TransportErrorKind::PermissionDenied,
            io::ErrorKind::NotFound => TransportErrorKind::NoSuchFile,
            io::ErrorKind::ConnectionRefused => TransportErrorKind::Refused,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                TransportErrorKind::Unreachable
            }
            io::ErrorKind::TimedOut => TransportErrorKind::TimedOut,
            _ => TransportErrorKind::Other,
        };
        Self { source: Some(source), ..Self::new(action, endpoint, kind) }
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    /// The endpoint that could not be bound or connected.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn advice(&self) -> &'static str {
        use TransportErrorKind as Kind;
        match (self.kind, self.action, self.endpoint.transport()) {
            (Kind::AddressInUse, _, Transport::Tcp) => {
                "another socket has that port; stop its program, or bind port 0 to get a free one"
            }
            (Kind::AddressInUse, _, Transport::Ipc) => {
                "another process listens there; stop it, or choose another path"
            }
            (Kind::AddressInUse, _, _) => {
                "another socket of this process has that name; close it, or choose another name"
            }
            (Kind::AddressNotAvailable, Action::Bind, _) => {
                "this machine has no such address; bind one that it has, such as 127.0.0.1"
            }
            (Kind::AddressNotAvailable, Action::Connect, _) => {
                "this machine has no address or port left to connect from; close links that are not needed"
            }
            (Kind::PermissionDenied, Action::Bind, Transport::Tcp) => {
                "the system does not let this user bind that port; choose one above 1023"
            }
            (Kind::PermissionDenied, Action::Bind, _) => {
                "this user may not make or look at a file there; choose a folder that belongs to this user"
            }
            (Kind::PermissionDenied, Action::Connect, Transport::Ipc) => {
                "this user may not open that socket; only the user who bound it may, so connect as that user"
            }
            (Kind::PermissionDenied, Action::Connect, _) => {
                "the system does not let this program connect there; look at its firewall or sandbox"
            }
            (Kind::Exposed, _, _) => {
                "other machines could reach it and nothing would check who they are; give the socket an \
                 authorizer, bind a loopback address such as 127.0.0.1, or call dangerously_allow_anonymous \
                 if anybody at all may connect"
            }
            (Kind::NotASocket, _, _) => {
                "what is at that path is not a socket, and was left as it is; choose another path"
            }
            (Kind::NoSuchFile, Action::Bind, _) => {
                "the folder of that path does not exist; create it first"
            }
            (Kind::NoSuchFile, Action::Connect, _) => {
                "there is no such file yet; a socket keeps trying until somebody binds it"
            }
            (Kind::Refused, _, _) => "nobody listens there yet; a socket keeps trying",
            (Kind::Unreachable, _, _) => {
                "there is no way to that address; check it and the network, while a socket keeps trying"
            }
            (Kind::TimedOut, _, _) => {
                "there was no answer in time; check the address and the firewalls, while a socket keeps trying"
            }
            (Kind::NameNotFound, _, _) => {
                "the host name could not be looked up; check its spelling and the name service"
            }
            (Kind::BindOnly, _, _) => {
                "a wildcard host or port 0 is for binding only; connect to an address and its port"
            }
            (Kind::Other, _, _) => "the system refused it",
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.action {
            Action::Bind => "bind",
            Action::Connect => "connect to",
        };
        write!(f, "cannot {verb} {}: {}", self.endpoint, self.advice())?;
        match &self.source {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
        }
    }
}

/// The system's own error is part of the sentence already.
impl Error for TransportError {}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [TransportErrorKind; 12] = [
        TransportErrorKind::AddressInUse,
        TransportErrorKind::AddressNotAvailable,
        TransportErrorKind::PermissionDenied,
        TransportErrorKind::Exposed,
        TransportErrorKind::NotASocket,
        TransportErrorKind::NoSuchFile,
        TransportErrorKind::Refused,
        TransportErrorKind::Unreachable,
        TransportErrorKind::TimedOut,
        TransportErrorKind::NameNotFound,
        TransportErrorKind::BindOnly,
        TransportErrorKind::Other,
    ];

    #[test]
    fn every_sentence_names_its_endpoint_and_the_deed() {
        for url in ["tcp://127.0.0.1:7000?priority=3", "ipc:///run/jobs.sock", "inproc://jobs"] {
            let endpoint: Endpoint = url.parse().unwrap();
            for kind in KINDS {
                let bind = TransportError::new(Action::Bind, &endpoint, kind).to_string();
                assert!(bind.starts_with(&format!("cannot bind {url}: ")), "{bind}");
                let connect = TransportError::new(Action::Connect, &endpoint, kind).to_string();
                assert!(connect.starts_with(&format!("cannot connect to {url}: ")), "{connect}");
            }
        }
    }

    #[test]
    fn the_system_is_quoted() {
        let endpoint: Endpoint = "inproc://jobs".parse().unwrap();
        let source = io::Error::other("the moon is full");
        let error = TransportError::from_io(Action::Connect, &endpoint, source);
        assert_eq!(error.kind(), TransportErrorKind::Other);
        assert!(error.to_string().ends_with("(the moon is full)"), "{error}");
    }

    #[test]
    fn a_name_that_is_not_found_is_no_missing_file() {
        let endpoint: Endpoint = "tcp://nobody.invalid:7000".parse().unwrap();
        let source = io::ErrorKind::NotFound.into();
        let error = TransportError::name_not_found(Action::Connect, &endpoint, source);
        assert_eq!(error.kind(), TransportErrorKind::NameNotFound);
        assert!(error.to_string().contains("check its spelling"), "{error}");
    }

    #[test]
    fn an_exposed_address_names_both_ways_out() {
        let endpoint: Endpoint = "tcp://*:7000".parse().unwrap();
        let error = TransportError::new(Action::Bind, &endpoint, TransportErrorKind::Exposed);
        let sentence = error.to_string();
        assert!(sentence.contains("authorizer"), "{sentence}");
        assert!(sentence.contains("dangerously_allow_anonymous"), "{sentence}");
    }
}
