//! Any graph, any submission, anything that may happen.

use engine::clock::Timestamp;
use engine::decide::Happening;
use engine::gate::{Closed, GateId};
use engine::journal::{
    Action, Cause, ChildState, Failure, GraphStep, Json, Message, NodeId, Parent, PlanId,
    PlanResult, RefusedChild, Rescue, Submitted, Until, WantedChild,
};
use engine::lock::{LockMode, LockRequest, OnPause};
use engine::plan::{Family, Plan, StepStatus};
use engine::priority::Priority;
use engine::state::StepState;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

pub(super) const NODE: NodeId = NodeId(Uuid::from_u128(1));

pub(super) fn json(text: &str) -> Json {
    Json::of(&text).unwrap()
}

pub(super) fn graphs() -> impl Strategy<Value = Arc<[GraphStep]>> {
    let rescues = prop_oneof![
        4 => Just(Rescue::Pause),
        2 => Just(Rescue::Fail),
        2 => Just(Rescue::Revert),
        2 => Just(Rescue::Skip),
    ];
    let steps = (any::<u64>(), 1..4_u32, rescues, any::<u8>());
    prop::collection::vec(steps, 1..7).prop_map(|steps| {
        let step = |(place, (bits, attempts, rescue, kind)): (usize, (u64, u32, Rescue, u8))| {
            let before = |shift: u64| -> Vec<usize> {
                (0..place)
                    .filter(|before| bits >> shift >> before & 1 == 1)
                    .collect()
            };
            GraphStep {
                name: format!("step_{place}"),
                after: before(0),
                attempts,
                rescue,
                once: kind % 4 == 0,
                undoable: kind & 16 != 0,
                form: if kind & 8 != 0 { 2 } else { 1 },
                needs: (kind & 32 != 0).then(|| {
                    let needed = before(8);
                    before(0)
                        .into_iter()
                        .filter(|it| needed.contains(it))
                        .collect()
                }),
                gate: (kind & 64 != 0).then(|| "backend".into()),
            }
        };
        steps.into_iter().enumerate().map(step).collect()
    })
}

pub(super) fn submissions() -> impl Strategy<Value = Submitted> {
    let origin = (any::<u8>(), any::<u8>());
    let parts = (graphs(), 0..3_usize, any::<u64>(), origin);
    parts.prop_map(|(graph, locks, until, (origin, urgent))| Submitted {
        workflow: "any".into(),
        version: 1,
        action: "Any".into(),
        input: json("input"),
        locks: (0..locks)
            .map(|lock| LockRequest {
                resource: format!("resource {lock}"),
                mode: if until >> lock & 1 == 1 {
                    LockMode::Exclusive
                } else {
                    LockMode::Shared
                },
                until: (until >> (lock + 2) & 1 == 1).then_some(graph.len() / 2),
                on_pause: if until >> (lock + 4) & 1 == 1 {
                    OnPause::Release
                } else {
                    OnPause::Hold
                },
            })
            .collect(),
        graph,
        actor: (origin & 1 != 0).then(|| "alice".into()),
        organization: (origin & 2 != 0).then(|| "acme".into()),
        links: if origin & 4 != 0 {
            vec![("tag".into(), "latest".into())]
        } else {
            vec![]
        },
        cause: [
            None,
            Some(Cause::Client),
            Some(Cause::Duty),
            Some(Cause::Schedule),
        ][usize::from(origin >> 3 & 3)],
        parent: (origin & 32 != 0).then_some(Parent {
            plan: PlanId(Uuid::from_u128(8)),
            until: if origin & 64 != 0 {
                Until::Ended
            } else {
                Until::EndedOrStuck
            },
        }),
        revertible_for: (until & 1 << 9 != 0).then(|| Duration::from_secs(until & 1 << 10)),
        priority: [Priority::Background, Priority::Normal, Priority::Urgent]
            [usize::from(urgent % 3)],
    })
}

fn step_of_time(n: i64) -> usize {
    usize::try_from(n).unwrap_or_default()
}

