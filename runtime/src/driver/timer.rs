//! One task per socket that wakes its engine when something is due.

use std::sync::Arc;

use crate::core::{Core, Socket};

/// Starts the timer of a socket; it ends with the socket, behind its last link, so that there is somebody as long as links
/// have something to tell.
pub(crate) fn spawn_timer<S: Socket>(core: &Arc<Core<S>>) {
    let life = core.live();
    let watch = Watch(Arc::clone(core));
    core.spawn(async move {
        let core = &watch.0;
        tokio::select! {
            () = core.stop.cancelled() => {}
            () = run(core) => {}
        }
        core.unlinked().await;
        drop(watch);
        drop(life);
    });
}

/// Sees to it that a socket whose timer ends before it, such as with the runtime that it was made on, is closed: nothing that
/// is due would be seen any more, and whoever waits on another runtime would wait for ever.
struct Watch<S: Socket>(Arc<Core<S>>);

impl<S: Socket> Drop for Watch<S> {
    fn drop(&mut self) {
        if !self.0.stop.is_cancelled() {
            self.0.abandon();
        }
    }
}

async fn run<S: Socket>(core: &Core<S>) {
    loop {
        let next = {
            let mut state = core.lock();
            state.timer_at = state.socket.poll_timeout(&core.clock);
            state.timer_at
        };
        match next {
            None => core.timer.notified().await,
            Some(time) => tokio::select! {
                () = core.timer.notified() => continue,
                () = tokio::time::sleep_until(core.clock.instant(time)) => {}
            },
        }
        let now = core.clock.now();
        core.with(|socket| socket.handle_timeout(now));
    }
}
