//! `drawdown bench pub` and `drawdown bench sub`.

use serde_json::Value;

use crate::process::{run, start};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
}

#[test]
fn what_arrives_and_what_is_missing_is_all_that_was_published() {
    for (batch, size, ring) in [("256", "256", "65536"), ("0", "8", "100"), ("7", "16KiB", "10")] {
        let common = ["--count", "3000", "--size", size, "--subscribers", "3"];
        let publish = ["bench", "pub", "--bind", "tcp://127.0.0.1:0", "--ring", ring];
        let mut publisher = start(publish.into_iter().chain(common));
        let endpoint = publisher.bound();
        let subscribe = ["bench", "sub", "--connect", &endpoint, "--batch", batch];
        let received = json(&run(subscribe.into_iter().chain(common), "").with_code(0));
        let published = json(&publisher.end().with_code(0));
        assert_eq!((&published["published"], &published["subscribers"]), (&3000.into(), &3.into()));
        let count = |name: &str| received[name].as_u64().unwrap();
        assert_eq!(count("messages") + count("missing"), 9_000, "{received}");
        assert!(count("least") <= count("most") && count("most") <= 3_000, "{received}");
        assert_eq!(count("missing") == 0, count("gaps") == 0, "{received}");
        if ring == "65536" {
            assert_eq!(count("messages"), 9_000, "{received}");
        }
    }
}

#[test]
fn a_ring_that_is_filled_first_is_read_from_its_beginning() {
    let common = ["--count", "5000", "--size", "64"];
    let publish = ["bench", "pub", "--bind", "tcp://127.0.0.1:0", "--fill-first"];
    let mut publisher = start(publish.into_iter().chain(common));
    let endpoint = publisher.bound();
    let subscribe = ["bench", "sub", "--connect", &endpoint];
    let received = json(&run(subscribe.into_iter().chain(common), "").with_code(0));
    assert_eq!((&received["messages"], &received["missing"]), (&5000.into(), &0.into()));
    publisher.end().with_code(0);
}

#[test]
fn a_message_of_another_kind_is_noticed() {
    let subscribe = ["bench", "sub", "--bind", "tcp://127.0.0.1:0", "--count", "1", "--size", "8"];
    let mut subscriber = start(subscribe);
    let mut publisher = start(["pub", "--connect", &subscriber.bound()]);
    publisher.send("too short to be one\n");
    subscriber.end().says("is not what was sent").with_code(1);
}
