//! Numbers as people write them.

use std::fmt;

/// As in `1 message` and `2 messages`, or `2 processes`.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a>(pub u64, pub &'a str);

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, noun) = self;
        let plural = match *number {
            1 => "",
            _ if noun.ends_with('s') => "es",
            _ => "s",
        };
        write!(f, "{number} {noun}{plural}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_kind_is_counted_in_the_singular() {
        let counted = [0, 1, 2].map(|number| Counted(number, "line").to_string());
        assert_eq!(counted, ["0 lines", "1 line", "2 lines"]);
        assert_eq!(Counted(2, "process").to_string(), "2 processes");
    }
}
