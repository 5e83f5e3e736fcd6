//! What a publisher has sent when it closes, and a subscriber has not read yet.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use drawdown::PubSocket;
use drawdown_protocol::wire::{Close, CloseCode, Control, Decoder, Frame};
use drawdown_protocol::{
    Identity, LinkId, Now, PeerId, SubscribeConfig, SubscribeEngine, Transmit,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::support::*;

/// A subscriber that reads when it is told to.
struct Slow {
    engine: SubscribeEngine,
    link: LinkId,
    now: Now,
    stream: TcpStream,
    decoder: Decoder,
    input: BytesMut,
}

impl Slow {
    /// Connects, and asks for everything.
    async fn subscribe(endpoint: &str) -> io::Result<Self> {
        let mut engine =
            SubscribeEngine::new(SubscribeConfig::default(), PeerId::from_uuid(Uuid::new_v4()));
        let now = Now::default();
        engine.add_filter(b"", now.time).expect("it is short");
        let link = engine.open_link(Identity::new("publisher"), now.time);
        let address = endpoint.strip_prefix("tcp://").expect("it is tcp");
        let stream = TcpStream::connect(address).await?;
        let (decoder, input) = (Decoder::new(1 << 20), BytesMut::new());
        let mut slow = Self { engine, link, now, stream, decoder, input };
        slow.speak().await?;
        while !matches!(slow.hear().await?, Some(Frame::Control(Control::Ring(_)))) {}
        slow.speak().await?;
        Ok(slow)
    }

    /// Says what there is to say.
    async fn speak(&mut self) -> io::Result<()> {
        let mut out = Transmit::new();
        self.engine.poll_transmit(self.link, self.now, &mut out);
        for piece in out.pieces() {
            self.stream.write_all(piece).await?;
        }
        Ok(())
    }

    /// Says that it is alive.
    async fn beat(&mut self) -> io::Result<()> {
        self.now.time = self.now.time + Duration::from_secs(1);
        self.engine.handle_link_timeout(self.link, self.now.time);
        self.speak().await
    }

    /// The next frame; none once the publisher has hung up.
    async fn hear(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) =
                self.decoder.decode(&mut self.input).expect("it keeps to the rules")
            {
                self.engine.handle_frame(self.link, frame.clone(), self.now);
                return Ok(Some(frame));
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Ok(None);
            }
        }
    }
}

#[tokio::test]
async fn what_a_publisher_has_sent_before_it_closes_can_be_read_after_it() -> Outcome {
    const COUNT: u32 = 200;
    let (publisher, endpoint) = bound(PubSocket::builder()).await?;
    let mut slow = soon(Slow::subscribe(&endpoint)).await?;
    for _ in 0..COUNT {
        publisher.publish("n", &[b'x'; 4_096]).await?;
    }
    until(|| publisher.stats().links.first().is_some_and(|link| link.sent == u64::from(COUNT)))
        .await;
    let mut closing = tokio::spawn(publisher.close(PATIENCE));
    // Bytes that come to a closed connection destroy what it has sent.
    let too_soon = tokio::time::timeout(QUIET, &mut closing).await;
    for _ in 0..3 {
        slow.beat().await?;
        tokio::time::sleep(QUIET).await;
    }
    let (mut count, mut last_word) = (0, None);
    while let Some(frame) = soon(slow.hear()).await? {
        match frame {
            Frame::Publish(run) => count += run.header.count,
            Frame::Control(Control::Close(close)) => last_word = Some(close),
            _ => {}
        }
    }
    assert_eq!(count, COUNT);
    assert!(matches!(last_word, Some(Close { code: CloseCode::Done, .. })), "{last_word:?}");
    assert!(too_soon.is_err(), "it closed before all was read");
    drop(slow);
    soon(closing).await??;
    Ok(())
}

#[tokio::test]
async fn a_publisher_that_closes_says_who_had_not_read_all() -> Outcome {
    let (publisher, endpoint) = bound(PubSocket::builder()).await?;
    let slow = soon(Slow::subscribe(&endpoint)).await?;
    publisher.publish("n", "x").await?;
    until(|| publisher.stats().links.first().is_some_and(|link| link.sent == 1)).await;
    let left = soon(publisher.close(Duration::ZERO)).await.expect_err("it reads nothing");
    assert_eq!((left.what, left.waiting), (drawdown::Undone::Subscribers, 1));
    assert!(left.to_string().contains("1 subscriber had not read all"), "{left}");
    drop(slow);
    Ok(())
}
