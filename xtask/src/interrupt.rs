//! Ctrl-C, SIGTERM and SIGHUP: remembered, and looked at wherever the tool waits, so that
//! dropping what was started ends it.

use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// From here on a signal no longer ends the process; a second one does.
pub fn watch() -> Result<(), String> {
    let handler = || {
        // Relaxed: a flag that carries no data.
        if REQUESTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(handler).map_err(|e| format!("signals cannot be handled: {e}"))
}

pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// An error once somebody has asked to stop.
pub fn check() -> Result<(), String> {
    if requested() {
        Err("stopped by a signal".into())
    } else {
        Ok(())
    }
}
