//! What can be wrong with a URL, in sentences.

use std::error::Error;
use std::fmt;

use super::Endpoint;
use super::parse::{ENDPOINT_BYTES_MAX, INPROC_BYTES_MAX, IPC_PATH_BYTES_MAX};

/// How much of a URL an error repeats.
const SHOWN_CHARS_MAX: usize = 160;

const SCHEMES: &str = "write \"tcp://host:port\" or \"ipc:///absolute/path\", within one process \"inproc://name\", or to \
                       connect \"srv+tcp://service.name\" or \"file:///absolute/path\"";
const TCP_EXAMPLE: &str = "write it like \"tcp://127.0.0.1:7000\"";
const IPC_EXAMPLE: &str = "write it like \"ipc:///run/user/1000/jobs.sock\"";
const INPROC_EXAMPLE: &str = "write it like \"inproc://jobs\"";
const SRV_EXAMPLE: &str = "write it like \"srv+tcp://_jobs._tcp.example.com\"";
const FILE_EXAMPLE: &str = "write it like \"file:///etc/jobs.endpoints\"";
const QUERY_EXAMPLE: &str = "write it like \"tcp://127.0.0.1:7000?priority=2\"";

/// A URL that is no [`Endpoint`], or none for the socket that was given it: which one, what is wrong with it, and what a
/// right one looks like.
///
/// A user name and password in the URL are not repeated.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointError {
    url: String,
    problem: Problem,
}

/// Pieces of the URL in here are cut to what an error shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Problem {
    TooLong,
    Unprintable,
    NoScheme,
    /// With the endpoint that it is with the scheme of TCP before it.
    TcpMeant(String),
    UnknownScheme(String),
    Fragment,
    UserInfo,
    EmptyHost,
    BareIpv6,
    BadIpv6(String),
    BadIpv4(String),
    BadHost(String),
    NoPort,
    BadPort(String),
    TcpPath,
    IpcRelative(String),
    IpcFolder,
    IpcTooLong(usize),
    InprocEmpty,
    InprocName,
    InprocTooLong,
    SrvEmpty,
    SrvPort,
    SrvAddress,
    FileRelative(String),
    FileFolder,
    ParameterWithoutValue(String),
    UnknownParameter(String),
    RepeatedParameter(String),
    BadPriority(String),
    Ranked,
    BindOnly,
    ConnectOnly,
    FileInFile,
}

impl EndpointError {
    pub(super) fn new(url: &str, problem: Problem) -> Self {
        Self { url: shown(&redacted(url)), problem }
    }

    /// An endpoint with a priority, given to a socket that does not rank its endpoints.
    pub(crate) fn ranked(endpoint: &Endpoint) -> Self {
        Self::new(&endpoint.to_string(), Problem::Ranked)
    }

    /// An endpoint for binding only, to be connected to.
    pub(crate) fn bind_only(endpoint: &Endpoint) -> Self {
        Self::new(&endpoint.to_string(), Problem::BindOnly)
    }

    /// An endpoint that stands for others, to be bound.
    pub(crate) fn connect_only(endpoint: &Endpoint) -> Self {
        Self::new(&endpoint.to_string(), Problem::ConnectOnly)
    }

    /// A file of endpoints that is named in another one.
    pub(crate) fn file_in_file(endpoint: &Endpoint) -> Self {
        Self::new(&endpoint.to_string(), Problem::FileInFile)
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem {
            Problem::Ranked | Problem::BindOnly | Problem::ConnectOnly | Problem::FileInFile => {
                write!(f, "{:?} cannot be used here: {}", self.url, self.problem)
            }
            _ => write!(f, "{:?} is not an endpoint: {}", self.url, self.problem),
        }
    }
}

