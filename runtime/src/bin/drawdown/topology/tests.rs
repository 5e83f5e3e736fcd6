use super::*;

const GOOD: &str = r#"
[jobs]
socket = "push"
input = "seq 10"
connect = ["intake", "tcp://far.example.org:7000?priority=2"]

[intake]
socket = "streamer"
upstream-bind = "tcp://*:7000"
downstream-bind = "tcp://127.0.0.1:7001"

[workers]
socket = "pull"
copies = 3
connect = "tcp://localhost:7001"
exec = "true"
window = 0x10
"#;

fn parsed(text: &str) -> Topology {
    Topology::parse(text, "t").unwrap_or_else(|faults| panic!("{faults}"))
}

/// The faults without their count.
fn faults(text: &str) -> Vec<String> {
    let told = Topology::parse(text, "t").expect_err("something is wrong");
    told.lines().skip(1).map(str::to_owned).collect()
}

#[track_caller]
fn assert_fault(text: &str, wanted: &str) {
    let found = faults(text);
    assert!(found.iter().any(|fault| fault.starts_with(wanted)), "{wanted:?} is not in {found:#?}");
}

#[test]
fn names_become_addresses_and_settings_options() {
    let topology = parsed(&GOOD.replace("tcp://localhost:7001", "tcp://127.0.0.1:7001"));
    let push = [
        "push",
        "--connect=tcp://127.0.0.1:7000",
        "--connect=tcp://far.example.org:7000?priority=2",
    ];
    assert_eq!(topology.command_line(0), push);
    let pull = ["pull", "--connect=tcp://127.0.0.1:7001", "--exec=true", "--window=16"];
    assert_eq!(topology.command_line(2), pull);
    assert_eq!(topology.ranks, [0, 1, 2]);
}

#[test]
fn another_site_is_reached_by_its_address() {
    let text = r#"
[east]
socket = "push"
input = "seq 10"
site = "east"
connect = "west?priority=3"
[west]
socket = "pull"
site = "west"
address = "2001:db8::7"
bind = "tcp://[::]:7000"
"#;
    let topology = parsed(text);
    assert_eq!(topology.command_line(0), ["push", "--connect=tcp://[2001:db8::7]:7000?priority=3"]);
    assert_eq!(topology.links.first().and_then(Link::flow), Some((0, 1)));
    let without = text.replace("address = ", "# address = ");
    assert_fault(&without, "t:6: east: `west` is at another site and binds to every address");
}

/// Where the work of a source that connects to `wanted` goes, among workers that wait elsewhere than by name.
fn goes_to(wanted: &str, workers: &[&str]) -> Option<usize> {
    let source = "[jobs]\nsocket = \"push\"\ninput = \"x\"\nsite = \"east\"\n";
    let mut text = format!("{source}connect = \"tcp://{wanted}:7000\"\n");
    for (at, settings) in workers.iter().enumerate() {
        text += &format!("[w{at}]\nsocket = \"pull\"\n{settings}\n");
    }
    let topology = parsed(&text);
    topology.links.first().and_then(Link::flow).map(|(_, to)| to - 1)
}

#[test]
fn only_who_waits_at_an_address_is_taken_for_the_peer_there() {
    let at = |site: &str, host: &str| format!("site = \"{site}\"\nbind = \"tcp://{host}:7000\"");
    for (wanted, site, host, found) in [
        ("127.0.0.1", "east", "127.0.0.1", true),
        ("127.0.0.1", "east", "*", true),
        ("127.0.0.1", "east", "0.0.0.0", true),
        ("127.0.0.1", "east", "127.0.0.2", false),
        ("127.0.0.1", "east", "[::1]", false),
        ("127.0.0.1", "east", "localhost", true),
        ("localhost", "east", "127.0.0.1", true),
        ("localhost", "east", "[::1]", true),
        ("localhost", "east", "10.0.0.1", false),
        ("127.0.0.1", "west", "127.0.0.1", false),
        ("127.0.0.1", "west", "*", false),
        ("localhost", "west", "localhost", false),
        ("10.0.0.1", "west", "10.0.0.1", true),
        ("10.0.0.1", "west", "*", false),
    ] {
        let peer = goes_to(wanted, &[&at(site, host)]);
        assert_eq!(peer.is_some(), found, "{wanted} reaches {host} at {site}");
    }
    let by_address = |host| at("west", host) + "\naddress = \"10.0.0.1\"";
    assert_eq!(goes_to("10.0.0.1", &[&by_address("*")]), Some(0));
    assert_eq!(goes_to("10.0.0.1", &[&by_address("127.0.0.1")]), None);
    for (wanted, nearer) in
        [("localhost", at("east", "localhost")), ("10.0.0.1", at("east", "10.0.0.1"))]
    {
        let looser = [at("east", "127.0.0.2"), by_address("*"), nearer];
        assert_eq!(goes_to(wanted, &looser.each_ref().map(String::as_str)), Some(2), "{wanted}");
    }
}