/// What may happen next; the numbers choose among what fits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Try {
    Claim,
    ClaimAtRest,
    HandOver,
    Grant,
    GrantPlace,
    Succeed(usize),
    Suspend(usize),
    FailForNow(usize),
    FailForGood(usize),
    Wake(usize),
    Drop(usize),
    Lose(usize),
    Undo(usize),
    FailToUndoForNow(usize),
    FailToUndoForGood(usize),
    Resume,
    Cancel,
    Abort,
    Revert,
    Hold,
    Release,
    Skip(usize),
    SkipWithOutput(usize),
    ItHappened(usize),
    ItDidNot(usize),
    Supersede,
    RetryNow(usize),
    Await(usize),
    Tell,
    ResumeEdited,
    Spawn(usize),
    SubmitChildren(usize),
    RefuseChildren(usize),
    ChildMoves(usize),
    ChildGoesOn(usize),
    TakeTooLong(usize),
    Close(usize),
    TurnBack(usize),
    Pass(usize),
}

/// The gates that are not open after this choice; none: it is about something else.
pub(super) fn closed(choice: Try) -> Option<Closed> {
    let Try::Close(which) = choice else {
        return None;
    };
    let all = [
        GateId::Backend("backend".into()),
        GateId::Workflow("any".into()),
        GateId::Node(NODE),
    ];
    Some(Closed::these(all.into_iter().take(which).collect()))
}

pub(super) fn tries() -> impl Strategy<Value = Vec<Try>> {
    let step = 0..7_usize;
    let one = prop_oneof![
        1 => Just(Try::Claim),
        1 => Just(Try::ClaimAtRest),
        1 => Just(Try::HandOver),
        3 => Just(Try::Grant),
        3 => Just(Try::GrantPlace),
        8 => step.clone().prop_map(Try::Succeed),
        2 => step.clone().prop_map(Try::Suspend),
        2 => step.clone().prop_map(Try::FailForNow),
        1 => step.clone().prop_map(Try::FailForGood),
        3 => step.clone().prop_map(Try::Wake),
        1 => step.clone().prop_map(Try::Drop),
        1 => step.clone().prop_map(Try::Lose),
        3 => step.clone().prop_map(Try::Undo),
        1 => step.clone().prop_map(Try::FailToUndoForNow),
        2 => step.clone().prop_map(Try::FailToUndoForGood),
        2 => Just(Try::Resume),
        1 => Just(Try::Cancel),
        1 => Just(Try::Abort),
        2 => Just(Try::Revert),
        1 => Just(Try::Hold),
        1 => Just(Try::Release),
        3 => step.clone().prop_map(Try::Skip),
        1 => step.clone().prop_map(Try::SkipWithOutput),
        1 => step.clone().prop_map(Try::ItHappened),
        1 => step.clone().prop_map(Try::ItDidNot),
        1 => step.clone().prop_map(Try::Await),
        1 => Just(Try::Tell),
        1 => Just(Try::ResumeEdited),
        2 => step.clone().prop_map(Try::Spawn),
        3 => step.clone().prop_map(Try::SubmitChildren),
        1 => step.clone().prop_map(Try::RefuseChildren),
        3 => step.clone().prop_map(Try::ChildMoves),
        1 => step.clone().prop_map(Try::ChildGoesOn),
        1 => step.clone().prop_map(Try::TakeTooLong),
        1 => Just(Try::Supersede),
        1 => step.clone().prop_map(Try::RetryNow),
        2 => (0..4_usize).prop_map(Try::Close),
        1 => step.clone().prop_map(Try::TurnBack),
        2 => step.prop_map(Try::Pass),
    ];
    prop::collection::vec(one, 0..60)
}

