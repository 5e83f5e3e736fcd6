//! Everything at once, as real processes, and somebody who kills them, stops them, resets their connections and lets those
//! lead nowhere: what was accepted must come out, once it may.
//!
//! What is known of a process is what it wrote: numbers of what it accepted, and what it was given. Nothing is asked of
//! Drawdown about itself.

mod calls;
mod feed;
mod node;
mod pipeline;
mod source;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::processes::Random;

use calls::Calls;
use feed::Feed;
use pipeline::Pipeline;

/// What was done, and what came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Processes that got SIGKILL.
    pub kills: u64,
    /// Processes that were stopped and continued.
    pub stops: u64,
    /// Times that connections of a process were reset.
    pub resets: u64,
    /// Times that connections of a process led nowhere for a while.
    pub holds: u64,
    /// Messages that a sender gave a receipt for.
    pub accepted: u64,
    /// Of those and of others, how many came to a receiver.
    pub delivered: u64,
    /// How many of them came more than once.
    pub twice: u64,
    /// Messages that a subscriber had, each number once.
    pub published: u64,
    /// Calls that were answered.
    pub answered: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, stops, resets, holds, accepted, delivered, twice, published, answered } =
            self;
        write!(
            f,
            "{kills} kills, {stops} stops, {resets} resets and {holds} dead lines: {accepted} messages were accepted, \
             {delivered} delivered ({twice} more than once), {published} published messages and {answered} answers came"
        )
    }
}

/// Something that runs while it is disturbed.
trait Part {
    /// Gives it more to do.
    fn feed(&mut self);
    /// One of its processes, by chance.
    fn victim(&mut self, random: &mut Random) -> &mut dyn Victim;
    /// Lets it come to its end, and sees whether it kept its word.
    fn judge(self: Box<Self>, tally: &mut Tally) -> Result<(), String>;
}

/// A process that may be disturbed.
trait Victim {
    /// Kills it and starts it again.
    fn kill(&mut self);
    /// It stands still for a while.
    fn stop(&mut self, time: Duration);
    /// Its connections are reset. False if there is nobody to do that.
    fn reset(&mut self) -> bool;
    /// Its connections lead nowhere for a while. False if there is nobody to do that.
    fn hold(&mut self, time: Duration) -> bool;
}

/// Disturbs everything until so many processes were killed; `told` hears of each kill.
///
/// # Errors
/// What was lost, or damaged, or is otherwise not as it should be.
///
/// # Panics
/// When a process does not start or end, or writes what nobody understands.
pub fn run(
    folder: &Path,
    kills: u64,
    random: &mut Random,
    mut told: impl FnMut(&Tally),
) -> Result<Tally, String> {
    let mut parts: Vec<Box<dyn Part>> = vec![
        Box::new(Pipeline::start(folder)),
        Box::new(Feed::start(folder)),
        Box::new(Calls::start(folder)),
    ];
    let mut tally = Tally::default();
    while tally.kills < kills {
        parts.iter_mut().for_each(|part| part.feed());
        std::thread::sleep(Duration::from_millis(random.below(60)));
        let part = random.below(parts.len() as u64) as usize;
        let victim = parts[part].victim(random);
        let time = Duration::from_millis(50 + random.below(500));
        match random.below(10) {
            0 => {
                victim.stop(time);
                tally.stops += 1;
            }
            1 => tally.resets += u64::from(victim.reset()),
            2 => tally.holds += u64::from(victim.hold(time)),
            _ => {
                victim.kill();
                tally.kills += 1;
                told(&tally);
            }
        }
    }
    for part in parts {
        part.judge(&mut tally)?;
    }
    Ok(tally)
}
