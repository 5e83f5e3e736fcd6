//! Peers that mean no good, on real sockets: what they cost is bounded, and the others do not notice.
//!
//! `DRAWDOWN_STRANGERS=10000` has so many of those that say nothing; each costs two open files.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use drawdown_protocol::wire::{
    Attach, CloseCode, Control, DataHeader, Decoder, Frame, Grant, Heartbeat, Hello, VERSION_MAX,
    VERSION_MIN, encode_control, encode_copies_header,
};
use drawdown_protocol::{PeerId, Session, SocketType, WallTime};
use drawdown_tests::command::binary;
use drawdown_tests::measure::{cpu_time, resident_bytes};
use drawdown_tests::patience::{PATIENCE, wait_until};
use drawdown_tests::processes::{Child, bound, text};
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
        Self::start_both(args, &[])
    }

    fn start_both(args: &[&str], receiver_args: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.args(["push", "--bind", "tcp://127.0.0.1:0"]).args(args);
        let sender = Child::start(command, text);
        let endpoint = bound(&sender);
        let mut command = Command::new(binary());
        command.args(["pull", "--connect", &endpoint, "--window", "100"]).args(receiver_args);
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

    fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.sender.id()));
        open.expect("the system tells them").count()
    }

    fn told(&self, what: &str, before: f64) {
        let (grown, cpu) = (self.resident() - before, cpu_time(self.sender.id()));
        let (grown, open) = (grown / MIB, self.descriptors());
        println!("{what}: {grown:.1} MiB more, {cpu:?} of CPU in all, {open} open files");
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

fn hello() -> Hello {
    Hello {
        socket_type: SocketType::Pull,
        peer: PeerId::from_uuid(Uuid::from_u128(0xbad)),
        session: None,
        features: 0,
        message_bytes_max: 1 << 20,
        heartbeat_ms: 1_000,
        reports_taken: false,
    }
}

fn grant(messages: u64, bytes: u64) -> Control {
    Control::Grant(Grant { serial: 1, messages, bytes, contended: false, answered: 0 })
}

/// Shakes hands as a receiver, and says what it holds: nothing.
fn shake_hands(stream: &mut TcpStream) -> Heard {
    let mut heard = Heard::new();
    heard.attach(stream, &preface(VERSION_MIN, VERSION_MAX), hello());
    heard
}

/// What a sender says on one connection.
struct Heard {
    decoder: Decoder,
    input: BytesMut,
}

impl Heard {
    fn new() -> Self {
        Self { decoder: Decoder::new(1 << 20), input: BytesMut::new() }
    }

    /// The next frame; none once it has hung up.
    fn next(&mut self, stream: &mut TcpStream) -> Option<Frame> {
        let mut buffer = [0; 512];
        loop {
            if let Some(frame) =
                self.decoder.decode(&mut self.input).expect("it keeps to the rules")
            {
                return Some(frame);
            }
            let read = stream.read(&mut buffer).expect("it speaks, or hangs up");
            if read == 0 {
                return None;
            }
            self.input.extend_from_slice(&buffer[..read]);
        }
    }

    /// Shakes hands and says what this side holds of its session: nothing.
    fn attach(&mut self, stream: &mut TcpStream, preface: &[u8], hello: Hello) {
        stream.write_all(preface).expect("it listens");
        stream.write_all(&encoded(&[Control::Hello(hello)])).expect("it listens");
        let session = self.session(stream);
        let attach = Attach {
            session,
            held: Default::default(),
            taken: Default::default(),
            confirmed: Default::default(),
            more: false,
        };
        stream.write_all(&encoded(&[Control::Attach(attach)])).expect("it listens");
    }

    /// What the sender says of its session.
    fn session(&mut self, stream: &mut TcpStream) -> Session {
        while let Some(frame) = self.next(stream) {
            if let Frame::Control(Control::Hello(hello)) = frame {
                return hello.session.expect("it sends");
            }
        }
        panic!("it hung up");
    }

    /// Why it hangs up, which it does now.
    fn last_word(&mut self, stream: &mut TcpStream) -> Option<CloseCode> {
        let mut code = None;
        while let Some(frame) = self.next(stream) {
            if let Frame::Control(Control::Close(close)) = frame {
                code = Some(close.code);
            }
        }
        code
    }
}

/// A preface with this range of versions.
fn preface(oldest: u8, newest: u8) -> Vec<u8> {
    [b"DRAWDOWN", &[oldest, newest, 0xff, 0xff][..]].concat()
}

#[test]
fn those_that_say_nothing_are_hung_up_on_and_cost_little() {
    let strangers = std::env::var("DRAWDOWN_STRANGERS").ok();
    let strangers: usize = strangers.map_or(1_000, |n| n.parse().expect("a number"));
    let mut line = Line::start(&[]);
    let all = line.give(100, 100);
    line.await_all(all);
    let (before, open_before, begun) = (line.resident(), line.descriptors(), Instant::now());
    let mut silent: Vec<TcpStream> = (0..strangers).map(|_| line.connect()).collect();
    println!("connected in {:?}", begun.elapsed());
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
    line.told(&format!("after {:?} they are gone", begun.elapsed()), before);
    wait_until(|| line.descriptors() <= open_before);
    line.end();
}

#[test]
fn a_flood_of_connections_leaves_descriptors_for_the_work() {
    let limited = |args: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 160; exec \"$0\" \"$@\""]).arg(binary()).args(args);
        command
    };
    let mut command = limited(&["pull", "--bind", "tcp://127.0.0.1:0", "--exec", "cat; echo"]);
    command.env_remove("RUST_LOG");
    let mut worker = Child::start(command, text);
    let endpoint = bound(&worker);
    let mut command = Command::new(binary());
    command.args(["push", "--connect", &endpoint]);
    let mut sender = Child::start(command, text);
    sender.write(b"before\n");
    let has = |worker: &Child<String>, line: &str| {
        worker
            .stdout
            .wait_for("what was sent", |had| had.iter().any(|had| had == line).then_some(()));
    };
    has(&worker, "before");

    let address = endpoint.strip_prefix("tcp://").expect("it is for TCP");
    let flood: Vec<TcpStream> =
        (0..300).map(|_| TcpStream::connect(address).expect("it listens")).collect();
    let open = || std::fs::read_dir(format!("/proc/{}/fd", worker.id())).map_or(0, Iterator::count);
    wait_until(|| open() >= 100);
    sender.write(b"meanwhile\n");
    has(&worker, "meanwhile");
    drop(flood);
    sender.finish();
    worker.signal(rustix::process::Signal::TERM);
    assert!(worker.wait().success());
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
fn large_messages_that_nobody_wants_are_not_waited_for() {
    // Kept, they would be twice the bytes that may be spent.
    const STRANGERS: usize = 64;
    const BYTES: usize = 1 << 20;
    let header = DataHeader {
        first_delivery: 0,
        first_seq: 0,
        sent_at: WallTime::default(),
        count: 1,
        attempt: 0,
    };
    let mut begun = BytesMut::new();
    encode_copies_header(header, 4 + BYTES, &mut begun);
    begun.extend_from_slice(&(BYTES as u32).to_le_bytes());
    // The last byte never comes.
    begun.resize(begun.len() + BYTES - 1, 0);

    let mut line = Line::start(&[]);
    let all = line.give(100, 100);
    line.await_all(all);
    let before = line.resident();
    let mut strangers: Vec<_> = (0..STRANGERS)
        .map(|_| {
            let mut stream = line.connect();
            let heard = shake_hands(&mut stream);
            // It may have hung up meanwhile.
            let _ = stream.write_all(&begun);
            (stream, heard)
        })
        .collect();
    line.told(&format!("{STRANGERS} that give back what nobody asked for"), before);
    assert!(line.resident() - before < SPARE_BYTES);
    for (stream, heard) in &mut strangers {
        assert_eq!(heard.last_word(stream), Some(CloseCode::ProtocolViolation));
    }
    let all = line.give(2_000, 100);
    line.await_all(all);
    line.end();
}

