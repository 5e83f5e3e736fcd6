//! A name server for tests, on a free UDP port of loopback: it says what it is told to say, and nothing is valid for any time.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

const TYPE_A: u16 = 1;
const TYPE_SRV: u16 = 33;
const CLASS_IN: u16 = 1;
const HEADER_BYTES: usize = 12;
const NAME_UNKNOWN: u16 = 3;

/// What is known of a name: the data of its records, by type.
type Records = HashMap<u16, Vec<Vec<u8>>>;
type Zone = HashMap<String, Records>;

/// One target of a service.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Lower ones are to be preferred.
    pub priority: u16,
    /// Among equals.
    pub weight: u16,
    /// Where.
    pub port: u16,
    /// On which host.
    pub host: &'a str,
}

/// It runs until it is dropped.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Starts one that knows nothing.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn start() -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let address = socket.local_addr()?;
        let (zone, stop) = (Arc::<Mutex<Zone>>::default(), Arc::<AtomicBool>::default());
        let (of_thread, over) = (Arc::clone(&zone), Arc::clone(&stop));
        let thread = std::thread::spawn(move || serve(&socket, &of_thread, &over));
        Ok(Self { address, zone, stop, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// These are the targets of a service from now on; without any the name is known, and stands for nothing.
    pub fn set_service(&self, name: &str, targets: &[Target<'_>]) {
        let records = targets.iter().map(|target| {
            let numbers = [target.priority, target.weight, target.port];
            let mut data: Vec<u8> = numbers.iter().flat_map(|n| n.to_be_bytes()).collect();
            data.extend(wire_name(target.host));
            data
        });
        let records = records.collect();
        lock(&self.zone).entry(name.to_owned()).or_default().insert(TYPE_SRV, records);
    }

    /// These are the addresses of a host from now on.
    pub fn set_host(&self, name: &str, addresses: &[Ipv4Addr]) {
        let records = addresses.iter().map(|ip| ip.octets().to_vec()).collect();
        lock(&self.zone).entry(name.to_owned()).or_default().insert(TYPE_A, records);
    }

    /// Nothing is known of this name from now on.
    pub fn forget(&self, name: &str) {
        lock(&self.zone).remove(name);
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Anything that arrives lets it look.
        let _ = UdpSocket::bind("127.0.0.1:0").and_then(|waker| waker.send_to(&[], self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(zone: &Mutex<Zone>) -> MutexGuard<'_, Zone> {
    zone.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(socket: &UdpSocket, zone: &Mutex<Zone>, stop: &AtomicBool) {
    let mut query = [0; 4_096];
    while let Ok((count, from)) = socket.recv_from(&mut query) {
        if stop.load(Ordering::Acquire) {
            return;
        }
        if let Some(reply) = query.get(..count).and_then(|query| answer(query, &lock(zone))) {
            // A reply that is lost is asked for again.
            let _ = socket.send_to(&reply, from);
        }
    }
}

/// The reply to a query with one question; nothing to what is none.
fn answer(query: &[u8], zone: &Zone) -> Option<Vec<u8>> {
    let id = query.get(..2)?;
    let (name, rest) = read_name(query.get(HEADER_BYTES..)?)?;
    let kind = u16::from_be_bytes(rest.get(..2)?.try_into().ok()?);
    let question = query.get(HEADER_BYTES..query.len() - rest.len() + 4)?;
    let known = zone.get(&name.to_ascii_lowercase());
    let records = known.and_then(|records| records.get(&kind)).map_or(&[][..], Vec::as_slice);
    // A reply, with authority, to a question that may be passed on, by one who would.
    let flags = 0x8580 | if known.is_none() { NAME_UNKNOWN } else { 0 };
    let mut reply = id.to_vec();
    for number in [flags, 1, u16::try_from(records.len()).ok()?, 0, 0] {
        reply.extend(number.to_be_bytes());
    }
    reply.extend(question);
    for data in records {
        // The name is that of the question; valid for no time.
        for number in [0xC000 | HEADER_BYTES as u16, kind, CLASS_IN, 0, 0] {
            reply.extend(number.to_be_bytes());
        }
        reply.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        reply.extend(data);
    }
    Some(reply)
}

/// A name at the front of `bytes`, and what follows it.
fn read_name(mut bytes: &[u8]) -> Option<(String, &[u8])> {
    let mut labels = Vec::new();
    loop {
        let (length, rest) = bytes.split_first()?;
        if *length == 0 {
            return Some((labels.join("."), rest));
        }
        let (label, rest) = rest.split_at_checked(usize::from(*length))?;
        labels.push(String::from_utf8_lossy(label).into_owned());
        bytes = rest;
    }
}

fn wire_name(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut wire = Vec::new();
    for label in labels {
        // A label has at most 63 bytes.
        wire.push(label.len() as u8);
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire
}
