//! Routers behind routers: what is told of them, what is granted to them, and where calls go.

use drawdown_protocol::limits::HOPS_MAX;
use drawdown_protocol::wire::{Control, Frame, Hop, Hops, Outcome};
use drawdown_protocol::{Event, PeerId, RouterEngine, Side};

use crate::common::{encoded, peer};
use crate::raw::{NOW, Raw, granted, router_hello, server};
use crate::{call, grant, outcomes, passed, passed_on, router};

/// What a router says of those behind it.
fn told(frames: &[Frame]) -> Option<Vec<(PeerId, u32)>> {
    let hops = frames.iter().filter_map(|frame| match frame {
        Frame::Control(Control::Hops(hops)) => Some(hops),
        _ => None,
    });
    Some(hops.last()?.routers.iter().map(|hop| (hop.router, hop.distance)).collect())
}

fn hops(routers: &[(u8, u32)]) -> Vec<u8> {
    let hop = |(router, distance): &(u8, u32)| Hop { router: peer(*router), distance: *distance };
    encoded(&Control::Hops(Hops { routers: routers.iter().map(hop).collect() }))
}

fn joined(engine: &mut RouterEngine, name: u8, side: Side) -> Raw {
    Raw::connect(engine, side, &router_hello(name, side))
}

#[test]
fn a_router_is_told_of_what_stands_behind_but_by_way_of_itself() {
    let mut engine = router();
    let mut first = joined(&mut engine, 0x01, Side::Downstream);
    first.says(&mut engine, &hops(&[(0x01, 0), (0x02, 1)]), NOW);
    let mut second = joined(&mut engine, 0x03, Side::Downstream);
    second.says(&mut engine, &hops(&[(0x03, 0), (0x02, 3), (0x04, 7)]), NOW);
    let mut up = joined(&mut engine, 0x01, Side::Upstream);
    let heard = told(&up.hears(&mut engine, NOW)).expect("HOPS before any grant");
    assert_eq!(heard, [(peer(0x40), 0), (peer(0x03), 1), (peer(0x02), 4)], "0x04 is too far");
    let mut other = joined(&mut engine, 0x09, Side::Upstream);
    let heard = told(&other.hears(&mut engine, NOW)).expect("HOPS before any grant");
    let all = [(0x40, 0), (0x01, 1), (0x03, 1), (0x02, 2)].map(|(name, far)| (peer(name), far));
    assert_eq!(heard, all);
    engine.link_lost(first.link, "gone", NOW.time);
    let heard = told(&other.hears(&mut engine, NOW)).expect("it has changed");
    assert_eq!(heard, [(0x40, 0), (0x03, 1), (0x02, 4)].map(|(name, far)| (peer(name), far)));
}

#[test]
fn credit_is_never_granted_back_to_where_it_came_from() {
    let mut engine = router();
    let mut own = Raw::connect(&mut engine, Side::Downstream, &server());
    own.says(&mut engine, &grant(1, 3), NOW);
    let mut down = joined(&mut engine, 0x01, Side::Downstream);
    down.says(&mut engine, &hops(&[(0x01, 0), (0x02, 1)]), NOW);
    down.says(&mut engine, &grant(1, 10), NOW);
    for name in [0x01, 0x02] {
        let mut up = joined(&mut engine, name, Side::Upstream);
        assert_eq!(granted(&up.hears(&mut engine, NOW)), Some(3), "its own server's: {name}");
        engine.link_lost(up.link, "gone", NOW.time);
    }
    let mut stranger = joined(&mut engine, 0x09, Side::Upstream);
    assert_eq!(granted(&stranger.hears(&mut engine, NOW)), Some(13));
    down.says(&mut engine, &hops(&[(0x01, 0), (0x09, 2)]), NOW);
    let lowered = granted(&stranger.hears(&mut engine, NOW));
    assert_eq!(lowered, Some(3), "what turned out to lead back is taken back");
}

