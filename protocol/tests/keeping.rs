//! Which session the store of a proxy keeps.

mod common;

use std::collections::BTreeMap;

use common::raw::Raw;
use common::{encoded, handshake, hello, peer, publish, record};
use drawdown_protocol::store::{Recovered, RecoveredBlock, StoreOp};
use drawdown_protocol::wire::{Control, Frame, Request, Ring, StartAt};
use drawdown_protocol::{
    Lineage, LinkState, Now, ProxyConfig, ProxyEngine, Session, SocketType, Time,
};
use uuid::Uuid;

const NOW: Now = Now { time: Time::ZERO, wall: common::WALL };

fn session(name: u128) -> Session {
    Session::from_uuid(Uuid::from_u128(name))
}

/// A proxy with a store, and one who tells it of sessions.
struct Chain {
    proxy: ProxyEngine,
    source: Raw,
    /// By which request each session is asked for, and what it was sent of that.
    asked: BTreeMap<Session, (u32, u64)>,
    /// The session that the store keeps, and the numbers of its blocks: where each ends.
    kept: Option<Session>,
    blocks: BTreeMap<u64, u64>,
}

impl Chain {
    fn new() -> Self {
        let mut proxy = ProxyEngine::with_store(ProxyConfig::default(), peer(0x40));
        let mut source = Raw::connect(&mut proxy, "source", NOW);
        source.says(&mut proxy, &handshake(&hello(SocketType::Pub, peer(0x50))), NOW);
        let (asked, kept, blocks) = Default::default();
        Self { proxy, source, asked, kept, blocks }
    }

    /// The source has all of a session below `head`, and sends what is asked for. All is written.
    fn tells(&mut self, session: Session, head: u64, live: bool) {
        let lineage = Lineage { session, epoch: 1, since: 0 };
        let ring = Ring { lineage, oldest: 0, head, live };
        self.source.says(&mut self.proxy, &encoded(&Control::Ring(ring)), NOW);
        for frame in self.source.hears(&mut self.proxy, NOW) {
            if let Frame::Control(Control::Request(Request { request, session, start, .. })) = frame
            {
                let next = if let StartAt::Next(next) = start { next } else { 0 };
                self.asked.insert(session, (request, next));
            }
        }
        let (request, next) = self.asked.get_mut(&session).expect("it is followed");
        if *next < head {
            let count = (head - *next) as u32;
            self.source.says(&mut self.proxy, &publish(*request, *next, *next, count), NOW);
            *next = head;
        }
        self.write();
    }

    fn write(&mut self) {
        while let Some(commit) = self.proxy.poll_store(NOW.time) {
            for op in commit.ops {
                match op {
                    StoreOp::PutLineage { lineage } => self.kept = Some(lineage.session),
                    StoreOp::PutBlock { seqs, .. } => {
                        self.blocks.insert(seqs.start, seqs.end);
                    }
                    StoreOp::RemoveBlock { block } => {
                        assert!(self.blocks.remove(&block).is_some(), "{block}");
                    }
                    _ => {}
                }
            }
            self.proxy.handle_stored(Ok(()), NOW);
        }
    }
}

#[test]
fn a_session_that_ended_long_ago_does_not_take_the_place_of_one_that_lives() {
    let [lives, ended] = [1, 2].map(session);
    let mut chain = Chain::new();
    chain.tells(lives, 5, true);
    chain.tells(ended, 3, false);
    chain.tells(lives, 7, true);
    assert_eq!(chain.kept, Some(lives));
    assert_eq!(chain.blocks, BTreeMap::from([(0, 5), (5, 7)]));
}

#[test]
fn one_that_ended_long_ago_is_kept_until_another_lives() {
    let [ended, lives] = [1, 2].map(session);
    let mut chain = Chain::new();
    chain.tells(ended, 3, false);
    assert_eq!((chain.kept, &chain.blocks), (Some(ended), &BTreeMap::from([(0, 3)])));
    chain.tells(lives, 5, true);
    assert_eq!((chain.kept, &chain.blocks), (Some(lives), &BTreeMap::from([(0, 5)])));
}

#[test]
fn one_that_comes_to_life_takes_the_place_of_one_that_has_ended() {
    let [first, second] = [1, 2].map(session);
    let mut chain = Chain::new();
    chain.tells(first, 5, true);
    chain.tells(second, 3, false);
    chain.tells(second, 3, true);
    assert_eq!(chain.kept, Some(first), "both live");
    chain.tells(second, 3, false);
    chain.tells(first, 5, false);
    chain.tells(second, 3, true);
    chain.tells(second, 6, true);
    assert_eq!(chain.kept, Some(second));
    assert_eq!(chain.blocks, BTreeMap::from([(3, 6)]), "from then on");
}

/// A proxy whose store has four messages of this incarnation.
fn started_anew(lineage: Lineage) -> ProxyEngine {
    let records = record(b"x", None).repeat(4).into();
    let recovered = Recovered {
        session: lineage.session,
        next_seq: 1 << 22,
        blocks: vec![RecoveredBlock { seqs: 0..4, done: vec![], records }],
        lineage: Some(lineage),
        attempts: vec![],
        dead: vec![],
        clock_ahead: None,
        cut_off: false,
    };
    ProxyEngine::recover(ProxyConfig::default(), peer(0x40), recovered, NOW)
}

#[test]
fn a_proxy_that_was_started_anew_fences_an_older_publisher() {
    let stored = Lineage { session: session(1), epoch: 5, since: 2 };
    let older = Lineage { epoch: 4, since: 0, ..stored };
    let newer = Lineage { epoch: 6, since: 6, ..stored };
    let mut proxy = started_anew(stored);
    let mut tells = |lineage, head| {
        let mut source = Raw::connect(&mut proxy, "source", NOW);
        source.says(&mut proxy, &handshake(&hello(SocketType::Pub, peer(0x50))), NOW);
        let ring = Ring { lineage, oldest: 0, head, live: true };
        source.says(&mut proxy, &encoded(&Control::Ring(ring)), NOW);
        proxy.link_state(source.link)
    };
    assert_eq!(tells(older, 8), LinkState::Closing, "it numbers as it likes from 2 on");
    assert_eq!(tells(stored, 6), LinkState::Open);
    assert_eq!(tells(newer, 6), LinkState::Open);
    assert_eq!(tells(stored, 7), LinkState::Closing);
}
