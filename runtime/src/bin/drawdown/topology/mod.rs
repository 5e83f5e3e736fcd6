//! Topologies: one file that says which sockets and devices there are and who is connected to whom.

mod check;
mod command_line;
mod draw;
mod faults;
mod kind;
mod links;
mod node;
mod order;
mod read;
mod run;
mod schema;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use clap::Args;

use crate::exit::{self, Exit, Failure};

use faults::Faults;
use links::Link;
use node::Node;
pub(crate) use run::{RunArgs, run};

/// Say what is wrong with a topology file, line by line.
///
/// A topology is a TOML file with a table for each node. `socket` says what it is: push, pull, pub, sub, req, rep,
/// streamer, router or proxy. The options of that command are its settings, without the dashes before them, and lists where an
/// option may be repeated. To connect, the name of another node does as well as an endpoint. Besides there are
/// `copies` (how many processes), `input` (the shell command whose lines it takes), `output` (a file to add its
/// output to), `site` and `address` (for more than one machine). Paths are relative to the file.
#[derive(Args, Debug)]
#[command(after_help = "\
A topology:
  [jobs]
  socket = \"push\"
  input = \"seq 100\"
  connect = [\"intake\"]

  [intake]
  socket = \"streamer\"
  upstream-bind = \"tcp://127.0.0.1:7000\"
  downstream-bind = \"tcp://127.0.0.1:7001\"

  [workers]
  socket = \"pull\"
  copies = 4
  connect = \"intake\"
  exec = \"sha256sum\"

Examples:
  drawdown check topology.toml
  drawdown check --schema > topology.schema.json

Exit code 2: something is wrong; for each thing there is a line on stderr that
begins with FILE:LINE.")]
pub(crate) struct CheckArgs {
    /// The topology.
    #[arg(required_unless_present = "schema")]
    file: Option<PathBuf>,

    /// Print the JSON Schema of topology files, for editors.
    #[arg(long, conflicts_with = "file")]
    schema: bool,
}

/// Draw a topology: as a tree on stdout, or as a picture.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  drawdown draw topology.toml
  drawdown draw topology.toml --svg topology.svg")]
pub(crate) struct DrawArgs {
    /// The topology.
    file: PathBuf,

    /// Write a picture to this file instead.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// What a file says, and all of it makes sense.
#[derive(Debug)]
pub(crate) struct Topology {
    nodes: Vec<Node>,
    links: Vec<Link>,
    /// The rank of each node on the way that work takes.
    ranks: Vec<usize>,
}

pub(crate) fn check(args: &CheckArgs) -> Result<(), Failure> {
    let Some(file) = &args.file else {
        return exit::print(&schema::text());
    };
    let topology = Topology::load(file)?;
    let processes: u32 = topology.nodes.iter().map(|node| node.copies).sum();
    exit::print(&format!(
        "{}: {} nodes in {processes} processes, {} connections; nothing is wrong\n",
        file.display(),
        topology.nodes.len(),
        topology.links.len(),
    ))
}

pub(crate) fn draw(args: &DrawArgs) -> Result<(), Failure> {
    let topology = Topology::load(&args.file)?;
    let Some(svg) = &args.svg else {
        return exit::print(&draw::tree(&topology));
    };
    std::fs::write(svg, draw::picture(&topology)).map_err(|error| {
        Failure::new(Exit::Error, format!("cannot write {}: {error}", svg.display()))
    })
}

impl Topology {
    /// Reads a file and checks all of it.
    fn load(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(Exit::Error, format!("cannot read {}: {error}", path.display()))
        })?;
        Self::parse(&text, &path.display().to_string())
            .map_err(|faults| Failure::new(Exit::Usage, faults))
    }

    /// Every fault is a line that begins with `name` and the line's number.
    fn parse(text: &str, name: &str) -> Result<Self, String> {
        let mut faults = Faults::of(text);
        let nodes = read::nodes(text, &mut faults);
        let links = links::find(&nodes, &mut faults);
        check::check(&nodes, &links, &mut faults);
        for (at, node) in nodes.iter().enumerate() {
            let wanted: usize =
                node.kind.sides.iter().map(|side| node.values(side.connect).len()).sum();
            let found = links.iter().filter(|link| link.node == at).count();
            // What could not be made sense of is told already.
            if command_line::check_settings(node, &mut faults) && wanted == found {
                command_line::check(node, &command_line::of(node, at, &links), &mut faults);
            }
        }
        if faults.count() > 0 {
            return Err(faults.tell(name));
        }
        let ranks = order::ranks(nodes.len(), &links);
        Ok(Self { nodes, links, ranks })
    }

    /// The arguments that start this node.
    fn command_line(&self, at: usize) -> Vec<String> {
        self.nodes.get(at).map(|node| command_line::of(node, at, &self.links)).unwrap_or_default()
    }
}
