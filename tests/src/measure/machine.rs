//! Where and how was measured.

use serde_json::{Value, json};

/// The machine, and how often was measured.
#[derive(Clone, Debug)]
pub struct About {
    cpus: usize,
    processor: Option<String>,
    system: String,
    rounds: u32,
    /// What makes the numbers worth less.
    pub warnings: Vec<&'static str>,
}

impl About {
    /// This machine.
    #[must_use]
    pub fn new(rounds: u32, quick: bool) -> Self {
        let mut warnings = Vec::new();
        if quick {
            warnings.push("--quick: this shows that everything works; the numbers mean little");
        }
        if cfg!(debug_assertions) {
            warnings.push("this was built without --release: the numbers mean nothing");
        }
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            processor: processor(),
            system: format!("{} {}", std::env::consts::OS, release.trim()).trim_end().to_owned(),
            rounds,
            warnings,
        }
    }

    /// In one line.
    #[must_use]
    pub fn line(&self) -> String {
        let (cpus, rounds) = (self.cpus, self.rounds);
        let processor = self.processor.as_deref().unwrap_or(std::env::consts::ARCH);
        format!("{cpus} x {processor}, {}; medians of {rounds} rounds (least - most)", self.system)
    }

    /// The same, and below it what makes the numbers worth less.
    #[must_use]
    pub fn heading(&self) -> String {
        let warnings = self.warnings.iter().map(|warning| format!("WARNING: {warning}\n"));
        format!("{}\n", self.line()) + &warnings.collect::<String>()
    }

    /// The same for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "cpus": self.cpus,
            "processor": self.processor,
            "system": self.system,
            "rounds": self.rounds,
            "warnings": self.warnings,
        })
    }
}

fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
