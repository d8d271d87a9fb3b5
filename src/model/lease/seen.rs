//! What is read of a lock, in words.

use crate::model::lock::{LockState, Seen};

/// Who or what stands in a lock that should be ours, in words.
pub(super) fn describe(shows: &Seen) -> String {
    match shows {
        Seen::Free => "its lock tag is gone".to_owned(),
        Seen::Unreadable(text) => format!("its lock tag now says {text:?}"),
        Seen::Lock(lock) if lock.state == LockState::Stopping => {
            format!("{} is ending the run of {} there", lock.owner, lock.job)
        }
        Seen::Lock(lock) => format!("{} has claimed it for {}", lock.owner, lock.job),
    }
}