#[test]
fn one_that_asks_for_all_and_reads_nothing_gets_little_and_keeps_nothing() {
    let mut line = Line::start(&["--grace", "0s"]);
    let mut glutton = line.connect();
    shake_hands(&mut glutton);
    let all = line.give(100, 100);
    line.await_all(all);
    glutton.write_all(&encoded(&[grant(u64::MAX / 4, u64::MAX / 4)])).expect("it may say so");
    let (before, open) = (line.resident(), line.descriptors());
    // Silent from now on, it is given up after three heartbeats, and what it was sent goes to the other.
    let all = line.give(20_000, 1_000);
    line.await_all(all);
    line.told("one that reads nothing", before);
    // The queue, of 20 MB, is in memory until it is confirmed; what was written to the stranger is not there twice.
    assert!(line.resident() - before < 1.5 * SPARE_BYTES);
    // Its connection is closed although it takes nothing, no last word either.
    wait_until(|| line.descriptors() < open);
    drop(glutton);
    line.end();
}

#[test]
fn one_that_reads_nothing_and_stays_alive_holds_only_what_its_connection_takes() {
    let mut line = Line::start(&["--grace", "0s"]);
    let all = line.give(100, 100);
    line.await_all(all);
    let mut sloth = line.connect();
    shake_hands(&mut sloth);
    sloth.write_all(&encoded(&[grant(u64::MAX / 4, u64::MAX / 4)])).expect("it may say so");
    let before = line.resident();
    let given = line.give(20_000, 1_000);
    // As long as it says that it is alive, what it was sent stays its own.
    let heartbeat = Control::Heartbeat(Heartbeat { head: 0, deliveries: 0, settles: 0 });
    let heartbeat = encoded(&[heartbeat]);
    let kept = |line: &Line| given.end - line.receiver.stdout.items().len() as u64;
    wait_until(|| {
        sloth.write_all(&heartbeat).expect("it may say so");
        kept(&line) as f64 * 1_000.0 < SPARE_BYTES / 2.0
    });
    line.told(
        &format!("one that is alive and reads nothing, and keeps {} kB", kept(&line)),
        before,
    );
    assert!(line.resident() - before < 1.5 * SPARE_BYTES);
    drop(sloth);
    line.await_all(given);
    line.end();
}

