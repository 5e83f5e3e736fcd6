//! `file://`: what a file names, as it is now.

use drawdown::{ProxySocket, PubSocket, PullSocket, PushSocket, RepSocket, ReqSocket, SubSocket};

use crate::support::{
    ANY_PORT, EndpointsFile, OFTEN, Outcome, PATIENCE, change, expect, name_failure, next,
    receiver, send, soon, until,
};

#[tokio::test]
async fn a_sender_whose_file_is_rewritten_goes_on_at_the_new_receiver_and_loses_nothing() -> Outcome
{
    let (old, at_old) = receiver().await?;
    let (new, at_new) = receiver().await?;
    let file = EndpointsFile::of(&["# jobs", &at_old])?;
    let push = PushSocket::builder().refresh_names(OFTEN).build().await?;
    let mut events = push.events();
    push.connect(file.url())?;
    assert_eq!(change(&mut events).await, (vec![at_old.clone()], vec![]));
    send(&push, 0..100).await?;
    expect(&old, 0..30).await?;
    until(|| push.stats().pending == 70).await;
    file.write(&["# jobs", &at_new])?;
    assert_eq!(change(&mut events).await, (vec![at_new], vec![at_old]));
    send(&push, 100..200).await?;
    expect(&new, 30..200).await?;
    soon(push.close(PATIENCE)).await?;
    Ok(())
}

#[tokio::test]
async fn what_a_receiver_held_of_a_sender_that_left_its_file_goes_to_another() -> Outcome {
    let push = PushSocket::builder().build().await?;
    let endpoint = push.bind(ANY_PORT).await?.to_string();
    let file = EndpointsFile::of(&[&endpoint, "inproc://nobody"])?;
    let leaving = PullSocket::builder().window(10).refresh_names(OFTEN).connect(file.url()).await?;
    send(&push, 0..10).await?;
    let held = next(&leaving).await;
    until(|| push.stats().pending == 10).await;
    let staying = PullSocket::builder().window(100).connect(&endpoint).await?;
    file.write(&["inproc://nobody"])?;
    expect(&staying, 0..10).await?;
    until(|| push.stats().links.len() == 1).await;
    drop(held);
    soon(push.close(PATIENCE)).await?;
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_empty_broken_or_gone_is_told_and_what_worked_goes_on() -> Outcome {
    let (pull, endpoint) = receiver().await?;
    let (other, at_other) = receiver().await?;
    let file = EndpointsFile::of(&[&endpoint])?;
    let push = PushSocket::builder().refresh_names(OFTEN).build().await?;
    let mut events = push.events();
    push.connect(file.url())?;
    assert_eq!(change(&mut events).await, (vec![endpoint.clone()], vec![]));
    send(&push, 0..1).await?;
    expect(&pull, 0..1).await?;
    let broken: [(&[&str], &str); 3] = [
        (&[], "it names no endpoint"),
        (
            &[&at_other, "tcp://nowhere"],
            "line 2: \"tcp://nowhere\" is not an endpoint: the port is missing",
        ),
        (&[&at_other, "", "tcp://*:1"], "line 3: \"tcp://*:1\" cannot be used here"),
    ];
    for ((lines, words), number) in broken.into_iter().zip(1..) {
        file.write(lines)?;
        let sentence = name_failure(&mut events).await;
        assert!(sentence.contains(words), "{sentence}");
        assert!(sentence.starts_with(&file.url()), "{sentence}");
        assert!(sentence.contains("links to what it named before go on"), "{sentence}");
        send(&push, number..number + 1).await?;
        expect(&pull, number..number + 1).await?;
    }
    std::fs::remove_file(&file.path)?;
    let sentence = name_failure(&mut events).await;
    assert!(sentence.contains("there is no such file"), "{sentence}");
    send(&push, 4..5).await?;
    expect(&pull, 4..5).await?;
    assert_eq!(push.stats().links.len(), 1);
    file.write(&[&at_other])?;
    assert_eq!(change(&mut events).await, (vec![at_other], vec![endpoint]));
    send(&push, 5..6).await?;
    expect(&other, 5..6).await?;
    soon(push.close(PATIENCE)).await?;
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_not_there_yet_is_waited_for() -> Outcome {
    let (pull, endpoint) = receiver().await?;
    let file = EndpointsFile::new()?;
    let push = PushSocket::builder().refresh_names(OFTEN).build().await?;
    let mut events = push.events();
    push.connect(file.url())?;
    let sentence = name_failure(&mut events).await;
    assert!(sentence.contains("there is no such file; it is looked at again"), "{sentence}");
    send(&push, 0..1).await?;
    file.write(&[&endpoint])?;
    expect(&pull, 0..1).await?;
    soon(push.close(PATIENCE)).await?;
    Ok(())
}

#[tokio::test]
async fn priorities_are_those_of_the_file_unless_a_line_has_its_own() -> Outcome {
    let mut servers = Vec::new();
    let mut lines = Vec::new();
    for priority in ["", "?priority=1", "?priority=9"] {
        let rep = RepSocket::builder().build().await?;
        lines.push(format!("{}{priority}", rep.bind(ANY_PORT).await?));
        servers.push(rep);
    }
    let file = EndpointsFile::of(&lines.iter().map(String::as_str).collect::<Vec<_>>())?;
    let req = ReqSocket::builder().connect(format!("{}?priority=5", file.url())).await?;
    until(|| {
        let links = req.stats().links;
        let mut levels: Vec<_> = links.iter().map(|link| link.priority.level()).collect();
        levels.sort_unstable();
        levels == [1, 5, 9]
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_proxy_and_a_subscriber_find_their_sources_in_files() -> Outcome {
    let publisher = PubSocket::builder().build().await?;
    let upstream = EndpointsFile::of(&[&publisher.bind(ANY_PORT).await?.to_string()])?;
    let proxy = ProxySocket::builder().build().await?;
    proxy.connect_upstream(upstream.url())?;
    let downstream = EndpointsFile::of(&[&proxy.bind_downstream(ANY_PORT).await?.to_string()])?;
    let sub = SubSocket::builder().connect(downstream.url()).await?;
    soon(publisher.publish("n", "0")).await?;
    let incoming = soon(sub.recv()).await?;
    assert!(matches!(incoming, Some(drawdown::Incoming::Message(_))), "{incoming:?}");
    Ok(())
}

#[tokio::test]
async fn what_stands_for_other_endpoints_is_not_bound() -> Outcome {
    for url in ["file:///run/endpoints", "srv+tcp://_jobs._tcp.test"] {
        let proxy = ProxySocket::builder().build().await?;
        let refused = [
            PushSocket::builder().bind(url).await.err(),
            PullSocket::builder().bind(url).await.err(),
            PubSocket::builder().bind(url).await.err(),
            SubSocket::builder().bind(url).await.err(),
            ReqSocket::builder().bind(url).await.err(),
            RepSocket::builder().bind(url).await.err(),
            proxy.bind_upstream(url).await.err(),
            proxy.bind_downstream(url).await.err(),
        ];
        for error in refused {
            let sentence = error.expect("it was bound").to_string();
            assert!(
                sentence.contains(url) && sentence.contains("only to connect to"),
                "{sentence}"
            );
        }
    }
    Ok(())
}