impl Error for EndpointError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "it is longer than {ENDPOINT_BYTES_MAX} bytes"),
            Self::Unprintable => {
                f.write_str("it contains a control character, or begins or ends with a space")
            }
            Self::TcpMeant(url) => {
                write!(f, "it does not say which transport to use; for TCP write {url:?}")
            }
            Self::NoScheme => write!(f, "it does not say which transport to use; {SCHEMES}"),
            Self::UnknownScheme(scheme) => {
                write!(f, "the transport {scheme:?} is unknown; {SCHEMES}")
            }
            Self::Fragment => {
                f.write_str("an endpoint has no fragment; leave out \"#\" and what follows")
            }
            Self::UserInfo => {
                write!(f, "an endpoint has no user name or password; {TCP_EXAMPLE}")
            }
            Self::EmptyHost => write!(
                f,
                "the host is missing; {TCP_EXAMPLE}, or \"tcp://*:7000\" to bind every address"
            ),
            Self::BareIpv6 => f.write_str(
                "an IPv6 address goes into brackets; write it like \"tcp://[::1]:7000\"",
            ),
            Self::BadIpv6(ip) => write!(
                f,
                "{ip:?} is not an IPv6 address; write it like \"tcp://[::1]:7000\", without a zone"
            ),
            Self::BadIpv4(ip) => {
                write!(f, "{ip:?} is neither an IPv4 address nor a host name; {TCP_EXAMPLE}")
            }
            Self::BadHost(host) => write!(
                f,
                "{host:?} is not a host name, which has letters, digits, \"-\", \"_\" and single dots; \
                 write it like \"tcp://worker-1.example:7000\""
            ),
            Self::NoPort => {
                write!(f, "the port is missing; {TCP_EXAMPLE}, or with port 0 to bind a free one")
            }
            Self::BadPort(port) => {
                write!(f, "the port {port:?} is not a number from 0 to 65535; {TCP_EXAMPLE}")
            }
            Self::TcpPath => write!(f, "a tcp endpoint ends with its port; {TCP_EXAMPLE}"),
            Self::IpcRelative(path) => write!(
                f,
                "the path {path:?} is not absolute; write all of it after \"ipc://\", with its leading slash, \
                 like \"ipc:///run/user/1000/jobs.sock\""
            ),
            Self::IpcFolder => {
                write!(f, "the path names a folder and not a socket in it; {IPC_EXAMPLE}")
            }
            Self::IpcTooLong(bytes) => write!(
                f,
                "the path has {bytes} bytes, and a Unix socket's path at most {IPC_PATH_BYTES_MAX}; \
                 choose a shorter one, like \"ipc:///run/user/1000/jobs.sock\""
            ),
            Self::InprocEmpty => write!(f, "the name is missing; {INPROC_EXAMPLE}"),
            Self::InprocName => write!(
                f,
                "a name has only letters, digits, \".\", \"-\", \"_\", \":\" and \"/\"; {INPROC_EXAMPLE}"
            ),
            Self::InprocTooLong => {
                write!(f, "the name is longer than {INPROC_BYTES_MAX} bytes; {INPROC_EXAMPLE}")
            }
            Self::SrvEmpty => write!(f, "the name of the service is missing; {SRV_EXAMPLE}"),
            Self::SrvPort => write!(
                f,
                "a service has a name only, and its records say the ports; {SRV_EXAMPLE}"
            ),
            Self::SrvAddress => write!(f, "a service has a name and not an address; {SRV_EXAMPLE}"),
            Self::FileRelative(path) => write!(
                f,
                "the path {path:?} is not absolute; write all of it after \"file://\", with its leading slash, like \
                 \"file:///etc/jobs.endpoints\""
            ),
            Self::FileFolder => write!(f, "the path names a folder and not a file; {FILE_EXAMPLE}"),
            Self::ParameterWithoutValue(parameter) => {
                write!(f, "the parameter {parameter:?} has no value; {QUERY_EXAMPLE}")
            }
            Self::UnknownParameter(parameter) => write!(
                f,
                "the parameter {parameter:?} is unknown, the only known one is \"priority\"; {QUERY_EXAMPLE}"
            ),
            Self::RepeatedParameter(parameter) => {
                write!(
                    f,
                    "the parameter {parameter:?} is given twice; keep one of them, {QUERY_EXAMPLE}"
                )
            }
            Self::BadPriority(level) => write!(
                f,
                "the priority {level:?} is not a number from 1, the best, to 16; {QUERY_EXAMPLE}"
            ),
            Self::Ranked => f.write_str(
                "only the endpoints of PUSH, PULL, REQ and REP sockets have a priority; leave out \"?\" and what follows",
            ),
            Self::BindOnly => f.write_str(
                "a wildcard host or port 0 is for binding only; connect to an address and its port",
            ),
            Self::ConnectOnly => f.write_str(
                "it stands for other endpoints and is only to connect to; bind tcp://, ipc:// or inproc://",
            ),
            Self::FileInFile => f.write_str(
                "a file of endpoints cannot name another file; write the endpoints themselves",
            ),
        }
    }
}

/// Errors end up in logs: a password that was written into a URL by habit must not.
fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    match rest.rsplit_once('@') {
        Some((_, host)) if scheme != "ipc" => format!("{scheme}://***@{host}"),
        _ => url.to_owned(),
    }
}

/// The beginning of a text that may be anything.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or("")),
        None => text.to_owned(),
    }
}
