//! Which processes there are to be, and what to do when that changes.

use std::collections::VecDeque;
use std::path::Path;

use drawdown::protocol::Counted;

use crate::exit::{Exit, Failure};

use super::super::Topology;
use super::Step;
use super::process::Spec;

/// The processes with their ranks, lowest first.
#[derive(Debug)]
pub(super) struct Plan {
    specs: Vec<(usize, Spec)>,
}

/// How to get to another plan.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) plan: Plan,
    pub(super) steps: Vec<Step>,
    pub(super) sentences: Vec<String>,
}

impl Plan {
    pub(super) fn load(file: &Path, site: Option<&str>) -> Result<Self, Failure> {
        let topology = Topology::load(file)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = std::path::absolute(folder.unwrap_or(Path::new("."))).map_err(|error| {
            Failure::new(Exit::Error, format!("cannot tell where {} is: {error}", file.display()))
        })?;
        let specs = topology.specs(&folder, site);
        match site {
            Some(site) if specs.is_empty() => Err(Failure::new(
                Exit::Usage,
                format!("{} has nothing with the site {site:?}", file.display()),
            )),
            _ => Ok(Self { specs }),
        }
    }

    pub(super) fn specs(&self) -> impl Iterator<Item = &Spec> {
        self.specs.iter().map(|(_, spec)| spec)
    }

    pub(super) fn summary(&self) -> String {
        let mut nodes: Vec<&str> = self.specs().map(|spec| &*spec.node).collect();
        nodes.dedup();
        let processes = Counted(self.specs.len() as u64, "process");
        format!("started {processes} of {}", Counted(nodes.len() as u64, "node"))
    }

    pub(super) fn start_all(&self) -> VecDeque<Step> {
        self.specs().cloned().map(Step::Start).collect()
    }

    /// Those of one rank at the same time.
    pub(super) fn stop_all(&self) -> VecDeque<Step> {
        let ranks = self.specs.chunk_by(|(one, _), (other, _)| one == other);
        let names = ranks.map(|specs| specs.iter().map(|(_, spec)| spec.name.clone()).collect());
        names.map(Step::Stop).collect()
    }

    pub(super) fn find(&self, name: &str) -> Option<&Spec> {
        self.specs().find(|spec| spec.name == name)
    }

    /// What has to be done for another plan, after all that is to be done already. What reads its input goes on as it is, and
    /// what has read all of it is not started for the sake of others: it would begin anew. `runs` says of a name whether it
    /// does, or will by then; `is_done` whether it has ended well.
    pub(super) fn change_to(
        &self,
        mut new: Plan,
        runs: impl Fn(&str) -> bool,
        is_done: impl Fn(&str) -> bool,
    ) -> Change {
        let (mut steps, mut sentences) = (Vec::new(), Vec::new());
        for spec in self.specs().filter(|spec| new.find(&spec.name).is_none()) {
            if runs(&spec.name) {
                sentences.push(format!("{} is ended", spec.name));
                steps.push(Step::Stop(vec![spec.name.clone()]));
            }
        }
        for (_, spec) in &mut new.specs {
            let name = &spec.name;
            match self.find(name) {
                None => {
                    sentences.push(format!("{name} is started"));
                    steps.push(Step::Start(spec.clone()));
                }
                Some(old) if old == spec => {}
                Some(old)
                    if old.input.is_some()
                        && (runs(name) || (is_done(name) && old.input == spec.input)) =>
                {
                    sentences.push(format!(
                        "{name} has changed and is left as it is, since its input would begin anew"
                    ));
                    *spec = old.clone();
                }
                Some(_) => {
                    sentences.push(format!("{name} has changed and is started anew"));
                    steps.push(Step::Stop(vec![name.clone()]));
                    steps.push(Step::Start(spec.clone()));
                }
            }
        }
        if sentences.is_empty() {
            sentences.push("nothing has changed".to_owned());
        }
        Change { plan: new, steps, sentences }
    }
}
