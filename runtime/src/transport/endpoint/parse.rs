//! From text to an [`Endpoint`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use super::error::{Problem, shown};
use super::{Address, Endpoint, Host, Priority};

pub(super) const ENDPOINT_BYTES_MAX: usize = 1_024;
pub(super) const INPROC_BYTES_MAX: usize = 255;

/// What `sockaddr_un` holds, less the zero byte at its end.
pub(super) const IPC_PATH_BYTES_MAX: usize =
    if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

const HOST_BYTES_MAX: usize = 253;
const HOST_LABEL_BYTES_MAX: usize = 63;

/// `priority` is that of an endpoint that does not say its own.
pub(super) fn endpoint(url: &str, priority: Priority) -> Result<Endpoint, Problem> {
    if url.len() > ENDPOINT_BYTES_MAX {
        return Err(Problem::TooLong);
    }
    if url.chars().any(char::is_control) || url.trim() != url {
        return Err(Problem::Unprintable);
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        let meant = format!("tcp://{url}");
        return Err(match endpoint(&meant, priority) {
            Ok(_) => Problem::TcpMeant(shown(&meant)),
            Err(_) => Problem::NoScheme,
        });
    };
    let parse_address = match scheme {
        "tcp" => tcp,
        "ipc" => ipc,
        "inproc" => inproc,
        "srv+tcp" => srv,
        "file" => file,
        "" => return Err(Problem::NoScheme),
        _ => return Err(Problem::UnknownScheme(shown(scheme))),
    };
    if rest.contains('#') {
        return Err(Problem::Fragment);
    }
    let (address, query) = match rest.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (rest, None),
    };
    let address = parse_address(address)?;
    let own = query.map_or(Ok(None), options)?;
    Ok(Endpoint { address, priority: own.unwrap_or(priority) })
}

fn tcp(text: &str) -> Result<Address, Problem> {
    if text.contains('@') {
        return Err(Problem::UserInfo);
    }
    let (authority, path) = match text.split_once('/') {
        Some((authority, path)) => (authority, Some(path)),
        None => (text, None),
    };
    let (host, port) = split_port(authority)?;
    let host = self::host(host)?;
    let port = self::port(port.ok_or(Problem::NoPort)?)?;
    if path.is_some() {
        return Err(Problem::TcpPath);
    }
    Ok(Address::Tcp { host, port })
}

/// Splits at the colon that is not inside of an IPv6 address.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), Problem> {
    if authority.starts_with('[') {
        let (host, port) =
            authority.split_once(']').ok_or_else(|| Problem::BadIpv6(shown(authority)))?;
        return match port.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if port.is_empty() => Ok((host, None)),
            None => Err(Problem::BadIpv6(shown(authority))),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(Problem::BareIpv6),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

/// An IPv6 address comes with its opening bracket.
fn host(text: &str) -> Result<Host, Problem> {
    if let Some(ip) = text.strip_prefix('[') {
        let ip: Ipv6Addr = ip.parse().map_err(|_| Problem::BadIpv6(shown(ip)))?;
        // An IPv4 address in IPv6 clothes is that IPv4 address.
        return Ok(Host::Ip(ip.to_canonical()));
    }
    if text.is_empty() {
        return Err(Problem::EmptyHost);
    }
    if text == "*" {
        return Ok(Host::Any);
    }
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(IpAddr::V4(ip)));
    }
    host_name(text)
}

fn host_name(text: &str) -> Result<Host, Problem> {
    // A dot at the end makes a name absolute.
    let relative = text.strip_suffix('.').unwrap_or(text);
    if relative.len() > HOST_BYTES_MAX || !relative.split('.').all(is_label) {
        return Err(Problem::BadHost(shown(text)));
    }
    // No top level is a number. Resolvers read such a name as an address with parts left out.
    let top = relative.rsplit('.').next().unwrap_or(relative);
    if top.bytes().all(|b| b.is_ascii_digit()) || top.starts_with("0x") || top.starts_with("0X") {
        return Err(Problem::BadIpv4(shown(text)));
    }
    Ok(Host::Name(text.to_ascii_lowercase()))
}

fn is_label(label: &str) -> bool {
    (1..=HOST_LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn port(text: &str) -> Result<u16, Problem> {
    if text.is_empty() {
        return Err(Problem::NoPort);
    }
    number(text).ok_or_else(|| Problem::BadPort(shown(text)))
}

/// Digits only: the standard parser would take a sign.
fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn ipc(path: &str) -> Result<Address, Problem> {
    if !path.starts_with('/') {
        return Err(Problem::IpcRelative(shown(path)));
    }
    if path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..") {
        return Err(Problem::IpcFolder);
    }
    if path.len() > IPC_PATH_BYTES_MAX {
        return Err(Problem::IpcTooLong(path.len()));
    }
    Ok(Address::Ipc { path: PathBuf::from(path) })
}

fn inproc(name: &str) -> Result<Address, Problem> {
    if name.is_empty() {
        return Err(Problem::InprocEmpty);
    }
    if name.len() > INPROC_BYTES_MAX {
        return Err(Problem::InprocTooLong);
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:/".contains(&b)) {
        return Err(Problem::InprocName);
    }
    Ok(Address::Inproc { name: name.to_owned() })
}

fn srv(name: &str) -> Result<Address, Problem> {
    if name.contains('@') {
        return Err(Problem::UserInfo);
    }
    if name.is_empty() {
        return Err(Problem::SrvEmpty);
    }
    if name.contains([':', '/', '[']) {
        return Err(Problem::SrvPort);
    }
    match host(name)? {
        Host::Name(name) => Ok(Address::Srv { name }),
        Host::Any | Host::Ip(_) => Err(Problem::SrvAddress),
    }
}

fn file(path: &str) -> Result<Address, Problem> {
    if !path.starts_with('/') {
        return Err(Problem::FileRelative(shown(path)));
    }
    if path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..") {
        return Err(Problem::FileFolder);
    }
    Ok(Address::File { path: PathBuf::from(path) })
}

fn options(query: &str) -> Result<Option<Priority>, Problem> {
    let mut priority = None;
    for parameter in query.split('&') {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if key != "priority" {
            return Err(Problem::UnknownParameter(shown(key)));
        }
        if value.is_empty() {
            return Err(Problem::ParameterWithoutValue(shown(key)));
        }
        let level = number(value).and_then(Priority::new);
        let level = level.ok_or_else(|| Problem::BadPriority(shown(value)))?;
        if priority.replace(level).is_some() {
            return Err(Problem::RepeatedParameter(shown(key)));
        }
    }
    Ok(priority)
}
