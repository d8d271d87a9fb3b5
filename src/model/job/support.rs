//! What a job file may say and this version does not do yet: refused before anything is claimed, never passed over.

use crate::model::job::{Job, Step, StepAction};

/// One sentence for each thing in the job that is understood but not executed yet; none: all of it is executed.
pub fn refusals(job: &Job) -> Vec<String> {
    let cleanup = job.cleanup.iter().map(|cleanup| &cleanup.step);
    job.steps
        .iter()
        .chain(cleanup)
        .filter_map(refusal)
        .collect()
}

fn refusal(step: &Step) -> Option<String> {
    match step.action {
        StepAction::Run(_) => None,
        StepAction::Reboot { .. } => Some(format!(
            "step `{}` reboots the node, which this version of roundsman cannot do yet",
            step.name
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::job::tests::{sample, step};

    #[test]
    fn only_reboots_are_refused() {
        let mut job = sample();
        job.fence = crate::model::job::Fence::Off;
        assert!(refusals(&job).is_empty());
        let mut reboot = step("restart", "");
        reboot.action = StepAction::Reboot { ready: None };
        job.steps.push(reboot);
        let refusals = refusals(&job);
        assert_eq!(refusals.len(), 1);
        assert!(refusals[0].contains("`restart`"), "{refusals:?}");
    }
}
