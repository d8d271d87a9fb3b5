//! Under its assumptions the protocol is safe.

use crate::scenario::Scenario;
use crate::search::search;

#[test]
fn try_one() {
    for (g, p, s) in [(1, 1, 1), (2, 1, 1), (2, 2, 2)] {
        let began = std::time::Instant::now();
        let found = search(Scenario::new("claims", (g, p, s), &[(0, 1), (0, 1)]));
        println!(
            "{g} {p} {s}: {} {} {:?} {:?}",
            found.states,
            found.local,
            found.wrong,
            began.elapsed()
        );
    }
}
