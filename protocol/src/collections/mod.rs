//! Collections of numbers that rise, and of what stands beside them.

mod abreast;
mod levelled;
mod range;
mod rising;

pub(crate) use abreast::Abreast;
pub(crate) use levelled::Levelled;
pub use range::RangeSet;
pub use rising::Rising;
