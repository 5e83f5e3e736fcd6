//! Values as people write them.

use std::time::Duration;

use drawdown::Session;
use uuid::Uuid;

/// `1s`, `250ms`, `2h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it like \"30s\", \"250ms\" or \"2h 30m\""))
}

/// `4096`, `64KiB`, `8MiB`, `1GiB`.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text.get(digits.len()..).unwrap_or("").trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        other => return Err(format!("the unit {other:?} is unknown; write KiB, MiB or GiB")),
    };
    let count: usize =
        digits.parse().map_err(|_| "write it like \"4096\" or \"8MiB\"".to_owned())?;
    count.checked_mul(unit).ok_or_else(|| "that is more than this machine can count".to_owned())
}

/// `123e4567-e89b-12d3-a456-426614174000`.
pub(crate) fn session(text: &str) -> Result<Session, String> {
    let uuid = Uuid::parse_str(text);
    uuid.map(Session::from_uuid).map_err(|error| format!("it is no UUID: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("64KiB"), Ok(65_536));
        assert_eq!(bytes("2 MiB"), Ok(2 << 20));
        for wrong in ["", "MiB", "1MB", "-1", "99999999999999999999", "99999999999GiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
