//! A proxy that is started anew on its store while its publisher is away: shelf lives and ages of what it kept.

mod common;

use std::time::Duration;

use common::raw::Raw;
use common::{WALL, encoded, filter, handshake, hello, later, peer, published, record, session};
use drawdown_protocol::store::{Recovered, RecoveredBlock, StoreOp};
use drawdown_protocol::wire::{Control, Frame, PublishRun, Request, Ring, StartAt};
use drawdown_protocol::{
    Identity, Lineage, Now, ProxyConfig, ProxyEngine, PublishConfig, RingConfig, Side, SocketType,
    Time, WallTime,
};

const HOUR: u64 = 3_600_000;
const LINEAGE: fn() -> Lineage = || Lineage { session: session(), epoch: 1, since: 0 };

fn config() -> ProxyConfig {
    let age = Some(Duration::from_secs(60));
    let down = PublishConfig {
        ring: RingConfig { age, ..RingConfig::default() },
        ..PublishConfig::default()
    };
    ProxyConfig { down, ..ProxyConfig::default() }
}

/// Of a chunk that was begun at this moment by its publisher's clock; only the first message says so.
fn records(published: WallTime, count: usize) -> Vec<Vec<u8>> {
    let mut dated = vec![3, 8];
    dated.extend(published.as_millis().to_le_bytes());
    let mut records = vec![record(b"x", Some(&dated))];
    records.resize(count, record(b"x", None));
    records
}

/// A proxy on this clock, which has four messages in two blocks of a publisher that says [`WALL`], and what its store then
/// has.
fn kept(now: Now) -> Recovered {
    let mut proxy = ProxyEngine::with_store(config(), peer(0x40));
    let mut source = Raw::connect(&mut proxy, "source", now);
    source.says(&mut proxy, &handshake(&hello(SocketType::Pub, peer(0x50))), now);
    let ring = Ring { lineage: LINEAGE(), oldest: 0, head: 4, live: true };
    source.says(&mut proxy, &encoded(&Control::Ring(ring)), now);
    source.hears(&mut proxy, now);
    let mut recovered = Recovered {
        session: session(),
        next_seq: 0,
        blocks: vec![],
        lineage: None,
        clock_ahead: None,
        attempts: vec![],
        dead: vec![],
        cut_off: false,
    };
    let all = records(WALL, 4);
    for (first, some) in [(0, &all[..2]), (2, &all[2..])] {
        source.says(&mut proxy, &published(1, first, first, some), now);
        while let Some(commit) = proxy.poll_store(now.time) {
            commit.ops.into_iter().for_each(|op| apply(&mut recovered, op));
            proxy.handle_stored(Ok(()), now);
        }
    }
    assert_eq!(recovered.blocks.len(), 2);
    recovered
}

fn apply(recovered: &mut Recovered, op: StoreOp) {
    match op {
        StoreOp::Reserve { end, .. } => recovered.next_seq = end,
        StoreOp::PutBlock { seqs, parts } => {
            let records = parts.concat().into();
            recovered.blocks.push(RecoveredBlock { seqs, done: vec![], records });
        }
        StoreOp::PutLineage { lineage } => recovered.lineage = Some(lineage),
        StoreOp::PutClock { ahead } => recovered.clock_ahead = Some(ahead),
        _ => {}
    }
}

/// What a proxy that was started anew sends: how many messages, and what it says of its publisher's clock.
fn sent(proxy: &mut ProxyEngine, now: Now) -> Vec<(u32, WallTime)> {
    let mut raw = Raw::on(proxy.open_link(Identity::new("sub"), Side::Downstream, now.time));
    raw.says(proxy, &handshake(&hello(SocketType::Sub, peer(0x60))), now);
    raw.says(proxy, &filter(b""), now);
    let (request, session, start) = (1, session(), StartAt::Oldest);
    let all = Request { request, session, start, last: None, messages: 100, bytes: 1 << 20 };
    raw.says(proxy, &encoded(&Control::Request(all)), now);
    let heard = raw.hears(proxy, now).into_iter();
    heard
        .filter_map(|frame| match frame {
            Frame::Publish(PublishRun { header, .. }) => Some((header.count, header.sent_at)),
            _ => None,
        })
        .collect()
}

/// The clock of the proxy's machine is right, an hour behind, or an hour ahead.
const CLOCKS: [u64; 3] = [0, HOUR, 2 * HOUR];

fn clock(skew: u64, time: u64) -> Now {
    let wall = WallTime::from_millis(WALL.as_millis() - HOUR + skew);
    Now { wall: later(Now { wall, time: Time::ZERO }, time).wall, time: Time::ZERO }
}

#[test]
fn shelf_lives_go_by_the_clock_of_the_publisher_that_is_away() {
    for skew in CLOCKS {
        let recovered = kept(clock(skew, 0));
        // Time begins anew, the wall clock has gone on.
        let now = clock(skew, 30_000);
        let mut proxy = ProxyEngine::recover(config(), peer(0x40), recovered, now);
        let wall = WALL + Duration::from_secs(30);
        assert_eq!(sent(&mut proxy, now), [(2, wall), (2, wall)], "with {skew}");
    }
}

#[test]
fn what_was_kept_is_as_old_as_it_was() {
    for skew in CLOCKS {
        let recovered = kept(clock(skew, 0));
        for (millis, is_there) in [(59_000, true), (61_000, false)] {
            let now = clock(skew, millis);
            let mut proxy = ProxyEngine::recover(config(), peer(0x40), recovered.clone(), now);
            assert_eq!(
                sent(&mut proxy, now).len(),
                if is_there { 2 } else { 0 },
                "{skew} {millis}"
            );
        }
    }
}