#[test]
fn a_call_does_not_go_where_it_has_been() {
    let mut engine = router();
    let mut down = joined(&mut engine, 0x01, Side::Downstream);
    down.says(&mut engine, &hops(&[(0x01, 0), (0x02, 1)]), NOW);
    down.says(&mut engine, &grant(1, 10), NOW);
    let mut up = joined(&mut engine, 0x09, Side::Upstream);
    up.hears(&mut engine, NOW);
    up.says(&mut engine, &call(0, 1, &passed(&[peer(0x02), peer(0x09)])), NOW);
    assert!(passed_on(&down.hears(&mut engine, NOW)).is_empty(), "0x02 stands behind it");
    up.says(&mut engine, &call(1, 2, &passed(&[peer(0x07)])), NOW);
    let heard = passed_on(&down.hears(&mut engine, NOW));
    let way = vec![peer(0x07), peer(0x09), peer(0x40)];
    assert_eq!(heard, [(2, false, way)], "who sends it has been passed, whatever it says");
}

#[test]
fn a_call_that_comes_back_is_given_back_and_told_of() {
    let mut engine = router();
    let mut own = Raw::connect(&mut engine, Side::Downstream, &server());
    own.says(&mut engine, &grant(1, 3), NOW);
    let mut up = joined(&mut engine, 0x09, Side::Upstream);
    up.hears(&mut engine, NOW);
    while engine.poll_event().is_some() {}
    up.says(&mut engine, &call(0, 1, &passed(&[peer(0x40), peer(0x09)])), NOW);
    assert_eq!(outcomes(&up.hears(&mut engine, NOW)), [(0, Outcome::Released)]);
    assert!(
        matches!(engine.poll_event(), Some(Event::LoopRefused { link, .. }) if link == up.link)
    );
    assert!(passed_on(&own.hears(&mut engine, NOW)).is_empty());
}

#[test]
fn a_call_that_has_passed_as_many_routers_as_it_may_is_rejected() {
    let mut engine = router();
    let mut own = Raw::connect(&mut engine, Side::Downstream, &server());
    own.says(&mut engine, &grant(1, 3), NOW);
    let mut up = joined(&mut engine, 0x09, Side::Upstream);
    up.hears(&mut engine, NOW);
    while engine.poll_event().is_some() {}
    let mut way: Vec<_> = (0x60..0x60 + HOPS_MAX as u8 - 1).map(peer).collect();
    way.push(peer(0x09));
    up.says(&mut engine, &call(0, 1, &passed(&way)), NOW);
    assert!(matches!(engine.poll_event(), Some(Event::HopLimit { link, .. }) if link == up.link));
    let heard = up.hears(&mut engine, NOW);
    let rejected = heard.iter().any(|frame| match frame {
        Frame::Data(data) => data.records.windows(9).any(|bytes| bytes == b"8 routers"),
        _ => false,
    });
    assert!(rejected, "{heard:?}");
    assert!(passed_on(&own.hears(&mut engine, NOW)).is_empty());
}

#[test]
fn demand_goes_down_but_not_to_where_it_came_from() {
    let demands = |frames: &[Frame]| {
        frames.iter().any(|frame| matches!(frame, Frame::Control(Control::Demand(_))))
    };
    let mut engine = router();
    let contended = |messages| {
        let grant = drawdown_protocol::wire::Grant {
            serial: 1,
            messages,
            bytes: messages << 21,
            contended: true,
            answered: 0,
        };
        encoded(&Control::Grant(grant))
    };
    let mut down = joined(&mut engine, 0x01, Side::Downstream);
    down.says(&mut engine, &hops(&[(0x01, 0)]), NOW);
    down.says(&mut engine, &contended(0), NOW);
    let mut other = joined(&mut engine, 0x02, Side::Downstream);
    other.says(&mut engine, &hops(&[(0x02, 0)]), NOW);
    other.says(&mut engine, &contended(0), NOW);
    let mut up = joined(&mut engine, 0x01, Side::Upstream);
    up.hears(&mut engine, NOW);
    let wants = drawdown_protocol::wire::Demand { waiting: 4, asks: false };
    up.says(&mut engine, &encoded(&Control::Demand(wants)), NOW);
    assert!(!demands(&down.hears(&mut engine, NOW)));
    assert!(demands(&other.hears(&mut engine, NOW)));
}
