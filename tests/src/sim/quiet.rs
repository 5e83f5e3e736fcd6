//! Panics that are caught, and told by who caught them or by nobody.

use std::cell::Cell;
use std::sync::Once;

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Does work in which panics say nothing on stderr. Those of other threads do.
pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_QUIET.get() {
                usual(panic);
            }
        }));
    });
    let _quiet = Quiet { before: IS_QUIET.replace(true) };
    work()
}

/// Until it is dropped.
struct Quiet {
    before: bool,
}

impl Drop for Quiet {
    fn drop(&mut self) {
        IS_QUIET.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_quiet_for_as_long_as_the_work_takes() {
        assert!(!IS_QUIET.get());
        let panicked = quietly(|| {
            assert!(IS_QUIET.get());
            assert!(!std::thread::spawn(|| IS_QUIET.get()).join().unwrap(), "another one is not");
            quietly(|| ());
            assert!(IS_QUIET.get(), "the work goes on");
            std::panic::catch_unwind(|| quietly(|| panic!("nobody hears it"))).is_err()
        });
        assert!(panicked);
        assert!(!IS_QUIET.get());
    }
}
