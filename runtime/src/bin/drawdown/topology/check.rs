//! What no single node shows: what nodes do to each other.

use std::collections::BTreeMap;

use drawdown::transport::{Endpoint, Transport};

use super::faults::Faults;
use super::links::{Link, is_wildcard};
use super::node::Node;

/// Folders of which each process needs its own.
const FOLDERS: [&str; 2] = ["store", "cursor"];

pub(super) fn check(nodes: &[Node], links: &[Link], faults: &mut Faults) {
    for node in nodes {
        check_copies(node, faults);
        check_input(node, faults);
    }
    check_bound(nodes, faults);
    check_folders(nodes, faults);
    check_rings(nodes, links, faults);
}

/// What only one process can have.
fn check_copies(node: &Node, faults: &mut Faults) {
    if node.copies == 1 {
        return;
    }
    let bound = node.kind.sides.iter().filter_map(|side| node.setting(side.bind));
    let own = FOLDERS.iter().chain(&["identity", "session"]).filter_map(|key| node.setting(key));
    for setting in bound.chain(own) {
        faults.add(
            setting.line,
            format_args!(
                "{}: only one process can have this `{}`, and there are to be {}",
                node.name, setting.key, node.copies
            ),
        );
    }
}

fn check_input(node: &Node, faults: &mut Faults) {
    match (node.kind.reads_input, &node.input) {
        (true, None) => faults.add(
            node.line,
            format_args!(
                "{}: a {} needs `input`, the command whose lines it takes",
                node.name, node.kind.name
            ),
        ),
        (false, Some(_)) => {
            faults.add(
                node.line,
                format_args!("{}: a {} reads no `input`", node.name, node.kind.name),
            );
        }
        (true, Some(_)) | (false, None) => {}
    }
    if node.input.is_some() && node.copies > 1 {
        faults.add(
            node.line,
            format_args!(
                "{}: with `input` there is one process: copies would all send the same",
                node.name
            ),
        );
    }
}

/// Two nodes of one machine cannot wait at one address.
fn check_bound(nodes: &[Node], faults: &mut Faults) {
    let mut taken: Vec<(&Node, Endpoint, usize)> = Vec::new();
    for node in nodes {
        for side in node.kind.sides {
            for value in node.binds(side) {
                let Ok(endpoint) = value.text.parse::<Endpoint>() else {
                    continue;
                };
                let other = taken
                    .iter()
                    .find(|(other, bound, _)| other.site == node.site && clash(&endpoint, bound));
                if let Some((other, _, line)) = other {
                    faults.add(
                        value.line,
                        format_args!(
                            "{}: `{}` binds {} already, in line {line}",
                            node.name, other.name, value.text
                        ),
                    );
                }
                taken.push((node, endpoint, value.line));
            }
        }
    }
}

fn clash(one: &Endpoint, other: &Endpoint) -> bool {
    match (one.transport(), other.transport()) {
        (Transport::Tcp, Transport::Tcp) => {
            let is_any = |endpoint: &Endpoint| endpoint.host().is_some_and(is_wildcard);
            one.port() == other.port()
                && one.port() != Some(0)
                && (one.host() == other.host() || is_any(one) || is_any(other))
        }
        (Transport::Ipc, Transport::Ipc) => one.path() == other.path(),
        _ => false,
    }
}

fn check_folders(nodes: &[Node], faults: &mut Faults) {
    let mut taken = BTreeMap::new();
    for node in nodes {
        for value in FOLDERS.iter().flat_map(|key| node.values(key)) {
            let place = (node.site.as_deref(), value.text.trim_end_matches('/'));
            if let Some((other, line)) = taken.insert(place, (&node.name, value.line)) {
                faults.add(
                    value.line,
                    format_args!(
                        "{}: `{other}` has its store in {} already, in line {line}",
                        node.name, value.text
                    ),
                );
            }
        }
    }
}

/// What goes round among streamers or proxies would go round for ever; they refuse it. Routers lend to each other.
fn check_rings(nodes: &[Node], links: &[Link], faults: &mut Faults) {
    let passes = |at: usize| {
        nodes.get(at).is_some_and(|node| node.kind.is_device() && node.kind.name != "router")
    };
    let flows: Vec<(usize, usize)> = links
        .iter()
        .filter_map(Link::flow)
        .filter(|(from, to)| passes(*from) && passes(*to))
        .collect();
    for link in links {
        let Some((from, to)) = link.flow().filter(|flow| flows.contains(flow)) else {
            continue;
        };
        let Some(path) = way(to, from, &flows) else {
            continue;
        };
        let names = path.iter().filter_map(|at| Some(nodes.get(*at)?.name.as_str()));
        let ring = names.chain(nodes.get(to).map(|node| node.name.as_str())).collect::<Vec<_>>();
        let name = nodes.get(link.node).map_or("", |node| &node.name);
        faults.add(
            link.endpoint.line,
            format_args!(
                "{name}: this closes a ring, {}: what is passed on would come back",
                ring.join(" → ")
            ),
        );
    }
}

/// The nodes from one to another, if there is a way.
fn way(from: usize, to: usize, flows: &[(usize, usize)]) -> Option<Vec<usize>> {
    let mut came_from: BTreeMap<usize, Option<usize>> = BTreeMap::from([(from, None)]);
    let mut waiting = vec![from];
    while let Some(at) = waiting.pop() {
        for (_, next) in flows.iter().filter(|(start, _)| *start == at) {
            if !came_from.contains_key(next) {
                came_from.insert(*next, Some(at));
                waiting.push(*next);
            }
        }
    }
    came_from.get(&to)?;
    let mut path: Vec<usize> =
        std::iter::successors(Some(to), |at| came_from.get(at).copied().flatten()).collect();
    path.reverse();
    Some(path)
}
