//! The driver of a proxy.

use drawdown_protocol::{Event as Happened, PeerId, ProxyEngine};

use crate::sim::agenda::Node;
use crate::sim::check::{Verdict, ensure};
use crate::sim::network::Network;
use crate::sim::node::Process;
use crate::sim::plan::ProxyPlan;

use super::node::{Disk, ProxyNode};

impl Network {
    pub(super) fn add_proxy(&mut self, plan: ProxyPlan) {
        let proxy = self.proxies.len();
        let offset = self.dice.between(1_700_000_000_000..=1_701_000_000_000);
        self.proxies.push(ProxyNode {
            process: Process::new(format!("proxy-{proxy}"), offset),
            engine: None,
            disk: plan.store.then(|| Disk::new(plan.commit)),
            holes: Default::default(),
            lost: Default::default(),
            plan,
        });
        self.start_proxy(proxy);
    }

    /// Starts a proxy, with the ring that is on its disk.
    pub(in crate::sim) fn start_proxy(&mut self, proxy: usize) {
        let peer = PeerId::from_uuid(self.dice.uuid());
        let now = self.agenda.now();
        let sources = self.sources_of(Node::Proxy(proxy));
        let node = &mut self.proxies[proxy];
        let config = node.plan.config.clone();
        let clock = node.process.clock(now);
        let mut engine = match node.disk.as_ref().map(|disk| disk.store.recover()) {
            None => ProxyEngine::new(config, peer),
            Some(None) => ProxyEngine::with_store(config, peer),
            Some(Some(recovered)) => ProxyEngine::recover(config, peer, recovered, clock),
        };
        engine.set_sources_expected(sources);
        node.engine = Some(engine);
        let life = u64::from(node.process.life);
        self.trace.note(now, Node::Proxy(proxy), "starts", &[life]);
        self.after_proxy(proxy);
        self.dial_from(Node::Proxy(proxy));
    }

    pub(in crate::sim) fn proxy_dies(&mut self, proxy: usize) {
        let node = &mut self.proxies[proxy];
        node.engine = None;
        node.lost.clear();
        let Some(disk) = &mut node.disk else {
            return node.holes.clear();
        };
        disk.look_at = None;
        let crashed = disk.store.crash(&mut self.dice);
        self.check(crashed);
    }

    /// After any call of a proxy.
    pub(in crate::sim) fn after_proxy(&mut self, proxy: usize) {
        self.wake_links(Node::Proxy(proxy));
        while let Some(event) = self.next_event(Node::Proxy(proxy)) {
            let verdict = self.proxy_event(proxy, &event);
            self.check(verdict.map_err(|why| format!("proxy-{proxy}: {why}")));
        }
        let now = self.agenda.now();
        let node = &self.proxies[proxy];
        if let Some(engine) = &node.engine {
            let next = engine.poll_timeout(node.process.clock(now));
            self.set_node_timer(Node::Proxy(proxy), next);
            self.plan_disk(Node::Proxy(proxy));
        }
        let verdict = self.check_proxy_rings(proxy);
        self.check(verdict);
    }

    fn proxy_event(&mut self, proxy: usize, event: &Happened) -> Verdict {
        match event {
            Happened::Disconnected { reason, .. } => self.check_end(reason),
            Happened::Gap(gap) => {
                let holes = self.proxies[proxy].holes.entry(gap.session).or_default();
                holes.insert(gap.from..gap.to + 1);
                self.check_gap(Node::Proxy(proxy), *gap)
            }
            _ => Ok(()),
        }
    }

    /// A proxy's rings are no larger than they may be.
    fn check_proxy_rings(&self, proxy: usize) -> Verdict {
        let node = &self.proxies[proxy];
        let Some(engine) = &node.engine else {
            return Ok(());
        };
        let stats = engine.stats(self.agenda.now());
        let limits = node.plan.config.down.ring;
        // Of a ring of 0 what is on its way through is there; a store keeps what it has not written.
        let through = node.plan.config.up.window_messages.max(2_000);
        let most = match (limits.messages, &node.disk) {
            (0, _) | (_, Some(_)) => limits.messages.max(through),
            (messages, None) => messages.max(1),
        };
        for ring in &stats.down.rings {
            ensure(ring.messages <= most, || {
                format!("proxy-{proxy} retains {ring:?}, allowed are {limits:?}")
            })?;
        }
        Ok(())
    }
}
