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
                next = answers.next();
            }
            self.close_row(&row);
            // What ended the row is answered by itself.
            if let Some((key, payload)) = next.take() {
                each(self.answer(key, payload, now));
                next = answers.next();
            }
        }
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
