//! The parts that are on the stage, and what they say.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::Outcome;
use crate::child::Child;

/// How often is looked whether all parts are alive while nothing is heard.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Parts that run, in the order in which they finish.
#[derive(Debug)]
pub struct Cast<P> {
    scene: PathBuf,
    /// For how long nothing may move.
    patience: Duration,
    parts: BTreeMap<P, Child>,
    /// The one that ends by itself, once it has nothing left to do.
    leaves: Option<P>,
    /// What the parts say; the sender is for those that are yet to come.
    lines: mpsc::UnboundedReceiver<String>,
    lines_sender: mpsc::UnboundedSender<String>,
    moved: Instant,
}

impl<P: Copy + Ord + Display> Cast<P> {
    /// Nobody yet; all will find each other in this folder, and must do something within this time.
    #[must_use]
    pub fn new(scene: &Path, patience: Duration) -> Self {
        let (lines_sender, lines) = mpsc::unbounded_channel();
        Self {
            scene: scene.to_owned(),
            patience,
            parts: BTreeMap::new(),
            leaves: None,
            lines,
            lines_sender,
            moved: Instant::now(),
        }
    }

    /// The same, where this part ends by itself, once it has nothing left to do.
    #[must_use]
    pub fn with_leaver(self, part: P) -> Self {
        Self { leaves: Some(part), ..self }
    }

    /// Starts a part: this program, with these arguments and the scene.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&mut self, part: P, arguments: &[&str]) -> Outcome<()> {
        let mut arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        arguments.extend(["--scene".into(), self.scene.clone().into()]);
        self.parts.insert(part, Child::start(arguments, self.lines_sender.clone())?);
        Ok(())
    }

    /// Whether a part was started, and neither killed nor taken away since then.
    #[must_use]
    pub fn has(&self, part: P) -> bool {
        self.parts.contains_key(&part)
    }

    /// A part that is on the stage.
    pub fn get_mut(&mut self, part: P) -> Option<&mut Child> {
        self.parts.get_mut(&part)
    }

    /// What one of them says next.
    ///
    /// # Errors
    /// If one has ended unasked, or nobody says anything for too long.
    pub async fn hear(&mut self) -> Outcome<String> {
        self.moved = Instant::now();
        loop {
            if let Some(line) = self.hear_within(LOOK_EVERY).await? {
                return Ok(line);
            }
        }
    }

    /// What one of them says next; `None` if nobody does within this time.
    ///
    /// # Errors
    /// If one has ended unasked, or nobody has said anything for too long.
    pub async fn hear_within(&mut self, time: Duration) -> Outcome<Option<String>> {
        if let Ok(Some(line)) = timeout(time, self.lines.recv()).await {
            self.moved = Instant::now();
            return Ok(Some(line));
        }
        self.look()?;
        match self.moved.elapsed() > self.patience {
            true => Err(format!("nothing has moved for {:?}", self.patience).into()),
            false => Ok(None),
        }
    }

    /// What one of them has said already and was not heard.
    pub fn heard(&mut self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    /// Looks whether all are there.
    ///
    /// # Errors
    /// If one has ended unasked.
    pub fn look(&mut self) -> Outcome<()> {
        for (part, child) in &mut self.parts {
            if let Some(status) = child.ended()?
                && !(status.success() && self.leaves == Some(*part))
            {
                return Err(format!("{part} ended with {status}").into());
            }
        }
        Ok(())
    }

    /// Ends a part with SIGKILL; gives the number of the process that this was the end of, if it still ran.
    ///
    /// # Errors
    /// If the system refuses.
    pub async fn kill(&mut self, part: P) -> Outcome<Option<u32>> {
        let Some(child) = self.parts.get_mut(&part) else { return Ok(None) };
        let pid = child.pid();
        let was_alive = child.kill().await?;
        self.parts.remove(&part);
        Ok(pid.filter(|_| was_alive))
    }

    /// Asks a part with SIGTERM to end in good order, and waits until it has.
    ///
    /// # Errors
    /// If it does not, or not well.
    pub async fn terminate(&mut self, part: P) -> Outcome<()> {
        if let Some(child) = self.parts.get_mut(&part) {
            child.terminate()?;
            self.ended(part).await?;
        }
        Ok(())
    }

    /// Lets all parts finish, one after the other; who leaves by itself is only waited for.
    ///
    /// # Errors
    /// If one does not, or not well.
    pub async fn finish(&mut self) -> Outcome<()> {
        while let Some(mut first) = self.parts.first_entry() {
            let part = *first.key();
            if self.leaves != Some(part) {
                first.get_mut().dismiss();
            }
            self.ended(part).await?;
        }
        Ok(())
    }

    /// Waits until a part has ended well.
    async fn ended(&mut self, part: P) -> Outcome<()> {
        let Some(child) = self.parts.get_mut(&part) else { return Ok(()) };
        match timeout(self.patience, child.wait()).await {
            Ok(ended) => ended.map_err(|error| format!("{part} ended with {error}"))?,
            Err(_) => return Err(format!("{part} does not end").into()),
        }
        self.parts.remove(&part);
        Ok(())
    }

    /// Ends the parts that still run, and says on stderr which could not be ended, after the name of the example.
    pub async fn clear(&mut self, example: &str) {
        while let Some((part, mut child)) = self.parts.pop_first() {
            if let Err(error) = child.kill().await {
                eprintln!("{example}: {part} could not be ended: {error}");
            }
        }
    }
}
