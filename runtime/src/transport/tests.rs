//! What every transport has to do, tried on each of them, and how it fails.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{
    BindPolicy, Endpoint, Listener, PeerAddr, Stream, TransportError, TransportErrorKind, bind,
};
use crate::names::Names;

/// Long enough that it is reached only when something hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn endpoint(url: &str) -> Endpoint {
    url.parse().unwrap_or_else(|error| panic!("{error}"))
}

pub(super) async fn connect(endpoint: &Endpoint, time: Duration) -> Result<Stream, TransportError> {
    super::connect(endpoint, &Names::default(), 0, time).await
}

pub(super) async fn listen(url: &str) -> Listener {
    bind(&endpoint(url), BindPolicy::LoopbackOnly).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Checks the kind, and that the sentence names the endpoint.
pub(super) fn assert_failed<T>(
    result: Result<T, TransportError>,
    kind: TransportErrorKind,
    url: &str,
) {
    let Err(error) = result else { panic!("{url} did not fail with {kind:?}") };
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.endpoint(), &endpoint(url));
    assert!(error.to_string().contains(url), "{error}");
}

async fn pair(listener: &mut Listener) -> (Stream, Stream) {
    let endpoint = listener.local_endpoint().clone();
    let (connected, accepted) = tokio::join!(connect(&endpoint, PATIENCE), listener.accept());
    (connected.unwrap(), accepted.unwrap())
}

/// One endpoint of each transport. A test's number is its own, and so are its address, folder and name: what it frees
/// no other test takes in between.
fn each_transport(test: u8, folder: &TempDir) -> [String; 3] {
    [
        format!("tcp://127.0.1.{test}:0"),
        format!("ipc://{}/jobs.sock", folder.path().display()),
        format!("inproc://test-{test}"),
    ]
}

async fn write_all_vectored(writer: &mut (impl AsyncWrite + Unpin), parts: &[&[u8]]) {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut slices = slices.as_mut_slice();
    while !slices.is_empty() {
        let written = writer.write_vectored(slices).await.unwrap();
        assert_ne!(written, 0);
        IoSlice::advance_slices(&mut slices, written);
    }
}

#[tokio::test]
async fn streams_carry_bytes_both_ways_until_the_end() {
    let folder = TempDir::new().unwrap();
    for url in each_transport(1, &folder) {
        let mut listener = listen(&url).await;
        let (mut client, mut server) = pair(&mut listener).await;
        // More than any pipe or socket buffer holds, so that writes are partial.
        let sent: Vec<u8> = (0..8_u32 << 20).map(|i| (i % 251) as u8).collect();
        let echo = tokio::spawn(async move {
            let mut received = Vec::new();
            server.read_to_end(&mut received).await.unwrap();
            server.write_all(&received).await.unwrap();
            server.shutdown().await.unwrap();
        });
        client.write_all(&sent).await.unwrap();
        client.shutdown().await.unwrap();
        let mut echoed = Vec::new();
        client.read_to_end(&mut echoed).await.unwrap();
        echo.await.unwrap();
        assert!(echoed == sent, "{url}");
    }
}

#[tokio::test]
async fn vectored_writes_take_more_than_the_first_slice() {
    let folder = TempDir::new().unwrap();
    for url in each_transport(2, &folder) {
        let mut listener = listen(&url).await;
        let (mut client, mut server) = pair(&mut listener).await;
        assert!(client.is_write_vectored() && server.is_write_vectored(), "{url}");

        let few = [IoSlice::new(b"draw"), IoSlice::new(b""), IoSlice::new(b"down")];
        assert_eq!(client.write_vectored(&few).await.unwrap(), 8, "{url}");
        let mut received = [0; 8];
        server.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"drawdown", "{url}");

        let large = vec![b'x'; 1 << 20];
        let parts: [&[u8]; 3] = [b"header", &large, b"trailer"];
        let reader = tokio::spawn(async move {
            let mut received = Vec::new();
            server.read_to_end(&mut received).await.unwrap();
            received
        });
        write_all_vectored(&mut client, &parts).await;
        client.shutdown().await.unwrap();
        assert!(reader.await.unwrap() == parts.concat(), "{url}");
    }
}

#[tokio::test]
async fn a_dropped_stream_ends_the_other_side() {
    let folder = TempDir::new().unwrap();
    for url in each_transport(3, &folder) {
        let mut listener = listen(&url).await;
        let (client, mut server) = pair(&mut listener).await;
        drop(client);
        assert_eq!(server.read(&mut [0; 16]).await.unwrap(), 0, "{url}");
    }
}

