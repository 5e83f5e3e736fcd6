use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use super::*;

fn parse(url: &str) -> Endpoint {
    url.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn sentence(url: &str) -> String {
    match url.parse::<Endpoint>() {
        Ok(endpoint) => panic!("{url:?} was taken as {endpoint}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn good_urls_come_back_as_they_were() {
    for url in [
        "tcp://127.0.0.1:7000",
        "tcp://127.0.0.1:0",
        "tcp://0.0.0.0:65535",
        "tcp://*:7000",
        "tcp://localhost:1",
        "tcp://worker-1.some_site.example:7000",
        "tcp://worker.example.:7000",
        "tcp://1password.example:7000",
        "tcp://[::1]:7000",
        "tcp://[::]:7000",
        "tcp://[2001:db8::7]:7000?priority=2",
        "ipc:///run/jobs.sock",
        "ipc:///with space/100%/a@b:c.sock?priority=16",
        "inproc://jobs",
        "inproc://stage/2:a-b_c.d?priority=9",
        "srv+tcp://_jobs._tcp.example.com?priority=2",
        "file:///etc/with space/jobs.endpoints?priority=3",
    ] {
        let endpoint = parse(url);
        assert_eq!(endpoint.to_string(), url);
        assert_eq!(parse(&endpoint.to_string()), endpoint);
    }
}

#[test]
fn display_is_canonical() {
    for (url, canonical) in [
        ("tcp://LocalHost:07000", "tcp://localhost:7000"),
        ("tcp://[0:0:0:0:0:0:0:1]:7000", "tcp://[::1]:7000"),
        ("tcp://[::ffff:127.0.0.1]:7000", "tcp://127.0.0.1:7000"),
        ("inproc://Jobs?priority=1", "inproc://Jobs"),
        ("ipc:///jobs?priority=03", "ipc:///jobs?priority=3"),
        ("srv+tcp://_Jobs._tcp.Example.com.", "srv+tcp://_jobs._tcp.example.com."),
    ] {
        assert_eq!(parse(url).to_string(), canonical);
    }
}

#[test]
fn accessors_tell_the_parts() {
    let tcp = parse("tcp://[::1]:7000?priority=3");
    assert_eq!(tcp.transport(), Transport::Tcp);
    assert_eq!(tcp.host(), Some(&Host::Ip(IpAddr::V6(Ipv6Addr::LOCALHOST))));
    assert_eq!(tcp.port(), Some(7000));
    assert_eq!(tcp.priority().level(), 3);
    assert_eq!((tcp.path(), tcp.name()), (None, None));

    let ipc = parse("ipc:///run/jobs.sock");
    assert_eq!(ipc.transport(), Transport::Ipc);
    assert_eq!(ipc.path(), Some(Path::new("/run/jobs.sock")));
    assert_eq!(ipc.priority(), Priority::BEST);
    assert_eq!((ipc.host(), ipc.port(), ipc.name()), (None, None, None));

    let inproc = parse("inproc://jobs");
    assert_eq!(inproc.transport(), Transport::Inproc);
    assert_eq!(inproc.name(), Some("jobs"));

    let service = parse("srv+tcp://_jobs._tcp.test");
    assert_eq!(service.transport(), Transport::SrvTcp);
    assert_eq!(service.service(), Some("_jobs._tcp.test"));
    assert_eq!((service.host(), service.name(), service.path()), (None, None, None));
    let file = parse("file:///run/endpoints");
    assert_eq!(file.transport(), Transport::File);
    assert_eq!((file.path(), file.service()), (Some(Path::new("/run/endpoints")), None));
    assert!(service.names_others() && file.names_others() && !ipc.names_others());

    assert_eq!(parse("tcp://*:1").host(), Some(&Host::Any));
    assert_eq!(parse("tcp://Jobs.example:1").host(), Some(&Host::Name("jobs.example".to_owned())));
}

#[test]
fn wildcards_are_known_in_every_spelling() {
    for (url, wildcard, dual) in [
        ("tcp://*:1", true, true),
        ("tcp://[::]:1", true, true),
        ("tcp://0.0.0.0:1", true, false),
        ("tcp://[::ffff:0.0.0.0]:1", true, false),
        ("tcp://[::1]:1", false, false),
        ("tcp://localhost:1", false, false),
    ] {
        let endpoint = parse(url);
        let host = endpoint.host().unwrap();
        assert_eq!((host.is_wildcard(), host.is_dual()), (wildcard, dual), "{url}");
    }
}

/// Each bad URL, and the words of its error that say what to do about it.
const BAD: &[(&str, &str)] = &[
    ("", "\"tcp://host:port\" or \"ipc:///absolute/path\""),
    ("127.0.0.1:7000", "which transport to use; for TCP write \"tcp://127.0.0.1:7000\""),
    ("worker:7000?priority=2", "for TCP write \"tcp://worker:7000?priority=2\""),
    ("127.0.0.1", "\"tcp://host:port\" or \"ipc:///absolute/path\""),
    ("://127.0.0.1:7000", "does not say which transport"),
    ("tcp:127.0.0.1:7000", "does not say which transport"),
    (
        "udp://127.0.0.1:7000",
        "the transport \"udp\" is unknown; write \"tcp://host:port\" or \"ipc://",
    ),
    ("TCP://127.0.0.1:7000", "the transport \"TCP\" is unknown"),
    (" tcp://127.0.0.1:7000", "begins or ends with a space"),
    ("tcp://127.0.0.1:7000\n", "begins or ends with a space"),
    ("ipc:///a\0b", "control character"),
    ("tcp://127.0.0.1:7000#first", "no fragment"),
    ("tcp://me@127.0.0.1:7000", "no user name or password"),
    ("tcp://", "the host is missing; write it like \"tcp://127.0.0.1:7000\""),
    ("tcp://:7000", "the host is missing"),
    ("tcp:///7000", "the host is missing"),
    ("tcp://::1:7000", "write it like \"tcp://[::1]:7000\""),
    ("tcp://[::1:7000", "is not an IPv6 address"),
    ("tcp://[::1]7000", "is not an IPv6 address"),
    ("tcp://[]:7000", "is not an IPv6 address"),
    ("tcp://[fe80::1%eth0]:7000", "without a zone"),
    ("tcp://127.0.0.300:7000", "neither an IPv4 address nor a host name"),
    ("tcp://127.1:7000", "neither an IPv4 address nor a host name"),
    ("tcp://2130706433:7000", "neither an IPv4 address nor a host name"),
    ("tcp://0x7f000001:7000", "neither an IPv4 address nor a host name"),
    ("tcp://a..b:7000", "is not a host name"),
    ("tcp://-a:7000", "is not a host name"),
    ("tcp://a-:7000", "is not a host name"),
    ("tcp://a b:7000", "is not a host name"),
    ("tcp://b\u{fc}ro:7000", "is not a host name"),
    ("tcp://.:7000", "is not a host name"),
    ("tcp://127.0.0.1", "the port is missing"),
    ("tcp://127.0.0.1:", "the port is missing"),
    ("tcp://[::1]", "the port is missing"),
    ("tcp://127.0.0.1:65536", "the port \"65536\" is not a number from 0 to 65535"),
    ("tcp://127.0.0.1:-1", "is not a number from 0 to 65535"),
    ("tcp://127.0.0.1:+7000", "is not a number from 0 to 65535"),
    ("tcp://127.0.0.1:http", "is not a number from 0 to 65535"),
    ("tcp://127.0.0.1:7000/", "ends with its port"),
    ("tcp://127.0.0.1:7000/jobs", "ends with its port"),
    ("ipc://", "is not absolute"),
    ("ipc://jobs.sock", "the path \"jobs.sock\" is not absolute; write all of it after \"ipc://\""),
    ("ipc:///", "names a folder"),
    ("ipc:///run/", "names a folder"),
    ("ipc:///run/..", "names a folder"),
    ("inproc://", "the name is missing; write it like \"inproc://jobs\""),
    ("inproc://my jobs", "only letters, digits"),
    ("srv+tcp://", "the name of the service is missing"),
    ("srv+tcp://jobs.test:7000", "its records say the ports"),
    ("srv+tcp://jobs.test/x", "its records say the ports"),
    ("srv+tcp://127.0.0.1", "a service has a name and not an address"),
    ("srv+tcp://*", "a service has a name and not an address"),
    ("srv+tcp://a b", "is not a host name"),
    ("srv+tcp://me@jobs.test", "no user name or password"),
    (
        "file://endpoints",
        "the path \"endpoints\" is not absolute; write all of it after \"file://\"",
    ),
    ("file:///etc/", "names a folder and not a file"),
    ("tcp://127.0.0.1:1?", "the only known one is \"priority\""),
    ("tcp://127.0.0.1:1?prio=2", "\"prio\" is unknown, the only known one is \"priority\""),
    ("tcp://127.0.0.1:1?Priority=2", "the only known one is \"priority\""),
    ("tcp://127.0.0.1:1?priority", "has no value"),
    ("tcp://127.0.0.1:1?priority=", "has no value"),
    ("tcp://127.0.0.1:1?priority=2&", "the only known one is \"priority\""),
    ("tcp://127.0.0.1:1?priority=2&priority=2", "is given twice"),
    ("tcp://127.0.0.1:1?priority=0", "the priority \"0\" is not a number from 1, the best, to 16"),
    ("tcp://127.0.0.1:1?priority=17", "not a number from 1, the best, to 16"),
    ("tcp://127.0.0.1:1?priority=256", "not a number from 1, the best, to 16"),
    ("tcp://127.0.0.1:1?priority=+2", "not a number from 1, the best, to 16"),
    ("inproc://jobs?priority=best", "not a number from 1, the best, to 16"),
];

#[test]
fn bad_urls_are_refused_with_their_name_and_a_remedy() {
    for (url, remedy) in BAD {
        let sentence = sentence(url);
        assert!(sentence.contains(remedy), "{url:?}: {sentence}");
        if !url.contains('@') {
            assert!(sentence.starts_with(&format!("{url:?} is not an endpoint: ")), "{sentence}");
        }
    }
}

#[test]
fn what_an_error_recommends_is_an_endpoint() {
    let mut checked = 0;
    for (url, _) in BAD {
        let sentence = sentence(url);
        let (_, remedy) = sentence.rsplit_once("like \"").unwrap_or_default();
        if let Some((example, _)) = remedy.split_once('"') {
            parse(example);
            checked += 1;
        }
    }
    assert!(checked > BAD.len() / 2, "only {checked} errors have an example");
}

#[test]
fn errors_do_not_repeat_passwords() {
    for url in [
        "tcp://me:hunter2@127.0.0.1:7000",
        "http://me:hunter2@127.0.0.1:7000/",
        "tcp://me:hunter2/x@127.0.0.1:7000",
    ] {
        let sentence = sentence(url);
        assert!(!sentence.contains("hunter2"), "{sentence}");
        assert!(sentence.contains("://***@127.0.0.1:7000"), "{sentence}");
    }
}

#[test]
fn lengths_are_bounded() {
    let path = |bytes: usize| format!("ipc:///{}", "p".repeat(bytes - 1));
    parse(&path(parse::IPC_PATH_BYTES_MAX));
    let too_long = sentence(&path(parse::IPC_PATH_BYTES_MAX + 1));
    assert!(too_long.contains("at most"), "{too_long}");

    parse(&format!("inproc://{}", "n".repeat(parse::INPROC_BYTES_MAX)));
    let too_long = sentence(&format!("inproc://{}", "n".repeat(parse::INPROC_BYTES_MAX + 1)));
    assert!(too_long.contains("longer than 255 bytes"), "{too_long}");

    let label = "h".repeat(63);
    parse(&format!("tcp://{label}.{label}.{label}.{}:1", "h".repeat(61)));
    sentence(&format!("tcp://{label}.{label}.{label}.{}:1", "h".repeat(62)));
    sentence(&format!("tcp://{label}h:1"));

    let endless = sentence(&format!("tcp://{}", "\u{e9}".repeat(100_000)));
    assert!(endless.contains("longer than 1024 bytes"), "{endless}");
    assert!(endless.len() < 1_000, "{} bytes", endless.len());
}

#[test]
fn priorities_order_the_best_first() {
    assert_eq!(Priority::new(0), None);
    assert_eq!(Priority::new(17), None);
    assert_eq!(Priority::new(1), Some(Priority::BEST));
    assert_eq!(Priority::default(), Priority::BEST);
    assert!(Some(Priority::BEST) < Priority::new(16));
}
