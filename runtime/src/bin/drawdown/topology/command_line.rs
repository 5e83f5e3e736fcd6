//! A node as the command line that it stands for. What a command takes, and what not, its own options say.

use clap::error::{ContextKind, ContextValue};
use clap::{ArgAction, CommandFactory, Parser};
use drawdown::transport::Endpoint;

use crate::Cli;
use crate::endpoints::Endpoints;

use super::faults::Faults;
use super::links::Link;
use super::node::{Node, Setting, Value};

/// The arguments that start a node. Names of other nodes have become addresses.
pub(super) fn of(node: &Node, at: usize, links: &[Link]) -> Vec<String> {
    let mut line = vec![node.kind.name.to_owned()];
    for side in node.kind.sides {
        let here = links.iter().filter(|link| link.node == at && link.side == side);
        line.extend(here.map(|link| format!("--{}={}", side.connect, link.endpoint.text)));
    }
    let is_link = |key: &str| node.kind.sides.iter().any(|side| side.connect == key);
    for setting in node.settings.iter().filter(|setting| !is_link(&setting.key)) {
        line.extend(setting.values.iter().filter_map(|value| argument(setting, value)));
    }
    line
}

fn argument(setting: &Setting, value: &Value) -> Option<String> {
    let key = &setting.key;
    match (value.is_truth, value.text.as_str()) {
        (true, "true") => Some(format!("--{key}")),
        (true, _) => None,
        (false, text) => Some(format!("--{key}={text}")),
    }
}

/// Refuses what can be seen of each setting by itself, at the line where it stands. Says whether all are well.
pub(super) fn check_settings(node: &Node, faults: &mut Faults) -> bool {
    let before = faults.count();
    check_keys(node, faults);
    for value in node.kind.sides.iter().flat_map(|side| node.binds(side)) {
        if let Err(error) = value.text.parse::<Endpoint>() {
            faults.add(value.line, format_args!("{}: {error}", node.name));
        }
    }
    faults.count() == before
}

/// Refuses what the command would refuse, at the line where it stands.
pub(super) fn check(node: &Node, line: &[String], faults: &mut Faults) {
    let whole = std::iter::once("drawdown").chain(line.iter().map(String::as_str));
    if let Err(error) = Cli::try_parse_from(whole) {
        let at = context(&error, ContextKind::InvalidArg)
            .and_then(|argument| node.setting(key_of(&argument)).map(|setting| setting.line))
            .unwrap_or(node.line);
        faults.add(at, format_args!("{}: {}", node.name, sentence(&error)));
        return;
    }
    for side in node.kind.sides {
        let endpoints = |key| {
            let values =
                line.iter().filter_map(|argument| argument.strip_prefix("--")?.split_once('='));
            let here = values.filter(|(name, _)| *name == key);
            here.filter_map(|(_, text)| text.parse().ok()).collect::<Vec<_>>()
        };
        let side = Endpoints::new(&endpoints(side.bind), &endpoints(side.connect));
        if let Err(failure) = side.check() {
            faults.add(node.line, format_args!("{}: {failure}", node.name));
        }
    }
}

/// Whether the command has such options, and whether those that are switches are true or false.
fn check_keys(node: &Node, faults: &mut Faults) {
    let command = command(node.kind.name);
    let name = &node.name;
    for setting in &node.settings {
        let key = &setting.key;
        let known = || command.get_arguments().filter_map(clap::Arg::get_long);
        let Some(option) = command.get_arguments().find(|option| option.get_long() == Some(key))
        else {
            let near = near(key, known());
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            faults.add(
                setting.line,
                format_args!("{name}: a {} has no `{key}`{hint}", node.kind.name),
            );
            continue;
        };
        let is_switch = matches!(option.get_action(), ArgAction::SetTrue | ArgAction::Count);
        for value in &setting.values {
            if is_switch != value.is_truth {
                let wanted = if is_switch { "true or false" } else { "not true or false" };
                faults.add(value.line, format_args!("{name}: `{key}` is {wanted}"));
            }
        }
    }
}

/// What a topology may set of a command.
pub(super) fn command(name: &str) -> clap::Command {
    let mut all = Cli::command();
    all.build();
    // Every kind is a command.
    all.find_subcommand(name).cloned().unwrap_or_default()
}

/// The option that looks most like it.
fn near<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let alike = known.map(|other| (strsim::jaro(key, other), other));
    let alike = alike.filter(|(likeness, _)| *likeness > 0.8);
    alike.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, other)| other)
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        _ => None,
    }
}

/// As in `--window <COUNT>`.
fn key_of(argument: &str) -> &str {
    argument.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default()
}

/// What it says before it explains how the command is used.
fn sentence(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let about = text.split("\n\n").next().unwrap_or_default();
    about.split_whitespace().collect::<Vec<_>>().join(" ")
}
