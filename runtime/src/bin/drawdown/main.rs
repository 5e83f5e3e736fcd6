//! The `drawdown` command: sockets on the command line.

mod bench;
mod completions;
mod console;
mod dead;
mod device;
mod durability;
mod endpoints;
mod exit;
mod input;
mod inspect;
mod interrupts;
mod json;
mod levels;
mod output;
mod proxy;
mod publish;
mod pull;
mod push;
mod reply;
mod request;
mod ring;
mod router;
mod shell;
mod store;
mod streamer;
mod subscribe;
mod topology;
mod units;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use console::Console;
use exit::{Exit, Failure};

/// sled maps its 2 MiB buffers afresh with the system's allocator; this one keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Messaging that pulls: receivers grant credit, senders draw it down, and nothing accepted is lost.
#[derive(Parser)]
#[command(name = "drawdown", version, after_help = exit::HELP, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Show what happens inside on stderr; repeat it for more. RUST_LOG says it in more detail.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,

    /// Threads on which links are served, and what is done with their messages. With 1 nothing is handed from thread to
    /// thread, which is fastest for most; more may help a device or publisher with very many busy links.
    #[arg(long, global = true, value_name = "COUNT", default_value_t = 1)]
    #[arg(value_parser = units::one_or_more::<u8>)]
    threads: u8,
}

impl Cli {
    fn read() -> Result<Self, clap::Error> {
        let mut command = with_negative_numbers(Self::command());
        let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
        Self::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
    }
}

/// Takes `-1` for the value that it is meant to be, so that what is wrong with it can be said.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let with_them = |arg: clap::Arg| {
        let takes_values = arg.get_action().takes_values();
        arg.allow_negative_numbers(takes_values)
    };
    command.mut_args(with_them).mut_subcommands(with_negative_numbers)
}

#[derive(Subcommand)]
enum Command {
    Push(push::PushArgs),
    Pull(pull::PullArgs),
    Pub(publish::PubArgs),
    Sub(subscribe::SubArgs),
    Req(request::ReqArgs),
    Rep(reply::RepArgs),
    Proxy(proxy::ProxyArgs),
    Streamer(streamer::StreamerArgs),
    Router(router::RouterArgs),
    Run(topology::RunArgs),
    Check(topology::CheckArgs),
    Draw(topology::DrawArgs),
    Store(store::StoreArgs),
    Dead(dead::DeadArgs),
    Bench(bench::BenchArgs),
    Completions(completions::CompletionsArgs),
}

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    let console = Console::start(cli.verbose);
    match run(cli, &console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(&console);
            failure.code()
        }
    }
}

fn run(cli: Cli, console: &Console) -> Result<(), Failure> {
    let workers = Workers(cli.threads);
    match cli.command {
        Command::Push(args) => workers.block_on(push::run(args, console)),
        Command::Pull(args) => workers.block_on(pull::run(args, console)),
        Command::Pub(args) => workers.block_on(publish::run(args, console)),
        Command::Sub(args) => workers.block_on(subscribe::run(args, console)),
        Command::Req(args) => workers.block_on(request::run(args, console)),
        Command::Rep(args) => workers.block_on(reply::run(args, console)),
        Command::Proxy(args) => workers.block_on(proxy::run(args, console)),
        Command::Streamer(args) => workers.block_on(streamer::run(args, console)),
        Command::Router(args) => workers.block_on(router::run(args, console)),
        Command::Run(args) => workers.block_on(topology::run(args, console)),
        Command::Check(args) => topology::check(&args),
        Command::Draw(args) => topology::draw(&args),
        Command::Bench(args) => workers.block_on(bench::run(args, console)),
        Command::Store(args) => store::run(&args),
        Command::Dead(args) => dead::run(&args),
        Command::Completions(args) => completions::run(&args, &mut Cli::command()),
    }
}

/// How many threads a command has beside its first.
struct Workers(u8);

impl Workers {
    /// The future runs on this thread and not on a worker: it may block on stdout while links go on.
    fn block_on(&self, command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.0.into())
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Exit::Error, format!("cannot start threads: {error}")))?;
        let result = runtime.block_on(command);
        // Nothing that matters is left; a thread that still reads stdin must not be waited for.
        runtime.shutdown_background();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is pasted from a narrow terminal must not be broken by it.
    #[test]
    fn examples_fit_into_a_terminal() {
        let mut commands = vec![Cli::command()];
        while let Some(command) = commands.pop() {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in text.lines() {
                assert!(line.len() <= 80, "{}: {line}", command.get_name());
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }
}
