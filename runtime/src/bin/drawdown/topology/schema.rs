//! The JSON Schema of topology files, from the options that the commands have.

use clap::ArgAction;
use serde_json::{Map, Value, json};

use super::command_line;
use super::kind::{KINDS, Kind};

pub(super) fn text() -> String {
    let kinds: Vec<Value> = KINDS.iter().map(of_kind).collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A topology of Drawdown sockets and devices",
        "type": "object",
        "minProperties": 1,
        "propertyNames": { "pattern": "^[A-Za-z0-9_-]+$" },
        "additionalProperties": { "oneOf": kinds },
    });
    format!("{schema:#}\n")
}

fn of_kind(kind: &Kind) -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let mut properties = Map::new();
    properties.insert("socket".to_owned(), json!({ "const": kind.name }));
    properties.insert(
        "copies".to_owned(),
        json!({ "type": "integer", "minimum": 1, "description": "How many processes" }),
    );
    if kind.reads_input {
        properties.insert("input".to_owned(), text("The shell command whose lines it takes"));
    }
    properties.insert("output".to_owned(), text("The file to which its output is added"));
    properties.insert("site".to_owned(), text("Where it runs"));
    properties.insert("address".to_owned(), text("By which other sites reach it"));
    for option in command_line::command(kind.name).get_arguments() {
        let Some(key) = option.get_long().filter(|key| *key != "help" && *key != "version") else {
            continue;
        };
        let description = option.get_help().map(ToString::to_string).unwrap_or_default();
        let mut property = match option.get_action() {
            ArgAction::SetTrue | ArgAction::Count => json!({ "type": "boolean" }),
            ArgAction::Append => json!({
                "type": ["string", "number", "array"],
                "items": { "type": ["string", "number"] },
            }),
            _ => json!({ "type": ["string", "number"] }),
        };
        if let Some(property) = property.as_object_mut() {
            property.insert("description".to_owned(), description.into());
        }
        properties.insert(key.to_owned(), property);
    }
    let required: &[&str] = if kind.reads_input { &["socket", "input"] } else { &["socket"] };
    json!({
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    })
}