#[test]
fn what_one_that_reads_nothing_cannot_take_goes_to_another_at_once() {
    const LARGE: usize = 60_000;
    // No heartbeat is what brings it there.
    let rarely = ["--heartbeat", "1h"];
    let mut line = Line::start_both(&rarely, &rarely);
    let mut sloth = line.connect();
    shake_hands(&mut sloth);
    sloth.write_all(&encoded(&[grant(u64::MAX / 4, u64::MAX / 4)])).expect("it may say so");
    // More than its connection takes, if it gets half.
    let all = line.give(600, LARGE);
    let kept = |had: &[u64]| all.end - had.len() as u64;
    line.receiver
        .stdout
        .wait_for("what the other one cannot take", |had| (kept(had) < all.end / 3).then_some(()));
    for _ in 0..10 {
        let one = line.give(1, LARGE);
        line.await_all(one);
    }
    drop(sloth);
    line.await_all(0..line.given);
    line.end();
}

#[test]
fn one_that_ends_every_link_at_once_is_not_besieged() {
    // Waits of at least 5, 10, 20, 40, 80, 160 and 320 ms lie between them.
    const LINKS: usize = 8;
    const WAITS: Duration = Duration::from_millis(635);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("tcp://{}", listener.local_addr().expect("it is bound"));
    let mut command = Command::new(binary());
    command.args(["push", "--connect", &endpoint]);
    let mut sender = Child::start(command, text);
    let begun = Instant::now();
    for _ in 0..LINKS {
        let (mut stream, _) = listener.accept().expect("it connects again");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time that is not zero");
        shake_hands(&mut stream);
    }
    assert!(begun.elapsed() >= WAITS, "{LINKS} links in {:?}", begun.elapsed());
    sender.signal(rustix::process::Signal::TERM);
    sender.wait();
}

