//! `drawdown req`: lines of stdin become requests, and replies lines of stdout.

mod answers;
mod args;
mod under_way;

use std::time::Duration;

pub(crate) use args::ReqArgs;
use drawdown::ReqSocket;
use drawdown::protocol::Counted;
use tokio::time::timeout;

use crate::console::{Console, Rate};
use crate::exit::{Exit, Failure};
use crate::input::{Block, Input, TooLong};
use crate::interrupts::{Interrupt, Interrupts};
use crate::output::unread;
use crate::watch::Watch;

use answers::{Answers, NoReply, unwritten};
use under_way::UnderWay;

/// How long the last words may take: servers are told that nobody waits for them.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long whoever reads the last replies may take at the end.
const LAST_REPLIES: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: ReqArgs, console: &Console) -> Result<(), Failure> {
    let console = &console.beside_stdout();
    args.endpoints.check()?;
    let mut interrupts = Interrupts::listen(|| ())?;
    let socket = args.socket().await?;
    let watch = Watch::start(socket.events(), args.endpoints.peers(), String::new(), console);
    let rate = Rate::new();
    let result = match args.endpoints.attach(&socket, console).await {
        Ok(()) => {
            let caller = Caller {
                args: &args,
                socket: &socket,
                under_way: UnderWay::new(usize::from(args.parallel)),
                unasked: None,
                answers: Answers::new(args.form.json, console),
            };
            let work = caller.run(&mut interrupts);
            console.live(|| live_line(&socket, &rate), work).await
        }
        Err(failure) => Err(failure),
    };
    // Nothing is under way any more.
    let _ = socket.close(GOODBYE).await;
    watch.finish().await;
    result
}

struct Caller<'a> {
    args: &'a ReqArgs,
    socket: &'a ReqSocket,
    under_way: UnderWay,
    /// The line that waits until it may be asked.
    unasked: Option<u64>,
    answers: Answers<'a>,
}

impl Caller<'_> {
    async fn run(mut self, interrupts: &mut Interrupts) -> Result<(), Failure> {
        let interrupt = tokio::select! {
            biased;
            interrupt = interrupts.first() => interrupt,
            result = self.ask_all() => return result.and_then(|()| self.answers.all_replied()),
        };
        let told = timeout(LAST_REPLIES, self.withdraw(interrupt)).await;
        told.unwrap_or_else(|_| Err(unwritten(&unread(LAST_REPLIES))))?;
        match self.unasked {
            None => self.answers.all_replied(),
            Some(line) => Err(Failure::new(
                Exit::Undelivered,
                format!("{}: line {line} and what comes after it was not asked", interrupt.name()),
            )),
        }
    }

    /// Ends what is under way, and tells what became of it.
    async fn withdraw(&mut self, interrupt: Interrupt) -> Result<(), Failure> {
        let ended: Vec<_> = self.under_way.withdraw(interrupt.name()).collect();
        for (line, answer) in ended {
            self.answers.written().await?;
            self.answers.tell(line, answer);
        }
        self.answers.written().await
    }

    /// Asks until the input ends, and waits for the last replies.
    async fn ask_all(&mut self) -> Result<(), Failure> {
        let unreadable = |error| {
            let sentence = format!("cannot read stdin: {error}; what was read before was asked");
            Failure::new(Exit::Error, sentence)
        };
        let mut input = Input::start(self.args.links.max_message()).map_err(unreadable)?;
        let mut end = Ok(());
        while let Some(block) = self.next_block(&mut input).await? {
            match block {
                Ok(block) => self.ask(&block).await?,
                Err(error) => end = Err(unreadable(error)),
            }
        }
        while !self.under_way.is_empty() {
            self.tell_first().await?;
        }
        self.answers.written().await?;
        end
    }

    /// The next lines; meanwhile replies are written as they come.
    async fn next_block(
        &mut self,
        input: &mut Input,
    ) -> Result<Option<std::io::Result<Block>>, Failure> {
        loop {
            tokio::select! {
                biased;
                result = self.tell_first(), if self.has_to_tell() => result?,
                block = input.next() => return Ok(block),
            }
        }
    }

    async fn ask(&mut self, block: &Block) -> Result<(), Failure> {
        let mut too_long = block.too_long.iter().peekable();
        for (place, line) in block.lines().enumerate() {
            let number = block.number(place);
            while let Some(long) = too_long.next_if(|long| long.line < number) {
                self.refuse(long).await?;
            }
            self.make_room(number).await?;
            self.under_way.add(number, self.socket.request(block.message(line)));
        }
        for long in too_long {
            self.refuse(long).await?;
        }
        Ok(())
    }

    /// A line over the limit has its turn like any other.
    async fn refuse(&mut self, long: &TooLong) -> Result<(), Failure> {
        self.make_room(long.line).await?;
        let no_reply = NoReply::too_long(long.bytes, self.args.links.max_message());
        self.under_way.add_refused(long.line, no_reply);
        Ok(())
    }

    /// Waits until this line may be asked.
    async fn make_room(&mut self, line: u64) -> Result<(), Failure> {
        self.unasked = Some(line);
        while self.under_way.is_full() {
            self.tell_first().await?;
        }
        self.unasked = None;
        Ok(())
    }

    /// Waits for the answer of the first line that has none, and tells it. If it is dropped, no answer is lost.
    async fn tell_first(&mut self) -> Result<(), Failure> {
        self.answers.written().await?;
        let (line, answer) = self.under_way.first().await;
        self.answers.tell(line, answer);
        self.answers.written().await
    }

    fn has_to_tell(&self) -> bool {
        !self.under_way.is_empty() || self.answers.is_writing()
    }
}

fn live_line(socket: &ReqSocket, rate: &Rate) -> String {
    let stats = socket.stats();
    format!(
        "{:.0} replies/s, {} replies, {} under way, {} waiting for a server, {} tried again, {}",
        rate.since_last(stats.answered),
        stats.answered,
        stats.pending,
        stats.waiting,
        stats.retried,
        Counted(stats.links.len() as u64, "server"),
    )
}
