//! What comes to stdout, and what is acknowledged once it is there.

use std::future::ready;
use std::io::ErrorKind;

use drawdown::{Incoming, Publication, SubSocket};

use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::interrupts::Interrupts;
use crate::output::{BATCH_MAX, WRITE_BYTES, exit_of, flush, idle};

use super::form::{Form, Published};
use super::{GOODBYE, SubArgs};

/// Writes messages until there were enough, none come, or somebody wants to end.
pub(super) async fn write_all(
    args: &SubArgs,
    socket: &SubSocket,
    form: Form,
    console: &Console,
    mut interrupts: Interrupts,
) -> Result<(), Failure> {
    let mut output = Output {
        form,
        console,
        interrupts: interrupts.clone(),
        text: Vec::new(),
        last: Vec::new(),
        messages: 0,
    };
    loop {
        let room = args.left(output.messages);
        if room == 0 {
            return Ok(());
        }
        let mut next = tokio::select! {
            biased;
            _ = interrupts.first() => return Ok(()),
            batch = receive(socket, room) => batch,
            () = idle(args.idle_exit) => return Ok(()),
        };
        if next.is_none() {
            return Ok(());
        }
        while let Some(batch) = next {
            for incoming in batch {
                output.add(incoming).await?;
            }
            let room = args.left(output.messages);
            let more = room > 0 && output.text.len() < WRITE_BYTES;
            next = if more { at_hand(socket, room).await } else { None };
        }
        output.flush().await?;
    }
}

async fn receive(socket: &SubSocket, room: u64) -> Option<Vec<Incoming>> {
    let count = usize::try_from(room.min(BATCH_MAX)).unwrap_or(usize::MAX);
    socket.recv_batch(count).await.ok().flatten()
}

/// What is there without waiting.
async fn at_hand(socket: &SubSocket, room: u64) -> Option<Vec<Incoming>> {
    tokio::select! {
        biased;
        batch = receive(socket, room) => batch,
        () = ready(()) => None,
    }
}

/// Lines that are not written yet.
struct Output<'a> {
    form: Form,
    console: &'a Console,
    interrupts: Interrupts,
    text: Vec<u8>,
    /// Of each session in the text, the last message.
    last: Vec<Publication>,
    /// All that there ever were.
    messages: u64,
}

impl Output<'_> {
    async fn add(&mut self, incoming: Incoming) -> Result<(), Failure> {
        let note = match incoming {
            Incoming::Message(publication) => {
                self.add_message(publication);
                return Ok(());
            }
            Incoming::Gap(gap) => self.form.gap(gap),
            Incoming::NewSession(session) => self.form.new_session(session),
        };
        match self.form {
            Form::Json => {
                self.text.extend_from_slice(note.as_bytes());
                self.text.push(b'\n');
            }
            Form::Text => {
                // Who reads both streams has them in their order.
                self.flush().await?;
                self.console.tell(note);
            }
        }
        Ok(())
    }

    fn add_message(&mut self, publication: Publication) {
        let published = Published {
            session: publication.session(),
            seq: publication.seq(),
            topic: publication.topic(),
            payload: publication.payload(),
        };
        self.form.message(&published, &mut self.text);
        self.messages += 1;
        match self.last.iter_mut().find(|last| last.session() == publication.session()) {
            Some(last) => *last = publication,
            None => self.last.push(publication),
        }
    }

    /// Writes, and acknowledges what is written.
    async fn flush(&mut self) -> Result<(), Failure> {
        if self.text.is_empty() {
            return Ok(());
        }
        let console = self.console;
        let written = flush(&mut self.text, &mut self.interrupts, GOODBYE, |interrupt| {
            console.say(format_args!(
                "{}: waiting up to {} until what has come is written",
                interrupt.name(),
                humantime::format_duration(GOODBYE),
            ));
        });
        written.await.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::quiet(Exit::OutputClosed),
            _ => Failure::new(
                exit_of(&error),
                format!(
                    "cannot write to stdout ({error}): what was not written is not acknowledged, though some of it may \
                     have been read"
                ),
            ),
        })?;
        for last in self.last.drain(..) {
            last.ack().await?;
        }
        Ok(())
    }
}
