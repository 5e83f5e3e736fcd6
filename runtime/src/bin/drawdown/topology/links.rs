//! Who is connected to whom.

use drawdown::transport::{Endpoint, Host, Transport};

use super::faults::Faults;
use super::kind::{Role, Side};
use super::node::{Node, Value};

/// A connection, from where it is made.
#[derive(Debug)]
pub(super) struct Link {
    /// The node that connects.
    pub(super) node: usize,
    pub(super) side: &'static Side,
    pub(super) peer: Peer,
    /// What it connects to, names of nodes put into addresses.
    pub(super) endpoint: Value,
}

/// Who is at the other end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Peer {
    Node(usize),
    /// Somebody whom this file does not tell of.
    Elsewhere,
}

impl Link {
    /// From whom to whom work goes, if both are in the file.
    pub(super) fn flow(&self) -> Option<(usize, usize)> {
        match self.peer {
            Peer::Node(peer) if self.side.role.sends() => Some((self.node, peer)),
            Peer::Node(peer) => Some((peer, self.node)),
            Peer::Elsewhere => None,
        }
    }
}

/// Finds all connections; what cannot be one is told.
pub(super) fn find(nodes: &[Node], faults: &mut Faults) -> Vec<Link> {
    let mut links = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        for side in node.kind.sides {
            for value in node.values(side.connect) {
                let finder = Finder { nodes, node, side, value };
                match finder.link(at) {
                    Ok(link) => links.push(link),
                    Err(NoLink::Because(sentence)) => {
                        faults.add(value.line, format_args!("{}: {sentence}", node.name));
                    }
                    Err(NoLink::PeerIsWrong) => {}
                }
            }
        }
    }
    links
}

/// Why a connection cannot be made.
enum NoLink {
    Because(String),
    /// What its peer binds is no endpoint, which is told where that stands.
    PeerIsWrong,
}

impl From<String> for NoLink {
    fn from(sentence: String) -> Self {
        NoLink::Because(sentence)
    }
}

/// How an address leads to who is bound.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// It is the one that is bound.
    Exact,
    /// By another name, or since all of a machine's are bound.
    Loose,
}

struct Finder<'a> {
    nodes: &'a [Node],
    node: &'a Node,
    side: &'static Side,
    value: &'a Value,
}

