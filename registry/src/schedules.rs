//! What of this registry runs by schedules.

use engine::journal::Json;
use engine::node::BuiltIn;
use engine::schedule::Missed;
use engine::workflow::Workflow as _;
use workflows::cleanup::Cleanup;
use workflows::rehearsal::Rehearsal;
use workflows::retention::Retain;
use workflows::sync_proxy::SyncProxy;
use workflows::verify::Verify;

/// The workflows that may be scheduled: those whose input does not come from a client's request. A push is none: it publishes
/// what a client has just sent.
pub(crate) const SCHEDULABLE: &[&str] = &[
    Cleanup::NAME,
    Retain::NAME,
    SyncProxy::NAME,
    Verify::NAME,
    Rehearsal::NAME,
];

/// Those of them that only a server runs that allows drills.
pub(crate) const FOR_DRILLS: &[&str] = &[Rehearsal::NAME];

/// The schedules that every registry has.
pub(crate) fn built_in() -> Vec<BuiltIn> {
    vec![
        BuiltIn {
            name: "cleanup",
            workflow: Cleanup::NAME,
            input: Json::of(&Cleanup { dry_run: false }).expect("a flag is JSON"),
            cron: "30 2 * * *",
            time_zone: "UTC",
            missed: Missed::Once,
        },
        // Before the cleanup, which finds what it has let go.
        BuiltIn {
            name: "retention",
            workflow: Retain::NAME,
            input: Json::of(&Retain::default()).expect("a flag is JSON"),
            cron: "30 1 * * *",
            time_zone: "UTC",
            missed: Missed::Once,
        },
        BuiltIn {
            name: "verify",
            workflow: Verify::NAME,
            input: Json::of(&Verify::default()).expect("a number is JSON"),
            cron: "30 3 * * 0",
            time_zone: "UTC",
            missed: Missed::Once,
        },
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_built_in_may_be_scheduled_and_has_a_name_of_its_own() {
        let all = built_in();

        assert!(all.iter().all(|it| SCHEDULABLE.contains(&it.workflow)));
        let names: BTreeSet<_> = all.iter().map(|it| it.name).collect();
        assert_eq!(names.len(), all.len());
    }
}
