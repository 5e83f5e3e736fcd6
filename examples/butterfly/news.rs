//! What the parts tell the stage.

use serde::{Deserialize, Serialize};

use crate::sink::Totals;

/// What parts tell the stage.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum News {
    /// The ventilator has opened its store, which holds so many jobs, and goes on at this place of the list.
    Opened { jobs_pending: u64, next: usize },
    /// Jobs went back to the ventilator's queue because their worker is gone.
    Redelivered { jobs: u64 },
    /// The sink has the results of so many jobs.
    Progress { jobs: usize },
    /// The sink's last word.
    Totals(Totals),
}
