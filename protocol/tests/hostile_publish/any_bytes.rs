//! Any bytes at all.

use drawdown_protocol::wire::{
    Control, End, Filter, Fingerprint, Frame, Heartbeat, More, Prefix, Request, Ring, Skip, StartAt,
};
use drawdown_protocol::{Message, Taken};
use proptest::prelude::*;

use crate::common::raw::Raw;
use crate::common::{encoded, filter, handshake, later, publish, session};
use crate::{NOW, WINDOW, ask, lineage, publishing, request, subscribed, subscriber_hello};

fn small() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..20, Just(u64::MAX), Just(u64::MAX - 1)]
}

fn any_control() -> impl Strategy<Value = Control> {
    let start =
        prop_oneof![Just(StartAt::Oldest), Just(StartAt::Newest), small().prop_map(StartAt::Next)];
    let last = proptest::option::of((small(), any::<u32>()))
        .prop_map(|last| last.map(|(seq, crc)| Fingerprint { seq, crc }));
    let request_frame = (0u32..6, start, last, small(), small());
    let request_frame = request_frame.prop_map(|(request, start, last, messages, bytes)| {
        Control::Request(Request { request, session: session(), start, last, messages, bytes })
    });
    prop_oneof![
        request_frame,
        (0u32..6, small(), small()).prop_map(|(request, messages, bytes)| Control::More(More {
            request,
            messages,
            bytes
        })),
        (0u32..6).prop_map(|request| Control::End(End { request })),
        (0u32..6, small(), small()).prop_map(|(request, from, next)| Control::Skip(Skip {
            request,
            from,
            next
        })),
        (0u64..4, small(), small(), small()).prop_map(|(epoch, since, oldest, head)| {
            Control::Ring(Ring { lineage: lineage(epoch, since), oldest, head, live: true })
        }),
        prop::collection::vec(0u8..3, 0..3).prop_map(|prefix| {
            let add = [Prefix::new(&prefix).unwrap()].into_iter().collect();
            Control::Filter(Filter { add, ..Filter::default() })
        }),
        Just(Control::Heartbeat(Heartbeat::default())),
    ]
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let run = (0u32..4, 0u64..20, 0u64..20, 1u32..20);
    let run =
        run.prop_map(|(request, from, more, count)| publish(request, from, from + more, count));
    prop_oneof![any_control().prop_map(|control| encoded(&control)), run]
}

proptest! {
    #[test]
    fn no_subscriber_upsets_a_publisher(said in prop::collection::vec(any_bytes(), 0..40)) {
        let (mut publisher, mut raw) = subscribed();
        let mut honest = Raw::connect(&mut publisher, "honest", NOW);
        honest.says(&mut publisher, &handshake(&subscriber_hello()), NOW);
        honest.says(&mut publisher, &filter(b""), NOW);
        honest.says(&mut publisher, &ask(request(1, StartAt::Oldest, u64::MAX)), NOW);
        let mut now = NOW;
        for bytes in said {
            raw.says(&mut publisher, &bytes, now);
            raw.hears(&mut publisher, now);
            now = later(now, 100);
            publisher.try_publish(b"t", Message::from("p"), || now).unwrap();
            publisher.handle_timeout(now);
        }
        let next = publisher.next_seq();
        let heard = honest.hears(&mut publisher, now);
        let runs = heard.iter().filter_map(|frame| match frame {
            Frame::Publish(run) => Some(u64::from(run.header.count)),
            _ => None,
        });
        prop_assert_eq!(runs.sum::<u64>(), next);
    }

    #[test]
    fn no_publisher_upsets_a_subscriber(said in prop::collection::vec(any_bytes(), 0..40)) {
        let (mut subscriber, mut raw) = publishing();
        let mut now = NOW;
        for bytes in said {
            raw.says(&mut subscriber, &bytes, now);
            raw.hears(&mut subscriber, now);
            now = later(now, 100);
            subscriber.handle_timeout(now.time);
            prop_assert!(subscriber.queued().messages <= WINDOW);
        }
        let mut next = 0;
        while let Some(taken) = subscriber.take(5) {
            if let Taken::Batch(batch) = taken {
                let mut cursor = drawdown_protocol::SubCursor::new(batch);
                while let Some(item) = cursor.next(|| now.time) {
                    prop_assert!(item.seq >= next, "{} after {}", item.seq, next);
                    next = item.seq + 1;
                }
                subscriber.handle_consumed(&cursor.report().unwrap(), now.time);
            }
        }
    }
}
