//! Requests under way, in the order of their lines.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use drawdown::{Reply, Request};

use super::answers::NoReply;

/// What became of a line.
type Answer = Result<Reply, NoReply>;

/// So many lines at most that are not told of yet, be their answers there or not.
pub(super) struct UnderWay {
    max: usize,
    lines: VecDeque<Line>,
    /// How many of the last ones were never polled: a request is made by that.
    new: usize,
}

struct Line {
    number: u64,
    state: State,
}

enum State {
    Asked(Request),
    Known(Answer),
}

impl UnderWay {
    pub(super) const fn new(max: usize) -> Self {
        Self { max, lines: VecDeque::new(), new: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.lines.len() >= self.max
    }

    /// The request is made when [`UnderWay::first`] is next waited for.
    pub(super) fn add(&mut self, number: u64, request: Request) {
        self.push(number, State::Asked(request));
    }

    /// A line that cannot be asked.
    pub(super) fn add_refused(&mut self, number: u64, why: NoReply) {
        self.push(number, State::Known(Err(why)));
    }

    fn push(&mut self, number: u64, state: State) {
        self.lines.push_back(Line { number, state });
        self.new += 1;
    }

    /// Makes the requests that are new, and waits for the answer of the first line, for ever if there is none. If the
    /// future is dropped, no answer is lost.
    pub(super) async fn first(&mut self) -> (u64, Answer) {
        poll_fn(|cx| self.poll_first(cx)).await
    }

    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<(u64, Answer)> {
        let old = self.lines.len().saturating_sub(self.new);
        self.new = 0;
        self.lines.iter_mut().skip(old).for_each(|line| line.look(cx));
        if let Some(first) = self.lines.front_mut() {
            first.look(cx);
        }
        match self.lines.pop_front() {
            Some(Line { number, state: State::Known(answer) }) => Poll::Ready((number, answer)),
            Some(asked) => {
                self.lines.push_front(asked);
                Poll::Pending
            }
            None => Poll::Pending,
        }
    }

    /// Looks at all lines once more, and withdraws the requests that have no answer by then. Gives what became of each.
    pub(super) fn withdraw(&mut self, signal: &str) -> impl Iterator<Item = (u64, Answer)> {
        let made = self.lines.len().saturating_sub(std::mem::take(&mut self.new));
        let mut cx = Context::from_waker(Waker::noop());
        self.lines.iter_mut().take(made).for_each(|line| line.look(&mut cx));
        self.lines.drain(..).map(move |line| {
            let answer = match line.state {
                State::Known(answer) => answer,
                State::Asked(request) if request.may_have_run() => Err(NoReply::withdrawn(signal)),
                State::Asked(_) => Err(NoReply::unsent(signal)),
            };
            (line.number, answer)
        })
    }
}

impl Line {
    fn look(&mut self, cx: &mut Context<'_>) {
        if let State::Asked(request) = &mut self.state
            && let Poll::Ready(answer) = Pin::new(request).poll(cx)
        {
            self.state = State::Known(answer.map_err(NoReply::from));
        }
    }
}