impl Finder<'_> {
    fn link(&self, at: usize) -> Result<Link, NoLink> {
        let (peer, text) = if self.value.text.contains("://") {
            (self.by_address()?, self.value.text.clone())
        } else {
            self.by_name()?
        };
        if peer == Peer::Node(at) {
            let text = &self.value.text;
            return Err(format!("`{text}` is its own: a node cannot connect to itself").into());
        }
        let endpoint = Value { text, ..self.value.clone() };
        Ok(Link { node: at, side: self.side, peer, endpoint })
    }

    /// The node that waits at this address, if it is in the file: the one that is bound to that very address, if one is, and
    /// of several the one at the same site.
    fn by_address(&self) -> Result<Peer, String> {
        let wanted: Endpoint = self.value.text.parse().map_err(|error| format!("{error}"))?;
        let nodes = self.nodes.iter().enumerate();
        let ends =
            nodes.flat_map(|(at, node)| node.kind.sides.iter().map(move |side| (at, node, side)));
        let reached = ends.filter_map(|(at, node, side)| {
            let bound = node.binds(side).iter().filter_map(|value| value.text.parse().ok());
            let reach = bound.filter_map(|bound| self.reach(&wanted, &bound, node)).min()?;
            Some(((reach, !self.is_near(node)), at, side.role))
        });
        match reached.min_by_key(|(distance, ..)| *distance) {
            Some((_, at, role)) => self.pair(at, role),
            None => Ok(Peer::Elsewhere),
        }
    }

    fn pair(&self, at: usize, role: Role) -> Result<Peer, String> {
        if role == self.side.role.partner() {
            return Ok(Peer::Node(at));
        }
        Err(format!(
            "a {} waits at {}, that of `{}`, and this is a {}: they do not go together",
            role.name(),
            self.value.text,
            self.nodes.get(at).map_or("", |node| &node.name),
            self.side.role.name(),
        ))
    }

    fn is_near(&self, node: &Node) -> bool {
        self.node.site == node.site
    }

    fn reach(&self, wanted: &Endpoint, bound: &Endpoint, node: &Node) -> Option<Reach> {
        match (wanted.transport(), bound.transport()) {
            (Transport::Ipc, Transport::Ipc) => {
                (self.is_near(node) && wanted.path() == bound.path()).then_some(Reach::Exact)
            }
            (Transport::Tcp, Transport::Tcp) if wanted.port() == bound.port() => {
                self.reach_host(wanted.host()?, bound.host()?, node)
            }
            _ => None,
        }
    }

    fn reach_host(&self, wanted: &Host, bound: &Host, node: &Node) -> Option<Reach> {
        let is_local_wanted = is_local(wanted);
        if is_local_wanted && !self.is_near(node) {
            return None;
        }
        if wanted == bound {
            return Some(Reach::Exact);
        }
        let leads_there = if is_local_wanted {
            // What is bound to one loopback address is not at another one; `localhost` may be any of them.
            let is_by_name = [wanted, bound].iter().any(|host| matches!(host, Host::Name(_)));
            is_wildcard(bound) || (is_local(bound) && is_by_name)
        } else {
            let host = wanted.to_string();
            node.address.as_deref() == Some(host.trim_matches(['[', ']'])) && !is_local(bound)
        };
        leads_there.then_some(Reach::Loose)
    }

    /// A node by its name, and the address that this stands for.
    fn by_name(&self) -> Result<(Peer, String), NoLink> {
        let (name, query) = match self.value.text.split_once('?') {
            Some((name, query)) => (name, format!("?{query}")),
            None => (&*self.value.text, String::new()),
        };
        let Some((at, peer)) = self.nodes.iter().enumerate().find(|(_, node)| node.name == name)
        else {
            return Err(format!(
                "`{name}` is neither a node of this file nor an endpoint, as in tcp://127.0.0.1:7000"
            )
            .into());
        };
        let role = self.side.role.partner();
        let Some(side) = peer.kind.side(role) else {
            return Err(format!(
                "`{name}` is a {}, and this side of a {} connects to a {} only",
                peer.kind.name,
                self.node.kind.name,
                role.name(),
            )
            .into());
        };
        let Some(bound) = peer.binds(side).first() else {
            return Err(format!(
                "`{name}` waits nowhere for a {}: give it `{}`",
                self.side.role.name(),
                side.bind
            )
            .into());
        };
        let Ok(endpoint) = bound.text.parse() else {
            return Err(NoLink::PeerIsWrong);
        };
        let address = self.address_of(peer, bound, &endpoint)?;
        let text = format!("{address}{query}");
        text.parse::<Endpoint>().map_err(|error| format!("{error}"))?;
        Ok((Peer::Node(at), text))
    }

    /// How this node reaches what another one has bound.
    fn address_of(
        &self,
        peer: &Node,
        bound: &Value,
        endpoint: &Endpoint,
    ) -> Result<String, String> {
        let name = &peer.name;
        let is_near = self.is_near(peer);
        match (endpoint.transport(), endpoint.host(), endpoint.port()) {
            (Transport::Tcp, _, Some(0)) => Err(format!(
                "`{name}` binds {}, whose port is known only once it runs: give it a port",
                bound.text
            )),
            (Transport::Tcp, Some(host), Some(port)) if is_wildcard(host) => match &peer.address {
                Some(address) if address.contains(':') => Ok(format!("tcp://[{address}]:{port}")),
                Some(address) => Ok(format!("tcp://{address}:{port}")),
                None if is_near => Ok(format!("tcp://127.0.0.1:{port}")),
                None => Err(format!(
                    "`{name}` is at another site and binds to every address there: give it `address`"
                )),
            },
            (Transport::Ipc, ..) if !is_near => {
                Err(format!("`{name}` is at another site, where {} does not reach", bound.text))
            }
            (Transport::Tcp | Transport::Ipc, ..) => {
                Ok(bound.text.split('?').next().unwrap_or_default().to_owned())
            }
            _ => Err(format!("`{name}` cannot wait at {}", bound.text)),
        }
    }
}

pub(super) fn is_wildcard(host: &Host) -> bool {
    match host {
        Host::Any => true,
        Host::Ip(ip) => ip.is_unspecified(),
        _ => false,
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Ip(ip) => ip.is_loopback(),
        Host::Name(name) => name == "localhost",
        _ => false,
    }
}
