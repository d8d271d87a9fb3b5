//! The claim protocol, searched: every order in which reads, writes, crashes and clocks may fall, driven through the
//! program's own machines. What is safe, what is not where an assumption or a rule is missing, and how it comes about.

#[path = "lease/broken.rs"]
mod broken;
#[path = "lease/calm.rs"]
mod calm;
#[path = "lease/cast.rs"]
mod cast;
#[path = "lease/check.rs"]
mod check;
#[path = "lease/contender.rs"]
mod contender;
#[path = "lease/course.rs"]
mod course;
#[path = "lease/disturbed.rs"]
mod disturbed;
#[path = "lease/happen.rs"]
mod happen;
#[path = "lease/holder.rs"]
mod holder;
#[path = "lease/leftover.rs"]
mod leftover;
#[path = "lease/liveness.rs"]
mod liveness;
#[path = "lease/model.rs"]
mod model;
#[path = "lease/must_fail.rs"]
mod must_fail;
#[path = "lease/must_fail_held.rs"]
mod must_fail_held;
#[path = "lease/must_fail_late.rs"]
mod must_fail_late;
#[path = "lease/must_fail_left.rs"]
mod must_fail_left;
#[path = "lease/must_fail_limits.rs"]
mod must_fail_limits;
#[path = "lease/needed.rs"]
mod needed;
#[path = "lease/people.rs"]
mod people;
#[path = "lease/reach.rs"]
mod reach;
#[path = "lease/reached.rs"]
mod reached;
#[path = "lease/safe.rs"]
mod safe;
#[path = "lease/scenario.rs"]
mod scenario;
#[path = "lease/search.rs"]
mod search;
#[path = "lease/short.rs"]
mod short;
#[path = "lease/stopper.rs"]
mod stopper;
#[path = "lease/stopping.rs"]
mod stopping;
#[path = "lease/texts.rs"]
mod texts;
#[path = "lease/together.rs"]
mod together;
#[path = "lease/trace.rs"]
mod trace;
#[path = "lease/world.rs"]
mod world;
