//! Values as people write them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use drawdown::Session;
use drawdown::protocol::limits::{HEARTBEAT_MIN, MESSAGE_BYTES_MAX};
use uuid::Uuid;

const DNS_PORT: u16 = 53;

/// `1s`, `250ms`, `2h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it like \"30s\", \"250ms\" or \"2h 30m\""))
}

/// A time that is not over at once.
pub(crate) fn some_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("that is over before anything is done; write 1ms or more".to_owned()),
        time => Ok(time),
    }
}

/// A time between heartbeats.
pub(crate) fn heartbeat(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        interval if interval < HEARTBEAT_MIN => {
            let least = humantime::format_duration(HEARTBEAT_MIN);
            Err(format!(
                "that is more often than a busy machine keeps up with; write {least} or more"
            ))
        }
        interval => Ok(interval),
    }
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

/// A size that is not 0.
pub(crate) fn some_bytes(text: &str) -> Result<usize, String> {
    match bytes(text)? {
        0 => Err("that is room for nothing; write 1 or more".to_owned()),
        bytes => Ok(bytes),
    }
}

/// A command for `sh -c`. An empty one would do nothing, and well.
pub(crate) fn command(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("there is no command in it; was a variable of the shell empty?".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// A whole number.
pub(crate) fn number<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    whole(text, 0)
}

/// A whole number that is not 0.
pub(crate) fn one_or_more<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    whole(text, 1)
}

fn whole<T: TryFrom<u64>>(text: &str, least: u64) -> Result<T, String> {
    if text.is_empty() || !text.trim_start_matches('-').chars().all(|c| c.is_ascii_digit()) {
        return Err(format!("it is no whole number; write one, {least} or more"));
    }
    if text.starts_with('-') || text.parse().is_ok_and(|number: u64| number < least) {
        return Err(format!("that is too low; write {least} or more"));
    }
    let number = text.parse().ok().and_then(|number: u64| T::try_from(number).ok());
    number.ok_or_else(|| {
        // The bits of the largest one that fits: there are only whole numbers of 16, 32 and 64.
        let most = (0..64).map(|bits| u64::MAX >> bits).find(|most| T::try_from(*most).is_ok());
        format!("that is too high; write {} or less", most.unwrap_or(least))
    })
}

/// The largest message that a socket is to take.
pub(crate) fn message_bytes(text: &str) -> Result<usize, String> {
    match bytes(text)? {
        bytes if bytes > MESSAGE_BYTES_MAX => {
            Err(format!("no message can be longer than {MESSAGE_BYTES_MAX} bytes"))
        }
        bytes => Ok(bytes),
    }
}

/// `123e4567-e89b-12d3-a456-426614174000`.
pub(crate) fn session(text: &str) -> Result<Session, String> {
    let uuid = Uuid::parse_str(text);
    uuid.map(Session::from_uuid).map_err(|error| format!("it is no UUID: {error}"))
}

/// `192.0.2.1`, `127.0.0.1:5353`, `[::1]:53`.
pub(crate) fn name_server(text: &str) -> Result<SocketAddr, String> {
    let with_port = |ip: IpAddr| SocketAddr::new(ip, DNS_PORT);
    text.parse::<SocketAddr>().or_else(|_| text.parse().map(with_port)).map_err(|_| {
        "it is no IP address; write it like \"192.0.2.1\" or \"127.0.0.1:5353\"".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_that_would_be_missed_are_refused() {
        assert_eq!(heartbeat("10ms"), Ok(HEARTBEAT_MIN));
        for wrong in ["0s", "1us", "9ms", "soon"] {
            assert!(heartbeat(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_would_do_nothing_is_refused() {
        assert_eq!(some_time("1ms"), Ok(Duration::from_millis(1)));
        assert!(some_time("0s").is_err());
        assert_eq!(some_bytes("1"), Ok(1));
        assert!(some_bytes("0").is_err());
        assert_eq!(command(" cat "), Ok(" cat ".to_owned()));
        assert!(command("").is_err() && command(" ").is_err());
    }

    #[test]
    fn sizes_are_read_with_and_without_units() {
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("64KiB"), Ok(65_536));
        assert_eq!(bytes("2 MiB"), Ok(2 << 20));
        for wrong in ["", "MiB", "1MB", "-1", "99999999999999999999", "99999999999GiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_message_is_longer_than_its_length_can_say() {
        assert_eq!(message_bytes("1023MiB"), Ok(1023 << 20));
        assert_eq!(message_bytes("1073741823"), Ok(MESSAGE_BYTES_MAX));
        assert!(message_bytes("1GiB").unwrap_err().contains("1073741823"));
    }

    #[test]
    fn numbers_that_are_none_or_out_of_bounds_are_told_apart() {
        assert_eq!(number::<u64>("0"), Ok(0));
        assert_eq!(one_or_more::<u16>("65535"), Ok(65_535));
        for (refused, words) in [
            (number::<u64>("-1"), "write 0 or more"),
            (one_or_more::<u64>("0"), "write 1 or more"),
            (one_or_more::<u64>("-1"), "write 1 or more"),
            (number::<u64>(""), "no whole number"),
            (number::<u64>("1.5"), "no whole number"),
            (number::<u64>("18446744073709551616"), "write 18446744073709551615 or less"),
            (one_or_more::<u16>("65536").map(u64::from), "write 65535 or less"),
        ] {
            assert!(refused.as_ref().is_err_and(|why| why.contains(words)), "{words}: {refused:?}");
        }
    }

    #[test]
    fn name_servers_are_addresses_with_or_without_a_port() {
        for (text, address) in [
            ("127.0.0.1:5353", "127.0.0.1:5353"),
            ("192.0.2.1", "192.0.2.1:53"),
            ("::1", "[::1]:53"),
            ("[::1]:5353", "[::1]:5353"),
        ] {
            assert_eq!(
                name_server(text).map(|address| address.to_string()),
                Ok(address.to_owned())
            );
        }
        assert!(name_server("localhost").is_err());
    }
}
