//! The `drawdown` command that is measured.

use std::path::{Path, PathBuf};

/// Where the command is: as asked for, else beside this program.
///
/// # Errors
/// When it is not there.
pub fn drawdown_command(asked: Option<&Path>) -> Result<PathBuf, String> {
    let command = match asked {
        Some(command) => command.to_owned(),
        None => this_program()?.with_file_name(format!("drawdown{}", std::env::consts::EXE_SUFFIX)),
    };
    if !command.is_file() {
        return Err(format!(
            "the drawdown command is not at {}; build it with `cargo build --release -p drawdown`, or say where it \
             is with --drawdown",
            command.display()
        ));
    }
    Ok(command)
}

/// Where this program is, to start parts of it.
///
/// # Errors
/// When the system does not tell it.
pub fn this_program() -> Result<PathBuf, String> {
    std::env::current_exe()
        .map_err(|error| format!("where this program is cannot be known: {error}"))
}
