//! All laws over a set of workflows that were made to be difficult.

mod contended;
mod fleet;
mod shapes;
mod suspended;
mod twins;
mod wide;
mod yard;

use engine::prove::laws::{self, Done, World};
use shapes::{chain, diamond, locked, once, optional, ordered, rescues};
use yard::Fresh;

/// Runs them all, tells what each did, and answers with the sum.
async fn all_laws<W: World>(name: &str) -> Done {
    let mut all = Done::default();
    macro_rules! hold {
        ($($law:ident)*) => { $(
            let done = laws::$law::<W>().await;
            println!("{name}: {}: {done:?}", stringify!($law));
            all += done;
        )* };
    }
    hold! {
        fail_at_each_step
        fail_after_each_step
        time_out_at_each_step
        run_each_step_twice
        crash_before_and_after_each_append
        crash_before_and_after_each_commit_of_several_steps
        skip_each_step
        hold_at_each_step
        hold_the_workflow_at_each_step
        cancel_at_each_step
        abort_at_each_step
        revert_at_each_step
        revert_when_finished
        undo_each_step_twice
        fail_to_undo_each_step
        accept_what_cannot_be_undone
        every_undoable_step_undoes_something
        crash_before_and_after_each_append_while_reverting
    }
    println!("{name}: {all:?}");
    all
}

/// It did at least so much: plans, bodies, compensations, faults, actions, effects that were there and not recorded.
#[track_caller]
fn at_least(done: Done, least: [usize; 6]) {
    let Done {
        plans,
        executions,
        compensations,
        faults,
        actions,
        unrecorded,
        ..
    } = done;
    let did = [
        plans,
        executions,
        compensations,
        faults,
        actions,
        unrecorded,
    ];
    assert!(
        did.iter().zip(least).all(|(did, least)| *did >= least),
        "{did:?} is less than {least:?}"
    );
}

/// So often at least it looked who holds which lock, saw one waited for, and saw one shared.
#[track_caller]
fn saw_locks(done: Done, least: [usize; 3]) {
    let saw = [done.looks, done.contended, done.shared];
    assert!(
        saw.iter().zip(least).all(|(saw, least)| *saw >= least),
        "{saw:?} is less than {least:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_diamond_keeps_all_laws() {
    let done = all_laws::<Fresh<diamond::Diamond>>("diamond").await;
    at_least(done, [125, 520, 195, 105, 105, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_fan_out_of_a_hundred_keeps_all_laws() {
    let done = all_laws::<Fresh<wide::Wide>>("wide").await;
    at_least(done, [94, 9400, 2850, 270, 70, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_every_kind_of_step_keeps_all_laws() {
    let done = all_laws::<Fresh<chain::Chain>>("chain").await;
    at_least(done, [175, 1000, 340, 155, 145, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_need_that_may_be_missing_keeps_all_laws() {
    let done = all_laws::<Fresh<optional::Optional>>("optional").await;
    at_least(done, [145, 730, 290, 125, 125, 7]);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_must_not_run_twice_keeps_all_laws() {
    let done = all_laws::<Fresh<once::Once>>("once").await;
    at_least(done, [120, 485, 160, 92, 100, 3]);
}

#[tokio::test(start_paused = true)]
async fn locks_that_end_early_or_outlast_a_pause_keep_all_laws() {
    let done = all_laws::<Fresh<locked::Locked>>("locked").await;
    at_least(done, [127, 515, 195, 107, 110, 4]);
}

#[tokio::test(start_paused = true)]
async fn branches_whose_failures_mean_different_things_keep_all_laws() {
    let done = all_laws::<Fresh<rescues::Rescues>>("rescues").await;
    at_least(done, [160, 960, 365, 147, 128, 4]);
}

#[tokio::test(start_paused = true)]
async fn work_elsewhere_that_must_not_be_begun_twice_keeps_all_laws() {
    let done = all_laws::<Fresh<ordered::Ordered>>("ordered").await;
    at_least(done, [123, 500, 187, 96, 110, 3]);
}

#[tokio::test(start_paused = true)]
async fn sub_tasks_with_locks_inside_and_beside_those_of_their_parent_keep_all_laws() {
    let done = all_laws::<Fresh<fleet::Fleet>>("fleet").await;
    at_least(done, [160, 1200, 75, 142, 92, 2]);
    saw_locks(done, [3000, 0, 130]);
}

#[tokio::test(start_paused = true)]
async fn who_wants_a_lock_alone_that_others_share_keeps_all_laws() {
    let done = all_laws::<Fresh<contended::Alone>>("alone").await;
    at_least(done, [124, 390, 126, 103, 86, 2]);
    saw_locks(done, [2200, 1000, 450]);
}

#[tokio::test(start_paused = true)]
async fn who_shares_a_lock_that_another_wants_alone_keeps_all_laws() {
    let done = all_laws::<Fresh<contended::Sharing>>("sharing").await;
    at_least(done, [132, 540, 206, 112, 112, 4]);
    saw_locks(done, [2100, 500, 450]);
}