#[test]
fn those_that_say_one_byte_now_and_then_are_hung_up_on_before_they_are_done() {
    const SLOW: usize = 200;
    let mut line = Line::start(&[]);
    let all = line.give(100, 100);
    line.await_all(all);
    let before = line.resident();
    let whole = [preface(VERSION_MIN, VERSION_MAX), encoded(&[Control::Hello(hello())])].concat();
    let mut slow: Vec<TcpStream> = (0..SLOW).map(|_| line.connect()).collect();
    let mut is_open = [true; SLOW];
    // Too slow for the time that a handshake may take, by far.
    for (said, byte) in whole[..whole.len() - 1].iter().enumerate() {
        for (stream, is_open) in slow.iter_mut().zip(&mut is_open).filter(|(_, open)| **open) {
            *is_open = stream.write_all(&[*byte]).is_ok() && !has_hung_up(stream);
        }
        if is_open.iter().all(|is_open| !is_open) {
            println!("the last of them was hung up on after {} of {} bytes", said + 1, whole.len());
            break;
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    assert!(is_open.iter().all(|is_open| !is_open), "some may go on for ever");
    let all = line.give(2_000, 100);
    line.await_all(all);
    line.told(&format!("{SLOW} that write slowly"), before);
    assert!(line.resident() - before < SPARE_BYTES);
    line.end();
}

/// Whether the other side has ended this connection; what it said before is read.
fn has_hung_up(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).expect("it is a socket");
    let mut buffer = [0; 512];
    let ended = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) => break error.kind() != ErrorKind::WouldBlock,
        }
    };
    stream.set_nonblocking(false).expect("it is a socket");
    ended
}

#[test]
fn versions_that_nobody_speaks_here_are_refused_with_their_own_reason() {
    let mut line = Line::start(&[]);
    for (oldest, newest) in [(0, VERSION_MIN - 1), (VERSION_MAX + 1, 255), (200, 255), (255, 0)] {
        let mut stranger = line.connect();
        stranger.write_all(&preface(oldest, newest)).expect("it listens");
        let last_word = Heard::new().last_word(&mut stranger);
        assert_eq!(last_word, Some(CloseCode::VersionMismatch), "{oldest} to {newest}");
    }
    let all = line.give(100, 100);
    line.await_all(all);
    line.end();
}

#[test]
fn a_peer_of_a_later_version_is_served_as_one_of_ours() {
    let mut line = Line::start(&[]);
    // Those that mean something today are not among them.
    let features = u64::MAX << 32 | Hello::KNOWS_STREAMERS;
    let (mut later, mut heard) = (line.connect(), Heard::new());
    heard.attach(&mut later, &preface(0, 255), Hello { features, ..hello() });
    // Alone it could have them all.
    line.receiver.signal(rustix::process::Signal::STOP);
    later.write_all(&encoded(&[grant(5, 1 << 20)])).expect("it listens");
    line.give(2_000, 100);
    let mut messages = 0;
    while messages < 5 {
        if let Some(Frame::Data(run)) = heard.next(&mut later) {
            messages += u64::from(run.header.count);
        }
    }
    assert_eq!(messages, 5, "as many as it has granted");
    drop(later);
    line.receiver.signal(rustix::process::Signal::CONT);
    line.await_all(0..2_000);
    line.end();
}
