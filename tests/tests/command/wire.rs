//! A wire between a client and a server that can lose what goes back, and lead elsewhere.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

pub(crate) struct Wire {
    /// Where to connect in place of what is behind it.
    pub(crate) endpoint: String,
    state: Arc<State>,
}

struct State {
    /// The address of the server.
    behind: Mutex<String>,
    loses_replies: AtomicBool,
}

impl Wire {
    /// Stands before a `tcp://` endpoint.
    pub(crate) fn before(endpoint: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let front = format!("tcp://{}", listener.local_addr().unwrap());
        let behind = Mutex::new(address(endpoint));
        let state = Arc::new(State { behind, loses_replies: AtomicBool::new(false) });
        let all = Arc::clone(&state);
        thread::spawn(move || {
            for front in listener.incoming().flatten() {
                // A client whose server is not there is turned away, and comes again.
                let _ = all.lay(front);
            }
        });
        Self { endpoint: front, state }
    }

    /// Loses what a server sends from now on, on new connections too.
    pub(crate) fn lose_replies(&self) {
        self.state.loses_replies.store(true, Ordering::Release);
    }

    /// Leads new connections to another server, and loses nothing more.
    pub(crate) fn lead_to(&self, endpoint: &str) {
        *self.state.behind.lock().unwrap() = address(endpoint);
        self.state.loses_replies.store(false, Ordering::Release);
    }
}

fn address(endpoint: &str) -> String {
    endpoint.strip_prefix("tcp://").unwrap().to_owned()
}

impl State {
    fn lay(self: &Arc<Self>, front: TcpStream) -> io::Result<()> {
        let behind = self.behind.lock().unwrap().clone();
        let back = TcpStream::connect(behind)?;
        let (to_front, to_back) = (front.try_clone()?, back.try_clone()?);
        let state = Arc::clone(self);
        thread::spawn(move || pass_on(front, to_back, || false));
        thread::spawn(move || {
            pass_on(back, to_front, || state.loses_replies.load(Ordering::Acquire));
        });
        Ok(())
    }
}

/// Until either side ends, which is then the end of both.
fn pass_on(mut from: TcpStream, mut to: TcpStream, loses: impl Fn() -> bool) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !loses() && to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        // One that has ended already is what is wanted.
        let _ = stream.shutdown(Shutdown::Both);
    }
}
