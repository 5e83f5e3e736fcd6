//! Messages in the application's hands.

use std::future::{Ready, ready};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use drawdown_protocol::wire::Outcome;
use drawdown_protocol::{ConfirmOn, Item, Run, Seq, Session};

use crate::error::Closed;
use crate::socket::place::Place;

use super::shared::PullShared;

/// The run that messages came in, and the socket that they came from: one for many deliveries.
pub(super) struct Source {
    pub(super) run: Arc<Run>,
    pub(super) shared: Arc<PullShared>,
}

impl Source {
    #[inline]
    fn confirm(&self, index: u32) -> Result<(), Closed> {
        match self.shared.confirm_on {
            ConfirmOn::Processed => {
                self.shared.counts()?;
                self.shared.note(&self.run, self.run.confirm(index));
                Ok(())
            }
            ConfirmOn::Taken => Ok(()),
        }
    }

    fn settle(&self, index: u32, outcome: &Outcome) -> Result<(), Closed> {
        match self.shared.confirm_on {
            ConfirmOn::Processed => self.shared.settle(&self.run, index, outcome),
            ConfirmOn::Taken => Ok(()),
        }
    }
}

/// A message, and the duty to say what became of it.
///
/// Say it with [`ack`](Self::ack), [`nack`](Self::nack), [`release`](Self::release) or [`retry_in`](Self::retry_in). A
/// delivery that is dropped without a word counts as a failed attempt. On a socket that confirms when messages are
/// taken, all of these do nothing. They take effect when they are called; awaiting them gives the answer.
#[must_use = "a delivery that is dropped counts as a failed attempt"]
pub struct Delivery {
    source: Arc<Source>,
    /// Marked once it is settled.
    place: Place,
}

impl Delivery {
    #[inline]
    pub(super) fn new(source: Arc<Source>, item: &Item) -> Self {
        Self { source, place: Place::new(item.index, item.at) }
    }

    #[inline]
    fn bytes(&self) -> Range<usize> {
        self.source.run.payload(self.place.at())
    }

    /// From now on dropping it says nothing of it. Gives its index.
    #[inline]
    fn settled(&mut self) -> u32 {
        self.place.mark();
        self.place.index()
    }

    /// The payload.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        // The cursor found the record whole when it made the item.
        self.source.run.records().get(self.bytes()).unwrap_or_default()
    }

    /// The payload as shared bytes: no copy, but it keeps the buffer alive that it was read into.
    #[must_use]
    pub fn payload_bytes(&self) -> Bytes {
        self.source.run.records().slice(self.bytes())
    }

    /// The message's number in its sender's session.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.source.run.seq(self.place.index())
    }

    /// Its sender's session.
    #[must_use]
    pub fn session(&self) -> Session {
        self.source.run.session()
    }

    /// How many failed attempts there were before this one.
    #[must_use]
    pub fn failed_attempts(&self) -> u32 {
        self.source.run.attempt()
    }

    /// Done: the sender may forget the message. Does not wait; confirmations travel in batches, at once when the
    /// application asks for the next message and there is none, and within a millisecond otherwise.
    ///
    /// If the sender is away, it hears of it when it comes back.
    ///
    /// # Errors
    /// If the socket is closed, or was dropped: the message goes back to its sender, and comes again.
    #[inline]
    pub fn ack(mut self) -> Ready<Result<(), Closed>> {
        let index = self.settled();
        ready(self.source.confirm(index))
    }

    /// Failed: the message is tried again after its sender's retry delay, here or elsewhere, and in the end becomes a
    /// dead letter if the sender has set a maximum. Of the reason 512 bytes are kept.
    ///
    /// # Errors
    /// If the socket is closed, or was dropped: the message goes back to its sender all the same.
    pub fn nack(mut self, reason: impl AsRef<str>) -> Ready<Result<(), Closed>> {
        let index = self.settled();
        ready(self.source.settle(index, &Outcome::Rejected(reason.as_ref().into())))
    }

    /// Not done, and nobody's fault: the message goes back to its sender's queue; no attempt is counted.
    ///
    /// # Errors
    /// As for [`Delivery::nack`].
    pub fn release(mut self) -> Ready<Result<(), Closed>> {
        let index = self.settled();
        ready(self.source.settle(index, &Outcome::Released))
    }

    /// Not now: the message is tried again after `delay`; no attempt is counted.
    ///
    /// # Errors
    /// As for [`Delivery::nack`].
    pub fn retry_in(mut self, delay: Duration) -> Ready<Result<(), Closed>> {
        let index = self.settled();
        ready(self.source.settle(index, &Outcome::RetryIn(millis(delay))))
    }

    /// Asks for `more` time from now on, where the sender has set a time to process.
    ///
    /// # Errors
    /// If the socket is closed.
    pub fn extend(&self, more: Duration) -> Ready<Result<(), Closed>> {
        ready(self.source.settle(self.place.index(), &Outcome::Extended(millis(more))))
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.place.is_marked() {
            let outcome = Outcome::Rejected("the delivery was dropped without a word".into());
            // A socket that is closed has told its sender already.
            let _ = self.source.settle(self.place.index(), &outcome);
        }
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("seq", &self.seq())
            .field("bytes", &self.bytes().len())
            .finish_non_exhaustive()
    }
}

/// Some messages that came together, to be confirmed together or one by one.
#[must_use = "a batch that is dropped counts as failed attempts"]
pub struct DeliveryBatch {
    source: Arc<Source>,
    items: Vec<Item>,
}

impl DeliveryBatch {
    pub(super) const fn new(source: Arc<Source>, items: Vec<Item>) -> Self {
        Self { source, items }
    }

    /// How many messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none; a batch that was received has at least one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The payloads in order.
    pub fn payloads(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let records = self.source.run.records();
        self.items.iter().map(|item| records.get(item.payload()).unwrap_or_default())
    }

    /// All done; see [`Delivery::ack`].
    ///
    /// # Errors
    /// As for [`Delivery::ack`].
    pub fn ack(mut self) -> Ready<Result<(), Closed>> {
        let items = std::mem::take(&mut self.items);
        if self.source.shared.confirm_on == ConfirmOn::Taken {
            return ready(Ok(()));
        }
        if let Err(closed) = self.source.shared.counts() {
            return ready(Err(closed));
        }
        let run = &self.source.run;
        for items in items.chunk_by(|a, b| a.index + 1 == b.index) {
            if let [first, .., last] | [first @ last] = items {
                self.source.shared.note(run, run.confirm_all(first.index..last.index + 1));
            }
        }
        ready(Ok(()))
    }

    /// The messages one by one, each to be settled by itself. Those that are left when the iterator is dropped count as
    /// failed attempts.
    pub fn into_deliveries(mut self) -> impl Iterator<Item = Delivery> {
        self.take_apart()
    }

    fn take_apart(&mut self) -> Deliveries {
        let items = std::mem::take(&mut self.items).into_iter();
        Deliveries { source: Arc::clone(&self.source), items }
    }
}

impl Drop for DeliveryBatch {
    fn drop(&mut self) {
        drop(self.take_apart());
    }
}

/// A batch that is taken apart.
struct Deliveries {
    source: Arc<Source>,
    items: std::vec::IntoIter<Item>,
}

impl Iterator for Deliveries {
    type Item = Delivery;

    #[inline]
    fn next(&mut self) -> Option<Delivery> {
        self.items.next().map(|item| Delivery::new(Arc::clone(&self.source), &item))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        // Nothing has been said of these.
        self.for_each(drop);
    }
}

impl std::fmt::Debug for DeliveryBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeliveryBatch").field("len", &self.len()).finish_non_exhaustive()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
