//! Subscribers behind proxies.

use rustix::process::Signal;
use tempfile::tempdir;

use crate::numbers::{feed, lines, received};
use crate::process::{Running, dismiss, run, start};

/// A proxy of this publisher, and where its subscribers find it.
fn proxy(publisher: &str, args: &[&str]) -> (Running, String) {
    let all = ["proxy", "--upstream-connect", publisher, "--downstream-bind", "tcp://127.0.0.1:0"];
    let mut proxy = start(all.into_iter().chain(args.iter().copied()));
    let endpoint = proxy.hears("bound downstream ").replace("bound downstream ", "");
    (proxy, endpoint)
}

#[test]
fn a_proxy_passes_numbers_and_topics_on() {
    for ring in [&[][..], &["--ring", "0"], &["--ring", "10", "--window", "5"]] {
        let mut publisher = start(["pub", "--bind", "tcp://127.0.0.1:0"]);
        feed(&mut publisher, &lines("t", 0..1_000));
        let (proxy, endpoint) = proxy(&publisher.bound(), ring);
        let args = ["sub", "--connect", &endpoint, "--count", "1000"];
        assert_eq!(run(args, "").with_code(0), received("t", 0..1_000), "{ring:?}");
        // Others too, and from where they want.
        let args = ["sub", "--connect", &endpoint, "--count", "10", "--from", "500"];
        assert_eq!(run(args, "").with_code(0), received("t", 500..510), "{ring:?}");
        publisher.end().with_code(0);
        dismiss(proxy);
    }
}

#[test]
fn publishers_may_come_to_a_proxy() {
    let args = ["--upstream-bind", "tcp://127.0.0.1:0", "--downstream-bind", "tcp://127.0.0.1:0"];
    let mut proxy = start(["proxy"].into_iter().chain(args));
    let upstream = proxy.hears("bound upstream ").replace("bound upstream ", "");
    let downstream = proxy.hears("bound downstream ").replace("bound downstream ", "");
    let mut publisher = start(["pub", "--connect", &upstream]);
    feed(&mut publisher, &lines("t", 0..10));
    let args = ["sub", "--connect", &downstream, "--count", "10"];
    assert_eq!(run(args, "").with_code(0), received("t", 0..10));
    publisher.end().with_code(0);
    dismiss(proxy);
}

#[test]
fn a_subscriber_goes_on_with_the_other_proxy() {
    let mut publisher = start(["pub", "--bind", "tcp://127.0.0.1:0"]);
    let endpoint = publisher.bound();
    let proxies = [proxy(&endpoint, &[]), proxy(&endpoint, &[])];
    let ends = proxies.iter().flat_map(|(_, endpoint)| ["--connect", endpoint.as_str()]);
    let mut subscriber = start(["sub"].into_iter().chain(ends));
    feed(&mut publisher, &lines("t", 0..100));
    for number in 0..100 {
        assert_eq!(subscriber.line(), format!("{number}\tt\t{number}"));
    }
    let [(first, _), (second, _)] = proxies;
    first.signal(Signal::KILL);
    assert_eq!(first.end().code, None);
    feed(&mut publisher, &lines("t", 100..200));
    for number in 100..200 {
        assert_eq!(subscriber.line(), format!("{number}\tt\t{number}"));
    }
    subscriber.signal(Signal::TERM);
    let ended = subscriber.end();
    assert!(!ended.stderr.contains("gap"), "{ended:?}");
    ended.with_code(0);
    dismiss(second);
    publisher.end().with_code(0);
}

#[test]
fn a_proxy_with_a_store_has_its_ring_when_the_publisher_is_gone() {
    let folder = tempdir().unwrap();
    let store = folder.path().join("ring").display().to_string();
    let mut publisher = start(["pub", "--bind", "tcp://127.0.0.1:0"]);
    let upstream = publisher.bound();
    feed(&mut publisher, &lines("t", 0..100));
    let (first, downstream) = proxy(&upstream, &["--store", &store]);
    let args = ["sub", "--connect", &downstream, "--count", "100"];
    assert_eq!(run(args, "").with_code(0), received("t", 0..100));
    publisher.signal(Signal::KILL);
    assert_eq!(publisher.end().code, None);
    dismiss(first);

    let (second, downstream) = proxy(&upstream, &["--store", &store]);
    let args = ["sub", "--connect", &downstream, "--count", "100"];
    assert_eq!(run(args, "").with_code(0), received("t", 0..100));
    dismiss(second);
}

#[test]
fn a_proxy_that_is_its_own_publisher_is_refused_with_a_sentence() {
    let folder = tempdir().unwrap();
    let endpoint = format!("ipc://{}", folder.path().join("proxy").display());
    let mut proxy =
        start(["proxy", "--upstream-connect", &endpoint, "--downstream-bind", &endpoint]);
    proxy.hears("this proxy was connected to itself");
    dismiss(proxy);
}
