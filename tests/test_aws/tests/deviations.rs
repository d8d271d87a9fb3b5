//! Where the test AWS and moto 5.2.5 differ, and what of AWS's own documentation decides it.
//!
//! What is said alike by both is not proven to be AWS's, and is documented by AWS all the same; messages are not
//! compared, since AWS documents codes only.

#[path = "deviations/commands.rs"]
mod commands;
#[path = "deviations/tags.rs"]
mod tags;

/// A difference that is meant.
#[derive(Debug)]
pub(crate) struct Deviation {
    /// Steps of `conform.rs`; none: of any step.
    pub(crate) steps: &'static [&'static str],
    /// Places: the first part of each, and the rests; and what is so there.
    pub(crate) at: &'static str,
    pub(crate) of: &'static [&'static str],
    pub(crate) what: &'static str,
    /// What decides it.
    pub(crate) why: &'static str,
}

const fn row(
    steps: &'static [&'static str],
    at: &'static str,
    of: &'static [&'static str],
    what: &'static str,
    why: &'static str,
) -> Deviation {
    Deviation {
        steps,
        at,
        of,
        what,
        why,
    }
}

/// What moto does and the test AWS refuses: the answer is there at moto only, and the error here only.
const REFUSED: &[&str] = &["Command", "Tags", "Reservations", "error", "status"];

/// All rows.
pub(crate) fn all() -> Vec<&'static Deviation> {
    tags::ROWS.iter().chain(commands::ROWS).collect()
}