#[tokio::test]
async fn both_sides_know_who_the_other_is() {
    let folder = TempDir::new().unwrap();
    let us = (rustix::process::getuid().as_raw(), std::process::id());
    for url in each_transport(4, &folder) {
        let mut listener = listen(&url).await;
        let (client, server) = pair(&mut listener).await;
        let local = listener.local_endpoint();
        match (client.peer(), server.peer()) {
            (PeerAddr::Tcp(listening), PeerAddr::Tcp(connecting)) => {
                assert_eq!(client.peer().to_string(), local.to_string());
                assert!(connecting.ip().is_loopback());
                assert_ne!(listening.port(), connecting.port());
            }
            (PeerAddr::Ipc { uid, pid, .. }, same) => {
                assert_eq!((*uid, pid.map(i32::cast_unsigned)), (us.0, Some(us.1)));
                assert_eq!(client.peer(), same);
                assert_eq!(same.to_string(), format!("ipc (user {}, process {})", us.0, us.1));
            }
            (PeerAddr::Inproc(name), same) => {
                assert_eq!(Some(name.as_str()), local.name());
                assert_eq!(client.peer(), same);
                assert_eq!(same.to_string(), local.to_string());
            }
            mixed => panic!("{mixed:?}"),
        }
    }
}

#[tokio::test]
async fn the_local_endpoint_is_where_it_was_asked_for_with_its_priority() {
    let folder = TempDir::new().unwrap();
    for url in each_transport(5, &folder) {
        let asked = endpoint(&format!("{url}?priority=7"));
        let listener = bind(&asked, BindPolicy::LoopbackOnly).await.unwrap();
        let local = listener.local_endpoint();
        assert_eq!(local.priority().level(), 7);
        assert_eq!((local.path(), local.name()), (asked.path(), asked.name()));
        assert_eq!(local.port().is_some(), asked.port().is_some());
        assert_ne!(local.port(), Some(0));
    }
}

#[tokio::test]
async fn an_endpoint_in_use_is_refused_and_free_after_drop() {
    let folder = TempDir::new().unwrap();
    for url in each_transport(6, &folder) {
        let first = listen(&url).await;
        let taken = first.local_endpoint().clone();
        let second = bind(&taken, BindPolicy::LoopbackOnly).await;
        assert_failed(second, TransportErrorKind::AddressInUse, &taken.to_string());
        drop(first);
        let mut third = bind(&taken, BindPolicy::LoopbackOnly).await.unwrap();
        pair(&mut third).await;
    }
}

#[tokio::test]
async fn connecting_to_nobody_fails_at_once() {
    let folder = TempDir::new().unwrap();
    for url in each_transport(7, &folder) {
        let listener = listen(&url).await;
        let left = listener.local_endpoint().clone();
        drop(listener);
        let kind = match left.path() {
            Some(_) => TransportErrorKind::NoSuchFile,
            None => TransportErrorKind::Refused,
        };
        assert_failed(connect(&left, PATIENCE).await, kind, &left.to_string());
    }
}

#[tokio::test]
async fn connections_wait_for_an_accept_that_was_given_up() {
    let folder = TempDir::new().unwrap();
    for url in each_transport(8, &folder) {
        let mut listener = listen(&url).await;
        tokio::select! {
            biased;
            accepted = listener.accept() => panic!("{accepted:?}"),
            () = std::future::ready(()) => {}
        }
        let mut client = connect(listener.local_endpoint(), PATIENCE).await.unwrap();
        let mut server = listener.accept().await.unwrap();
        client.write_all(b"job").await.unwrap();
        let mut received = [0; 3];
        server.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"job", "{url}");
    }
}

#[tokio::test]
async fn what_the_runtime_has_not_heard_of_can_be_read() {
    let folder = TempDir::new().unwrap();
    for url in each_transport(9, &folder) {
        let mut listener = listen(&url).await;
        let mut client = connect(listener.local_endpoint(), PATIENCE).await.unwrap();
        let mut server = listener.accept().await.unwrap();
        let mut scratch = [MaybeUninit::uninit(); 4];
        assert!(server.read_now(&mut scratch).is_none(), "{url}: nothing has come");
        client.write_all(b"job 1, job 2").await.unwrap();
        let mut read = Vec::new();
        // One at a time each way.
        for _ in 0..2 {
            if let Some(some) = server.read_now(&mut scratch) {
                read.extend_from_slice(some.unwrap());
            }
            let mut next = [0];
            server.read_exact(&mut next).await.unwrap();
            read.extend(next);
        }
        let mut rest = vec![0; b"job 1, job 2".len() - read.len()];
        server.read_exact(&mut rest).await.unwrap();
        assert_eq!([read, rest].concat(), b"job 1, job 2", "{url}");
        assert!(server.read_now(&mut scratch).is_none(), "{url}: all was read");
        drop(client);
        assert_eq!(server.read(&mut [0; 4]).await.unwrap(), 0);
    }
}
