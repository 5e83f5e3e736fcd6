//! The requests of one connection as an onlooker sees them who knows both sides and everything between them.

use std::collections::BTreeMap;

use drawdown_protocol::credit::Amount;
use drawdown_protocol::message::cost_bytes;
use drawdown_protocol::wire::{Filter, PublishHeader, Request, Ring, Skip, StartAt};
use drawdown_protocol::{RequestId, Seq, Session};

use super::chronicle::wants;
use super::{Verdict, ensure};

/// All requests of one connection, and what was said beside them.
#[derive(Default)]
pub(crate) struct RequestsWatch {
    requests: BTreeMap<RequestId, RequestWatch>,
    /// The filters that the publisher goes by.
    filters: Vec<Vec<u8>>,
    /// What the subscriber was told that there is.
    pub(crate) rings: BTreeMap<Session, Ring>,
}

/// One request.
struct RequestWatch {
    session: Session,
    /// What the publisher may send by what it has heard.
    limit: Amount,
    sent: Amount,
    /// Where the publisher has come to, once it has said so.
    told: Option<Seq>,
    ended: bool,
}

impl RequestsWatch {
    /// The subscriber says this.
    pub(crate) fn asked(&mut self, request: &Request) -> Verdict {
        let watch = RequestWatch {
            session: request.session,
            limit: Amount::ZERO,
            sent: Amount::ZERO,
            told: match request.start {
                StartAt::Next(next) => Some(next),
                _ => None,
            },
            ended: false,
        };
        let before = self.requests.insert(request.request, watch);
        ensure(before.is_none(), || format!("request {} was made before", request.request))
    }

    /// The session of a request that its subscriber has not ended.
    pub(crate) fn session(&self, request: RequestId) -> Option<Session> {
        let watch = self.requests.get(&request).filter(|watch| !watch.ended);
        watch.map(|watch| watch.session)
    }

    /// The subscriber says that it wants no more.
    pub(crate) fn ended(&mut self, request: RequestId) {
        if let Some(watch) = self.requests.get_mut(&request) {
            watch.ended = true;
        }
    }

    /// The publisher hears how much it may send.
    pub(crate) fn heard_limit(&mut self, request: RequestId, limit: Amount) -> Verdict {
        let watch = self.requests.get_mut(&request).ok_or("a request that was never made")?;
        let before = std::mem::replace(&mut watch.limit, limit);
        ensure(before.fits(limit), || format!("a limit of {before:?} was lowered to {limit:?}"))
    }

    /// The publisher hears what is wanted.
    pub(crate) fn heard_filter(&mut self, filter: &Filter) {
        for prefix in filter.remove.iter() {
            self.filters.retain(|other| other != prefix.as_bytes());
        }
        self.filters.extend(filter.add.iter().map(|prefix| prefix.as_bytes().to_vec()));
    }

    /// The publisher sends messages: within its credit, and going on where it was. Says of which session they are.
    pub(crate) fn sent(
        &mut self,
        header: &PublishHeader,
        record_bytes: usize,
    ) -> Result<Session, String> {
        let watch = self.requests.get_mut(&header.request).ok_or("nobody has asked for this")?;
        let count = u64::from(header.count);
        watch.sent += Amount::new(count, cost_bytes(count, record_bytes as u64));
        ensure(watch.sent.fits(watch.limit), || {
            format!("{:?} was sent on a limit of {:?}", watch.sent, watch.limit)
        })?;
        let told = watch.told.unwrap_or(header.from);
        ensure(told <= header.from && header.from <= header.first_seq, || {
            format!("{header:?} goes back: {told} was reached")
        })?;
        watch.told = Some(header.first_seq + count);
        Ok(watch.session)
    }

    /// The publisher passes numbers over.
    pub(crate) fn skipped(&mut self, skip: &Skip) -> Verdict {
        let watch = self.requests.get_mut(&skip.request).ok_or("nobody has asked for this")?;
        let told = watch.told.unwrap_or(skip.from);
        ensure(told <= skip.from && skip.from <= skip.next, || {
            format!("{skip:?} goes back: {told} was reached")
        })?;
        watch.told = Some(skip.next);
        Ok(())
    }

    /// A topic of a message that the publisher sends is one that it was asked for.
    pub(crate) fn check_topic(&self, topic: &[u8]) -> Verdict {
        ensure(wants(&self.filters, topic), || {
            format!("a message on {topic:?} was sent to somebody who wants {:?}", self.filters)
        })
    }
}
