//! A topology as a tree of text and as a picture.

use layout::backends::svg::SVGWriter;
use layout::core::base::Orientation;
use layout::core::geometry::Point;
use layout::core::style::StyleAttr;
use layout::std_shapes::shapes::{Arrow, Element, ShapeKind};
use layout::topo::layout::VisualGraph;
use termtree::Tree;

use drawdown::Endpoint;

use super::Topology;
use super::links::{Link, Peer};
use super::node::Node;

/// The room of a box in a picture: so much for each letter, and for each line.
const LETTER: f64 = 9.5;
const LINE: f64 = 22.0;

/// Work flows from the roots to the leaves. What was drawn is not drawn again.
pub(super) fn tree(topology: &Topology) -> String {
    let mut order: Vec<usize> = (0..topology.nodes.len()).collect();
    order.sort_by_key(|at| topology.ranks.get(*at));
    let mut drawn = vec![false; topology.nodes.len()];
    let mut text = String::new();
    for at in order {
        if drawn.get(at) == Some(&false) {
            text += &branch(topology, at, "", &mut drawn).to_string();
        }
    }
    text
}

fn branch(topology: &Topology, at: usize, by: &str, drawn: &mut Vec<bool>) -> Tree<String> {
    let Some(node) = topology.nodes.get(at) else {
        return Tree::new(String::new());
    };
    let title = format!("{} ({}){by}", node.title(), about(node));
    let was_drawn = drawn.get_mut(at).is_some_and(|drawn| std::mem::replace(drawn, true));
    let mut tree = Tree::new(if was_drawn { format!("{title}, see above") } else { title });
    if was_drawn {
        return tree;
    }
    for link in &topology.links {
        let by = format!("  {}", label(link));
        match link.flow() {
            Some((from, to)) if from == at => {
                tree.push(branch(topology, to, &by, drawn));
            }
            None if link.node == at => {
                let way = if link.side.role.sends() { "elsewhere:" } else { "from elsewhere:" };
                tree.push(Tree::new(format!("{way}{by}")));
            }
            _ => {}
        }
    }
    tree
}

/// Work flows from left to right.
pub(super) fn picture(topology: &Topology) -> String {
    let mut graph = VisualGraph::new(Orientation::LeftToRight);
    let handles: Vec<_> = topology
        .nodes
        .iter()
        .map(|node| graph.add_node(shape(&format!("{}\n{}", node.title(), about(node)))))
        .collect();
    for link in &topology.links {
        let Some(own) = handles.get(link.node).copied() else { continue };
        let peer = match link.peer {
            Peer::Node(at) => handles.get(at).copied(),
            Peer::Elsewhere => Some(graph.add_node(shape("elsewhere"))),
        };
        let Some(peer) = peer else { continue };
        let (from, to) = if link.side.role.sends() { (own, peer) } else { (peer, own) };
        // With an empty line below, it stands above the arrow.
        graph.add_edge(Arrow::simple(&format!("{}\n ", label(link))), from, to);
    }
    let mut svg = SVGWriter::new();
    graph.do_it(false, false, false, &mut svg);
    svg.finalize()
}

fn shape(text: &str) -> Element {
    let letters = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    let size =
        Point::new(letters as f64 * LETTER + LINE, (text.lines().count() as f64 + 1.0) * LINE);
    Element::create(ShapeKind::new_box(text), StyleAttr::simple(), Orientation::LeftToRight, size)
}

/// What it is, and where.
fn about(node: &Node) -> String {
    let site = node.site.as_ref().map(|site| format!(", {site}")).unwrap_or_default();
    format!("{}{site}", node.kind.name)
}

/// As in `127.0.0.1:7000, priority 2`.
fn label(link: &Link) -> String {
    let text = &link.endpoint.text;
    let plain = text.split('?').next().unwrap_or_default();
    let plain = plain.strip_prefix("tcp://").unwrap_or(plain);
    let endpoint = text.parse::<Endpoint>().ok();
    match endpoint.map(|endpoint| endpoint.priority().level()) {
        Some(level) if level > 1 => format!("{plain}, priority {level}"),
        _ => plain.to_owned(),
    }
}
