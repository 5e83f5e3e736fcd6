//! One entry of a topology.

use std::path::PathBuf;

use super::kind::{Kind, Side};

/// A socket or device, and how many of it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) kind: &'static Kind,
    pub(super) copies: u32,
    /// The shell command whose output is its stdin.
    pub(super) input: Option<String>,
    /// The file to which its stdout is added.
    pub(super) output: Option<PathBuf>,
    /// Where it runs.
    pub(super) site: Option<String>,
    /// By which others reach it, if it binds to every address of its machine.
    pub(super) address: Option<String>,
    /// The options of its command.
    pub(super) settings: Vec<Setting>,
}

/// An option of a command, as often as it is given.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) values: Vec<Value>,
}

/// What an option is set to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) line: usize,
    /// It is `true` or `false`, and no text.
    pub(super) is_truth: bool,
}

impl Node {
    pub(super) fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    /// All that an option is set to.
    pub(super) fn values(&self, key: &str) -> &[Value] {
        self.setting(key).map_or(&[], |setting| &setting.values)
    }

    /// Where one of its sides waits for others.
    pub(super) fn binds(&self, side: &Side) -> &[Value] {
        self.values(side.bind)
    }

    /// Its name, and how many there are.
    pub(super) fn title(&self) -> String {
        match self.copies {
            1 => self.name.clone(),
            copies => format!("{} ×{copies}", self.name),
        }
    }
}