#[test]
fn what_is_no_endpoint_is_told_once_and_where_it_stands() {
    let text =
        GOOD.replace("tcp://*:7000", "127.0.0.1:9").replace("downstream-bind", "downstream-bnd");
    let found = faults(&text);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("t:9: intake: \"127.0.0.1:9\" is not an endpoint"), "{found:#?}");
    assert!(found[1].starts_with("t:10: intake: a streamer has no `downstream-bnd`"), "{found:#?}");
}

#[test]
fn each_fault_is_told_with_its_line() {
    for (good, bad, fault) in [
        ("copies = 3", "copies = 0", "t:14: workers: `copies` is a number from 1 to 1024"),
        ("copies = 3", "windw = 3", "t:14: workers: a pull has no `windw`; did you mean `window`?"),
        (
            "window = 0x10",
            "window = \"x\"",
            "t:17: workers: invalid value 'x' for '--window <COUNT>'",
        ),
        ("window = 0x10", "window = true", "t:17: workers: `window` is not true or false"),
        ("window = 0x10", "ordered = 3", "t:17: workers: a pull has no `ordered`"),
        ("exec = \"true\"", "exec = { a = 1 }", "t:16: workers: `exec` is a text, a number"),
        ("\"pull\"", "\"pul\"", "t:13: workers: `socket` is one of push, pull,"),
        ("\"pull\"", "\"sub\"", "t:15: workers: a PUSH waits at tcp://localhost:7001"),
        ("input = \"seq 10\"", "", "t:2: jobs: a push needs `input`"),
        ("input = \"seq 10\"", "copies = 2", "t:2: jobs: a push needs `input`"),
        ("\"intake\",", "\"intak\",", "t:5: jobs: `intak` is neither a node of this file nor"),
        ("\"intake\",", "\"jobs\",", "t:5: jobs: `jobs` is a push, and this side of a push"),
        (
            "\"intake\",",
            "\"workers\",",
            "t:5: jobs: `workers` waits nowhere for a PUSH: give it `bind`",
        ),
        ("priority=2", "priority=0", "t:5: jobs: "),
        (
            "tcp://far.example.org:7000",
            "tcp://0.0.0.0:7000",
            "t:2: jobs: cannot connect to tcp://0.0",
        ),
        ("tcp://*:7000", "tcp://*:0", "t:5: jobs: `intake` binds tcp://*:0, whose port"),
        (
            "tcp://*:7000",
            "tcp://*:7001",
            "t:10: intake: `intake` binds tcp://127.0.0.1:7001 already, in line 9",
        ),
        (
            "tcp://*:7000\"",
            "tcp://*:7000\"\nupstream-connect = \"tcp://127.0.0.1:7001\"",
            "t:10: intake: `tcp://127.0.0.1:7001` is its own",
        ),
        ("[jobs]", "[jobs", "t:2: this is not TOML"),
        ("[jobs]", "[\"a b\"]", "t:2: \"a b\" is no name"),
        ("[jobs]", "x = 1\n[jobs]", "t:2: x stands alone"),
        (
            "[workers]",
            "[spare]\nsocket = \"pull\"\ncopies = 2\nbind = \"tcp://127.0.0.1:1\"\n[workers]",
            "t:15: spare: only one process can have this `bind`",
        ),
        (
            "[workers]",
            "[spare]\nsocket = \"push\"\ncopies = 2\nconnect = \"intake\"\ninput = \"x\"\n\
             session = \"5be6b9b4-9df6-4ce4-8f0f-3c8b6f1f3c55\"\nnext-seq = 0\n[workers]",
            "t:17: spare: only one process can have this `session`",
        ),
    ] {
        let text = GOOD.replacen(good, bad, 1);
        assert_ne!(text, GOOD);
        assert_fault(&text, fault);
    }
    assert_fault("", "t:1: there is nothing in it");
}