#[expect(
    clippy::too_many_lines,
    reason = "one arm for each thing that may happen"
)]
pub(super) fn happening(plan: &Plan, choice: Try, n: i64) -> Option<Happening> {
    let count = plan.steps.len();
    let among = |at: usize, fits: fn(StepState) -> bool| {
        (0..count)
            .map(|step| (at + step) % count)
            .find(|step| fits(plan.steps[*step].state))
    };
    // A step with sub-tasks ends when it has gathered what came of them.
    let may_end = |at: usize| {
        (0..count).map(|step| (at + step) % count).find(|step| {
            let status = &plan.steps[*step];
            status.state.is_under_way() && !status.waits_for_children()
        })
    };
    let running: fn(StepState) -> bool = |state| state == StepState::Running;
    let once = |step: usize| plan.graph()[step].once;
    let form = |step: usize| plan.graph()[step].form;
    let being_undone = |at: usize| {
        (0..count)
            .map(|step| (at + step) % count)
            .find(|step| plan.steps[*step].is_being_undone())
    };
    let name = |step: usize| plan.graph()[step % count].name.clone();
    let failure = |transient| Failure::new("test", "it broke", transient);
    let mail = |action| Happening::Mail {
        n,
        message: Message {
            action,
            by: "me".into(),
            reason: None,
        },
    };
    let at = Timestamp(n);
    Some(match choice {
        Try::Claim => Happening::Claimed,
        Try::ClaimAtRest => Happening::ClaimedAtRest,
        Try::HandOver => Happening::HandedOver,
        Try::Grant => Happening::LocksGranted,
        Try::GrantPlace => Happening::PlaceGranted,
        Try::Succeed(step) => Happening::Succeeded {
            step: may_end(step)?,
            output: json(&format!("output {n}")),
            warning: (n % 16 == 0).then(|| "look at it".into()),
            form: form(may_end(step)?),
        },
        Try::Suspend(step) => Happening::Suspended {
            step: among(step, running)?,
            ticket: json("ticket"),
            wake_at: at,
            form: form(among(step, running)?),
        },
        Try::FailForNow(step) => Happening::Failed {
            step: may_end(step)?,
            error: failure(true),
            retry_at: at,
        },
        Try::FailForGood(step) => Happening::Failed {
            step: may_end(step)?,
            error: failure(false),
            retry_at: at,
        },
        // One that must not run twice is lost then.
        Try::TakeTooLong(step) => Happening::Failed {
            step: may_end(step).filter(|step| !once(*step))?,
            error: Failure::timeout(Duration::from_secs(1)),
            retry_at: at,
        },
        Try::Wake(step) => Happening::Woken { step: step % count },
        Try::Drop(step) if plan.cancelling => Happening::Dropped {
            step: among(step, running)?,
        },
        Try::Drop(step) if plan.aborting => Happening::Dropped {
            step: may_end(step).or_else(|| being_undone(step))?,
        },
        Try::Drop(_) | Try::Close(_) => return None,
        Try::Lose(step) => Happening::Lost {
            step: may_end(step).filter(|step| once(*step))?,
        },
        Try::Undo(step) => Happening::Undone {
            step: being_undone(step)?,
        },
        Try::FailToUndoForNow(step) => Happening::UndoFailed {
            step: being_undone(step)?,
            error: failure(true),
            retry_at: at,
        },
        Try::FailToUndoForGood(step) => Happening::UndoFailed {
            step: being_undone(step)?,
            error: failure(false),
            retry_at: at,
        },
        Try::Resume => mail(Action::Resume),
        Try::ResumeEdited => {
            let input = &plan.submitted.as_ref()?.input;
            let change = format!(
                r#"[{{"op":"test","path":"","value":{}}},{{"op":"replace","path":"","value":"input {n}"}}]"#,
                input.text()
            );
            mail(Action::ResumeEdited {
                change: serde_json::from_str(&change).unwrap(),
            })
        }
        Try::Cancel => mail(Action::Cancel),
        Try::Abort => mail(Action::Abort),
        Try::Revert => mail(Action::Revert),
        Try::Hold => mail(Action::Hold),
        Try::Release => mail(Action::Release),
        Try::Skip(step) => mail(Action::Skip {
            step: name(step),
            output: None,
        }),
        Try::SkipWithOutput(step) => mail(Action::Skip {
            step: name(step),
            output: Some(json("substitute")),
        }),
        Try::ItHappened(step) => mail(Action::Resolve {
            step: name(step),
            output: Some(json("it happened")),
        }),
        Try::Await(step) => Happening::Awaits {
            step: among(step, running)?,
            event: (step % 2 == 0).then(|| "told".into()),
            until: (step % 3 == 0).then_some(at),
        },
        Try::Tell => mail(Action::Event {
            name: "told".into(),
            payload: json(&format!("event {n}")),
        }),
        Try::Spawn(step) => Happening::Spawns {
            step: among(step, running)?,
            children: ["one", "other"]
                .map(|key| WantedChild {
                    key: key.into(),
                    workflow: "child".into(),
                    input: json(key),
                })
                .to_vec(),
            until: if step % 2 == 0 {
                Until::Ended
            } else {
                Until::EndedOrStuck
            },
            at_once: if n % 2 == 0 { 1 } else { 2 },
        },
        Try::SubmitChildren(from) | Try::RefuseChildren(from) => {
            let how_many_cannot_be = usize::from(matches!(choice, Try::RefuseChildren(_)));
            let family = |step: usize| plan.steps[step].family.as_ref();
            let submits = |step: &usize| {
                plan.steps[*step].state == StepState::Suspended
                    && family(*step).is_some_and(|it| !it.may_be_submitted().is_empty())
            };
            let step = (0..count).map(|step| (from + step) % count).find(submits)?;
            let family = family(step)?;
            let places = family.may_be_submitted().into_iter();
            let mut keys = places.map(|child| family.children[child].wanted.key.clone());
            let refused = keys.by_ref().take(how_many_cannot_be);
            let refused = refused.map(|key| RefusedChild {
                key,
                why: "its input is not read any more".into(),
            });
            Happening::Submitted {
                step,
                refused: refused.collect(),
                children: keys
                    .zip(1_u64..)
                    .map(|(key, place)| (key, PlanId(Uuid::from_u64_pair(n.unsigned_abs(), place))))
                    .collect(),
            }
        }
        // Those whose end was waited for only do so while it is waited for.
        Try::ChildGoesOn(at) => {
            let goes_on = |step: &&StepStatus| {
                let alone = |family: &Family| family.until == Until::EndedOrStuck;
                step.waits_for_children() || step.family.as_deref().is_some_and(alone)
            };
            let families = plan.steps.iter().filter(goes_on);
            let ended: Vec<PlanId> = families
                .filter_map(|step| step.family.as_ref())
                .flat_map(|family| &family.children)
                .filter(|child| child.state == ChildState::Ended(PlanResult::Error))
                .filter_map(|child| child.plan)
                .collect();
            mail(Action::ChildMoved {
                child: *ended.get(at % ended.len().max(1))?,
                state: ChildState::Open,
            })
        }
        Try::ChildMoves(at) => {
            let open: Vec<PlanId> = plan
                .children()
                .filter(|child| child.is_open())
                .filter_map(|child| child.plan)
                .collect();
            let states = [
                ChildState::Ended(PlanResult::Success),
                ChildState::Stuck,
                ChildState::Ended(PlanResult::Error),
                ChildState::Open,
                ChildState::Ended(PlanResult::Cancelled),
            ];
            mail(Action::ChildMoved {
                child: *open.get(at % open.len().max(1))?,
                state: states[(at + step_of_time(n)) % states.len()],
            })
        }
        Try::ItDidNot(step) => mail(Action::Resolve {
            step: name(step),
            output: None,
        }),
        Try::Supersede => mail(Action::Supersede {
            by: PlanId(Uuid::from_u128(9)),
        }),
        Try::RetryNow(step) => mail(Action::RetryNow { step: name(step) }),
        Try::TurnBack(step) => Happening::TurnedBack {
            step: may_end(step).or_else(|| being_undone(step))?,
            gate: GateId::Backend("backend".into()),
            error: failure(true),
            retry_at: at,
        },
        Try::Pass(step) => Happening::Passed { step: step % count },
    })
}
