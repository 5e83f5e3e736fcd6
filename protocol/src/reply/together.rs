//! Calls that are answered many at a time: what is the same for all of a row is looked at once.

use crate::message::Message;
use crate::time::Time;

use super::calls::Row;
use super::{Answer, AnswerError, CallKey, ReplyEngine};

impl ReplyEngine {
    /// Answers calls, each as [`ReplyEngine::answer`] does, and says of each how that went. It costs the least if they are in the
    /// order in which they came.
    pub fn answer_many(
        &mut self,
        answers: &[(CallKey, Message<'_>)],
        now: Time,
        mut each: impl FnMut(Result<(), AnswerError>),
    ) {
        let mut left = answers;
        while let Some((key, _)) = left.first() {
            if let Some(mut row) = self.calls.row(*key) {
                let count = self.answer_row(&mut row, left, now);
                self.close_row(&row);
                (0..count).for_each(|_| each(Ok(())));
                left = left.get(count..).unwrap_or_default();
            }
            // What ends a row is answered by itself.
            if let Some(((key, answer), behind)) = left.split_first() {
                each(self.answer_with(*key, answer, now));
                left = behind;
            }
        }
    }

    /// Answers the first of these calls, as far as they are of this row; says how many.
    fn answer_row(
        &mut self,
        row: &mut Row,
        answers: &[(CallKey, Message<'_>)],
        now: Time,
    ) -> usize {
        let mut left = answers;
        while let Some(((key, answer), behind)) = left.split_first() {
            let fits = answer.payload().len() <= self.config.link.message_bytes_max;
            if !fits || !self.calls.end_in(row, *key, now) {
                break;
            }
            let (client, id, to) = (row.client, row.id(*key), Some(row.link));
            let given = Answer { client, id, rejected: false, given: now, awaited: None, to };
            self.give(&given, answer);
            let count = self.answer_behind(row, *key, behind, now);
            left = behind.get(count..).unwrap_or_default();
        }
        answers.len() - left.len()
    }

    /// Answers the calls right behind the one that was just answered, as far as their answers go into the same block; says how
    /// many.
    fn answer_behind(
        &mut self,
        row: &mut Row,
        last: CallKey,
        answers: &[(CallKey, Message<'_>)],
        now: Time,
    ) -> usize {
        let Self { calls, memory, config, .. } = self;
        let Some(mut filling) = memory.fill(config.memory, now) else {
            return 0;
        };
        let bytes_max = config.link.message_bytes_max;
        let mut before = last;
        for (call, (key, answer)) in calls.behind(last, answers.len()).zip(answers) {
            let payload = answer.payload();
            let fits = payload.len() <= bytes_max && filling.has_room(payload.len());
            let is_next = key.0.checked_sub(1) == Some(before.0);
            if !fits || !is_next || !row.end(call, now) {
                break;
            }
            filling.put(payload);
            before = *key;
        }
        (before.0 - last.0) as usize
    }

    /// Counts the answers to a row of calls, whose room is free.
    fn close_row(&mut self, row: &Row) {
        self.counters.answered += row.count;
        self.pool.release(row.cost);
        if let Some(run) = self.calls.close_row(row) {
            self.forget_places(run);
        }
    }
}