#[test]
fn two_stores_in_one_folder_are_a_fault() {
    let node = |name| {
        format!(
            "[{name}]\nsocket = \"pub\"\ninput = \"x\"\nbind = \"ipc:///{name}\"\nstore = \"s\"\n"
        )
    };
    let fault = "t:10: b: `a` has its store in s already, in line 5";
    assert_fault(&(node("a") + &node("b")), fault);
}

#[test]
fn a_ring_of_devices_is_a_fault_at_each_of_its_connections() {
    let device = |name: &str, port: u16, other: &str| {
        format!(
            "[{name}]\nsocket = \"streamer\"\nupstream-connect = \"{other}\"\ndownstream-bind = \"tcp://127.0.0.1:{port}\"\n"
        )
    };
    let found = faults(&(device("a", 1, "c") + &device("b", 2, "a") + &device("c", 3, "b")));
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].starts_with("t:3: a: this closes a ring, a → b → c → a:"), "{found:#?}");
}

#[test]
fn sites_whose_routers_lend_to_each_other_are_no_ring() {
    let site = |name: &str, other: &str, port: u16| {
        format!(
            "[{name}]\nsocket = \"router\"\nupstream-bind = \"tcp://127.0.0.1:{port}\"\ndownstream-bind = \"tcp://127.0.0.1:{}\"\ndownstream-connect = \"{other}?priority=2\"\n\
             [{name}-work]\nsocket = \"rep\"\nconnect = \"{name}\"\nexec = \"true\"\n",
            port + 1
        )
    };
    let topology = parsed(&(site("east", "west", 7000) + &site("west", "east", 8000)));
    let lends = "--downstream-connect=tcp://127.0.0.1:8000?priority=2";
    assert!(topology.command_line(0).iter().any(|arg| arg == lends));
    assert!(topology.command_line(1).iter().any(|arg| arg == "--connect=tcp://127.0.0.1:7001"));
}

#[test]
fn a_tree_shows_each_node_once_and_says_where_it_was() {
    let text = GOOD.replace("[\"intake\",", "[\"intake\", \"intake?priority=4\",");
    let tree = draw::tree(&parsed(&text));
    assert_eq!(
        tree,
        "\
jobs (push)
├── intake (streamer)  127.0.0.1:7000
│   └── workers ×3 (pull)  localhost:7001
├── intake (streamer)  127.0.0.1:7000, priority 4, see above
└── elsewhere:  far.example.org:7000, priority 2
"
    );
}

#[test]
fn a_picture_names_all_nodes_and_addresses() {
    let picture = draw::picture(&parsed(GOOD));
    assert!(picture.trim_end().ends_with("</svg>"));
    for name in ["jobs", "intake", "workers ×3", "elsewhere", "127.0.0.1:7000", "priority 2"] {
        assert!(picture.contains(name), "{name}");
    }
}

#[test]
fn the_schema_knows_every_option_of_every_command() {
    let schema: serde_json::Value = serde_json::from_str(&schema::text()).unwrap();
    let kinds = schema["additionalProperties"]["oneOf"].as_array().unwrap();
    assert_eq!(kinds.len(), kind::KINDS.len());
    for (schema, kind) in kinds.iter().zip(&kind::KINDS) {
        for side in kind.sides {
            assert!(schema["properties"][side.bind].is_object(), "{} {}", kind.name, side.bind);
        }
        assert_eq!(schema["properties"]["socket"]["const"], kind.name);
    }
}
