//! Peers that mean no good, on real sockets: what they cost is bounded, and the others do not notice.
//!
//! `DRAWDOWN_STRANGERS=10000` has so many of those that say nothing; each costs two open files.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::process::Command;

use bytes::BytesMut;
use drawdown_protocol::wire::{
    Attach, Control, Decoder, Frame, Grant, Heartbeat, Hello, encode_control, encode_preface,
};
use drawdown_protocol::{PeerId, Session, SocketType};
use drawdown_tests::command::binary;
use drawdown_tests::measure::{cpu_time, resident_bytes};
use drawdown_tests::processes::{Child, PATIENCE, bound, text};
use uuid::Uuid;

const MIB: f64 = 1024.0 * 1024.0;

/// What strangers may cost a process, beside what each of them does.
const SPARE_BYTES: f64 = 32.0 * MIB;
/// What one of them may cost while it is there.
const STRANGER_BYTES: f64 = 16.0 * 1024.0;

/// A sender, and a receiver that means well.
struct Line {
    sender: Child<String>,
    receiver: Child<u64>,
    endpoint: String,
    given: u64,
}

impl Line {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.args(["push", "--bind", "tcp://127.0.0.1:0"]).args(args);
        let sender = Child::start(command, text);
        let endpoint = bound(&sender);
        let mut command = Command::new(binary());
        command.args(["pull", "--connect", &endpoint, "--window", "100"]);
        let receiver = Child::start(command, |line| {
            text(line).split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
        });
        Self { sender, receiver, endpoint, given: 0 }
    }

    fn connect(&self) -> TcpStream {
        let address = self.endpoint.strip_prefix("tcp://").expect("it is for TCP");
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time that is not zero");
        stream
    }

    fn give(&mut self, count: u64, padding: usize) -> Range<u64> {
        let given = self.given..self.given + count;
        let mut lines = String::new();
        for number in given.clone() {
            writeln!(lines, "{number} {:padding$}", "").expect("a string takes all");
        }
        self.sender.write(lines.as_bytes());
        self.given = given.end;
        given
    }

    /// Waits until all of these have come to the one that means well.
    fn await_all(&self, numbers: Range<u64>) {
        self.receiver.stdout.wait_for("what was sent meanwhile", |had| {
            let had: std::collections::BTreeSet<u64> = had.iter().copied().collect();
            numbers.clone().all(|number| had.contains(&number)).then_some(())
        });
    }

    fn resident(&self) -> f64 {
        resident_bytes(&self.sender.id().to_string()).expect("the system tells it")
    }

    fn told(&self, what: &str, before: f64) {
        let (grown, cpu) = (self.resident() - before, cpu_time(self.sender.id()));
        println!("{what}: {:.1} MiB more, {cpu:?} of CPU in all", grown / MIB);
    }

    fn end(mut self) {
        self.sender.finish();
        self.receiver.signal(rustix::process::Signal::TERM);
        assert!(self.receiver.wait().success());
    }
}

fn encoded(controls: &[Control]) -> Vec<u8> {
    let mut out = BytesMut::new();
    controls.iter().for_each(|control| encode_control(control, &mut out));
    out.to_vec()
}

/// Shakes hands as a receiver, and says what it holds: nothing.
fn shake_hands(stream: &mut TcpStream) {
    let mut out = BytesMut::new();
    encode_preface(&mut out);
    let hello = Hello {
        socket_type: SocketType::Pull,
        peer: PeerId::from_uuid(Uuid::from_u128(0xbad)),
        session: None,
        features: 0,
        message_bytes_max: 1 << 20,
        heartbeat_ms: 1_000,
        reports_taken: false,
    };
    encode_control(&Control::Hello(hello), &mut out);
    stream.write_all(&out).expect("it listens");
    let attach = Attach {
        session: session_of(stream),
        held: Default::default(),
        taken: Default::default(),
        confirmed: Default::default(),
        more: false,
    };
    stream.write_all(&encoded(&[Control::Attach(attach)])).expect("it listens");
}

/// What the sender says of its session.
fn session_of(stream: &mut TcpStream) -> Session {
    let (mut decoder, mut input) = (Decoder::new(1 << 20), BytesMut::new());
    let mut buffer = [0; 512];
    loop {
        match decoder.decode(&mut input).expect("it keeps to the rules") {
            Some(Frame::Control(Control::Hello(hello))) => return hello.session.expect("it sends"),
            Some(_) => {}
            None => {
                let read = stream.read(&mut buffer).expect("it speaks");
                assert!(read > 0, "it hangs up");
                input.extend_from_slice(&buffer[..read]);
            }
        }
    }
}

#[test]
fn those_that_say_nothing_are_hung_up_on_and_cost_little() {
    let strangers = std::env::var("DRAWDOWN_STRANGERS").ok();
    let strangers: usize = strangers.map_or(1_000, |n| n.parse().expect("a number"));
    let mut line = Line::start(&[]);
    let all = line.give(100, 100);
    line.await_all(all);
    let before = line.resident();
    let mut silent: Vec<TcpStream> = (0..strangers).map(|_| line.connect()).collect();
    let all = line.give(2_000, 100);
    line.await_all(all);
    line.told(&format!("{strangers} silent connections"), before);
    assert!(line.resident() - before < SPARE_BYTES / 2.0 + STRANGER_BYTES * strangers as f64);
    for stream in &mut silent {
        // What it says first, perhaps why it hangs up, and then nothing more.
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        assert!(said.len() < 1_000);
    }
    drop(silent);
    line.end();
}

#[test]
fn small_frames_without_end_cost_no_memory_and_hold_nobody_up() {
    // Kept, they would be twice the bytes that may be spent.
    const FRAMES: usize = 2_000_000;
    let mut line = Line::start(&[]);
    let all = line.give(5_000, 100);
    line.await_all(all);
    let mut chatterer = line.connect();
    shake_hands(&mut chatterer);
    let before = line.resident();
    let heartbeat = Control::Heartbeat(Heartbeat { head: 0, deliveries: 0, settles: 0 });
    let many = encoded(&vec![heartbeat; FRAMES / 100]);
    let chatter = std::thread::spawn(move || {
        for _ in 0..100 {
            chatterer.write_all(&many).expect("it may say so");
        }
        chatterer
    });
    let all = line.give(5_000, 100);
    line.await_all(all);
    drop(chatter.join().expect("it only writes"));
    line.told(&format!("{FRAMES} heartbeats at once"), before);
    assert!(line.resident() - before < SPARE_BYTES);
    line.end();
}

#[test]
fn one_that_asks_for_all_and_reads_nothing_gets_little_and_keeps_nothing() {
    let mut line = Line::start(&["--grace", "0s"]);
    let mut glutton = line.connect();
    shake_hands(&mut glutton);
    let all = line.give(100, 100);
    line.await_all(all);
    let grant = Grant {
        serial: 1,
        messages: u64::MAX / 4,
        bytes: u64::MAX / 4,
        contended: false,
        answered: 0,
    };
    glutton.write_all(&encoded(&[Control::Grant(grant)])).expect("it may say so");
    let before = line.resident();
    // Silent from now on, it is given up after three heartbeats, and what it was sent goes to the other.
    let all = line.give(20_000, 1_000);
    line.await_all(all);
    line.told("one that reads nothing", before);
    // The queue, of 20 MB, is in memory until it is confirmed; what was written to the stranger is not there twice.
    assert!(line.resident() - before < 1.5 * SPARE_BYTES);
    drop(glutton);
    line.end();
}
