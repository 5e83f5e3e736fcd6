//! `drawdown completions`: for the user's shell.

use clap::Args;
use clap_complete::Shell;

use crate::exit::{self, Failure};

/// Print a completion script for a shell.
#[derive(Args)]
#[command(after_help = "\
Examples:
  drawdown completions bash >> ~/.bash_completion
  drawdown completions zsh > ~/.zfunc/_drawdown
  drawdown completions fish > ~/.config/fish/completions/drawdown.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs, command: &mut clap::Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "drawdown", &mut script);
    exit::print(&String::from_utf8_lossy(&script))
}
