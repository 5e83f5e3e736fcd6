//! From the text of a file to nodes.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::faults::Faults;
use super::kind::{KINDS, Kind};
use super::node::{Node, Setting, Value};

/// More processes of one node than this are a slip of the pen.
const COPIES_MAX: u32 = 1024;

/// Reads all nodes that can be read; of the others it tells what is wrong.
pub(super) fn nodes(text: &str, faults: &mut Faults) -> Vec<Node> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let line = faults.line(error.span().map_or(0, |span| span.start));
        faults.add(line, format_args!("this is not TOML: {}", error.message()));
    }
    if !errors.is_empty() {
        return Vec::new();
    }
    if table.get_ref().is_empty() {
        faults.add(
            1,
            "there is nothing in it: a topology has a table for each node, as in [workers]",
        );
    }
    let tables = table.into_inner().into_iter();
    tables.filter_map(|(name, value)| node(&name, &value, faults)).collect()
}

fn node(
    name: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
    faults: &mut Faults,
) -> Option<Node> {
    let line = faults.line(name.span().start);
    let name = name.get_ref().to_string();
    let Some(table) = value.get_ref().as_table() else {
        faults.add(
            line,
            format_args!("{name} stands alone: settings belong to a node, as in [workers]"),
        );
        return None;
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(is_plain) {
        faults.add(line, format_args!("{name:?} is no name: letters, digits, - and _ make one"));
    }
    let mut reader = Reader { name: &name, faults };
    let kind = reader.kind(table.get("socket"), line)?;
    let mut node = Node {
        name: name.clone(),
        line,
        kind,
        copies: 1,
        input: None,
        output: None,
        site: None,
        address: None,
        settings: Vec::new(),
    };
    for (key, value) in table {
        reader.setting(&mut node, key.get_ref(), value);
    }
    Some(node)
}

/// Reads the settings of one node.
struct Reader<'a> {
    name: &'a str,
    faults: &'a mut Faults,
}

impl Reader<'_> {
    fn kind(&mut self, value: Option<&Spanned<DeValue<'_>>>, line: usize) -> Option<&'static Kind> {
        let known = || KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
        let Some(value) = value else {
            self.fault(line, format_args!("it has no `socket`; one of {}", known()));
            return None;
        };
        let kind = value.get_ref().as_str().and_then(Kind::named);
        if kind.is_none() {
            let line = self.faults.line(value.span().start);
            self.fault(line, format_args!("`socket` is one of {}", known()));
        }
        kind
    }

    fn setting(&mut self, node: &mut Node, key: &str, value: &Spanned<DeValue<'_>>) {
        let line = self.faults.line(value.span().start);
        match key {
            "socket" => {}
            "copies" => node.copies = self.copies(value, line),
            "input" => node.input = self.text(key, value, line),
            "output" => node.output = self.text(key, value, line).map(Into::into),
            "site" => node.site = self.text(key, value, line),
            "address" => node.address = self.text(key, value, line),
            _ => {
                let values = self.values(key, value);
                node.settings.push(Setting { key: key.to_owned(), line, values });
            }
        }
    }

    fn copies(&mut self, value: &Spanned<DeValue<'_>>, line: usize) -> u32 {
        let number = value.get_ref().as_integer();
        let number = number.and_then(|n| u32::from_str_radix(n.as_str(), n.radix()).ok());
        number.filter(|copies| (1..=COPIES_MAX).contains(copies)).unwrap_or_else(|| {
            self.fault(line, format_args!("`copies` is a number from 1 to {COPIES_MAX}"));
            1
        })
    }

    fn text(&mut self, key: &str, value: &Spanned<DeValue<'_>>, line: usize) -> Option<String> {
        let text = value.get_ref().as_str().filter(|text| !text.is_empty());
        if text.is_none() {
            self.fault(line, format_args!("`{key}` is a text, in quotation marks"));
        }
        text.map(str::to_owned)
    }

    fn values(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Vec<Value> {
        if let Some(array) = value.get_ref().as_array() {
            return array.iter().filter_map(|value| self.value(key, value)).collect();
        }
        self.value(key, value).into_iter().collect()
    }

    fn value(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let line = self.faults.line(value.span().start);
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            // In whichever base it is written.
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| number.to_string(), |number| number.to_string()),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(is_set) => is_set.to_string(),
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                self.fault(
                    line,
                    format_args!("`{key}` is a text, a number, true or false, or a list of them"),
                );
                return None;
            }
        };
        Some(Value { text, line, is_truth: value.get_ref().is_bool() })
    }

    fn fault(&mut self, line: usize, sentence: std::fmt::Arguments<'_>) {
        self.faults.add(line, format_args!("{}: {sentence}", self.name));
    }
}
