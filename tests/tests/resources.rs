//! Sockets and devices come and go, closed or dropped, and leave nothing behind: no task, no descriptor, no memory.
//!
//! A round makes and ends every kind of socket, which stands for a minute in the life of a process whose peers all come and go
//! once in it. `DRAWDOWN_ROUNDS=1440` is a day of that.

#![cfg(target_os = "linux")]

use std::path::Path;
use std::time::{Duration, Instant};

use drawdown::{
    Incoming, ProxySocket, PubSocket, PullSocket, PushSocket, RepSocket, ReqSocket, RouterSocket,
    StreamerSocket, SubSocket,
};
use drawdown_tests::measure::resident_bytes;
use drawdown_tests::patience::{ANY_PORT, Outcome, PATIENCE};
use tokio::runtime::Handle;

/// Rounds before anything is counted: what is made once is made then.
const WARM_UP: u64 = 20;
const ROUNDS: u64 = 60;

/// Memory that may come with all rounds together.
const GROWTH_BYTES_MAX: f64 = 16e6;

/// The C library keeps what it was given back in as many heaps as threads have met at it, more of them the longer it runs.
/// With one heap, memory tells of what is not given back.
const ONE_HEAP: (&str, &str) = ("MALLOC_ARENA_MAX", "1");

/// Whether sockets end in good order, or are only dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Dropped,
}

/// A sender with a store, a streamer, a receiver.
async fn pipeline(folder: &Path, end: End) -> Outcome {
    let push = PushSocket::builder().store(folder.join("outbox")).build().await?;
    let upstream = push.bind(ANY_PORT).await?;
    let streamer = StreamerSocket::builder().build()?;
    streamer.connect_upstream(&upstream)?;
    let downstream = streamer.bind_downstream(ANY_PORT).await?;
    let pull = PullSocket::builder().future(2, 1 << 20).connect(&downstream).await?;
    for number in 0..50_u32 {
        push.enqueue(number.to_le_bytes().to_vec()).await?;
    }
    for number in 0..50_u32 {
        let delivery = pull.recv().await?.ok_or("it is closed")?;
        assert_eq!(delivery.payload()[..], number.to_le_bytes());
        delivery.ack().await?;
    }
    if end == End::Closed {
        push.drain(PATIENCE).await?;
        push.close(PATIENCE).await?;
        streamer.close(PATIENCE).await?;
        pull.close(PATIENCE).await?;
    }
    Ok(())
}

/// A publisher, a proxy, a subscriber with a cursor.
async fn feed(folder: &Path, end: End) -> Outcome {
    let publisher = PubSocket::builder().ring(100).build().await?;
    let upstream = publisher.bind(ANY_PORT).await?;
    let proxy = ProxySocket::builder().build().await?;
    proxy.connect_upstream(&upstream)?;
    let downstream = proxy.bind_downstream(ANY_PORT).await?;
    let sub = SubSocket::builder().filter("a").cursor(folder.join("cursor"));
    let sub = sub.connect(&downstream).await?;
    for number in 0..50_u32 {
        publisher.publish("a", number.to_le_bytes().to_vec()).await?;
    }
    let mut heard = 0;
    while heard < 50 {
        if let Some(Incoming::Message(message)) = sub.recv().await? {
            message.ack().await?;
            heard += 1;
        }
    }
    if end == End::Closed {
        sub.close(PATIENCE).await?;
        proxy.close(PATIENCE).await?;
        publisher.close(PATIENCE).await?;
    }
    Ok(())
}

/// A client, a router, a server.
async fn calls(end: End) -> Outcome {
    let rep = RepSocket::builder().build().await?;
    let downstream = rep.bind(ANY_PORT).await?;
    let router = RouterSocket::builder().build()?;
    router.connect_downstream(&downstream)?;
    let upstream = router.bind_upstream(ANY_PORT).await?;
    let req = ReqSocket::builder().connect(&upstream).await?;
    let ask = async {
        for number in 0..20_u32 {
            let asked = number.to_le_bytes().to_vec();
            let reply = req.request(asked.clone()).await.map_err(|error| error.to_string())?;
            assert_eq!(reply.payload()[..], asked[..]);
        }
        Ok::<(), Box<dyn std::error::Error>>(())
    };
    let serve = async {
        loop {
            let call = rep.recv().await?.ok_or("it is closed")?;
            let answer = call.payload().to_vec();
            call.reply(answer)?;
        }
    };
    let served: Outcome = tokio::select! {
        asked = ask => asked,
        served = serve => served,
    };
    served?;
    if end == End::Closed {
        req.close(PATIENCE).await?;
        router.close(PATIENCE).await?;
        rep.close(PATIENCE).await?;
    }
    Ok(())
}

async fn round(end: End) -> Outcome {
    let folder = tempfile::tempdir()?;
    pipeline(folder.path(), end).await?;
    feed(folder.path(), end).await?;
    calls(end).await
}

/// Tasks of this runtime, and open descriptors of this process.
fn in_use() -> std::io::Result<(usize, usize)> {
    let tasks = Handle::current().metrics().num_alive_tasks();
    Ok((tasks, std::fs::read_dir("/proc/self/fd")?.count()))
}

/// Waits until no more is in use than this.
async fn settled(most: (usize, usize)) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = in_use()?;
        if now.0 <= most.0 && now.1 <= most.1 {
            return Ok(());
        }
        assert!(Instant::now() < deadline, "tasks and descriptors: {now:?}, before {most:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn what_comes_and_goes_leaves_no_task_no_descriptor_and_no_memory() -> Outcome {
    let (name, value) = ONE_HEAP;
    if std::env::var(name).is_ok_and(|found| found == value) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        return runtime.block_on(rounds());
    }
    let mut itself = std::process::Command::new(std::env::current_exe()?);
    let status = itself.args(std::env::args_os().skip(1)).env(name, value).status()?;
    assert!(status.success(), "{status}");
    Ok(())
}

async fn rounds() -> Outcome {
    let rounds = std::env::var("DRAWDOWN_ROUNDS").map_or(Ok(ROUNDS), |rounds| rounds.parse())?;
    let before = in_use()?;
    let ends = [End::Closed, End::Dropped];
    for number in 0..WARM_UP {
        round(ends[number as usize % 2]).await?;
    }
    settled(before).await?;
    let warm = resident_bytes("self")?;
    for number in 0..rounds {
        round(ends[number as usize % 2]).await?;
        settled(before).await?;
    }
    let growth = resident_bytes("self")? - warm;
    println!("{rounds} rounds: {:.1} MB more than the {:.1} MB before", growth / 1e6, warm / 1e6);
    assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes more after {rounds} rounds");
    Ok(())
}
