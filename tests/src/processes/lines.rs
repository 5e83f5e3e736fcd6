//! Messages whose every byte follows from their name, so that a damaged one is known.

use super::Random;

/// Names a line: which process was given it, and its place in what that process was given.
pub type Name = (u64, u64);

/// The line of that name, without its newline. Most are short; some go by reference, and some fill more than a block.
#[must_use]
pub fn line((round, index): Name) -> Vec<u8> {
    let mut random = Random::of(round << 32 | index);
    let length = match random.below(1_000) {
        0 => random.below(150_000),
        1..=5 => random.below(20_000),
        _ => random.below(300),
    };
    let mut line = format!("{round} {index} ").into_bytes();
    line.extend((0..length).map(|_| b'a' + (random.number() % 26) as u8));
    line
}

/// The name of a line that is as it was, or what is wrong.
///
/// # Errors
/// When it is not, with what is wrong.
pub fn check(found: &[u8]) -> Result<Name, String> {
    let head = String::from_utf8_lossy(&found[..found.len().min(60)]).into_owned();
    let mut words = head.split(' ').map(str::parse);
    let (Some(Ok(round)), Some(Ok(index))) = (words.next(), words.next()) else {
        return Err(format!("no line begins like {head:?}"));
    };
    let name = (round, index);
    if line(name) == found { Ok(name) } else { Err(format!("{name:?} is damaged: {head:?}")) }
}
