//! Calls that are answered many at a time: what is the same for all of a row is looked at once.

use bytes::Bytes;

use crate::time::Time;

use super::calls::Row;
use super::{Answer, AnswerError, CallKey, ReplyEngine};

impl ReplyEngine {
    /// Answers calls, each as [`ReplyEngine::answer`] does, and says of each how that went. It costs the least if they are in the
    /// order in which they came.
    pub fn answer_many(
        &mut self,
        answers: impl IntoIterator<Item = (CallKey, Bytes)>,
        now: Time,
        mut each: impl FnMut(Result<(), AnswerError>),
    ) {
        let mut answers = answers.into_iter();
        let mut next = answers.next();
        while let Some(answer) = next {
            let Some(mut row) = self.calls.row(answer.0) else {
                each(self.answer(answer.0, answer.1, now));
                next = answers.next();
                continue;
            };
            next = Some(answer);
            while let Some((key, payload)) = next.take() {
                let fits = payload.len() <= self.config.link.message_bytes_max;
                if !fits || !self.calls.end_in(&mut row, key, now) {
                    next = Some((key, payload));
                    break;
                }
                self.give_in(&row, key, payload, now);
                each(Ok(()));
                next = self.answer_behind(&mut row, key, &mut answers, now, &mut each);
            }
            self.close_row(&row);
            // What ended the row is answered by itself.
            if let Some((key, payload)) = next.take() {
                each(self.answer(key, payload, now));
                next = answers.next();
            }
        }
    }

    /// Answers the calls right behind the one that was just answered, as far as their answers go into the same block. Gives the
    /// first one that does not.
    fn answer_behind(
        &mut self,
        row: &mut Row,
        last: CallKey,
        answers: &mut impl Iterator<Item = (CallKey, Bytes)>,
        now: Time,
        each: &mut impl FnMut(Result<(), AnswerError>),
    ) -> Option<(CallKey, Bytes)> {
        let Self { calls, memory, config, .. } = self;
        let Some(mut filling) = memory.fill(config.memory, now) else {
            return answers.next();
        };
        let bytes_max = config.link.message_bytes_max;
        let mut before = last.0;
        for (key, payload) in answers {
            let is_next = key.0.checked_sub(1) == Some(before) && payload.len() <= bytes_max;
            if !is_next || !filling.has_room(payload.len()) || !calls.end_in(row, key, now) {
                return Some((key, payload));
            }
            before = key.0;
            filling.put(&payload);
            each(Ok(()));
        }
        None
    }

    fn give_in(&mut self, row: &Row, key: CallKey, payload: Bytes, given: Time) {
        let (client, id, to) = (row.client, row.id(key), Some(row.link));
        let answer = Answer { client, id, rejected: false, given, awaited: None, to };
        self.give(&answer, payload);
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
