//! What the parts tell the stage.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum News {
    /// A part is bound and connected.
    Ready,
    /// The ventilator will push nothing more; so many jobs there are.
    Pushed { jobs: u64 },
    /// The sink has the results of so many different jobs, and of so many a second one.
    Done { jobs: u64, again: u64 },
}
