//! Small awkward workflows: each has what others find hard.

use super::yard::{Sample, Yard, step};
use engine::journal::Rescue;
use engine::lock::{Lock, OnPause};
use engine::step::Policy;
use engine::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const UNDOABLE: Policy = Policy::idempotent().undoable();

macro_rules! workflow {
    ($workflow:ident $name:literal, $steps:expr $(, $also:item)*) => {
        $crate::it::awkward::shapes::workflow!(bare $workflow $name, $steps $(, $also)*);

        impl Sample for $workflow {
            fn sample() -> Self {
                Self
            }
        }
    };
    (bare $workflow:ident $name:literal, $steps:expr $(, $also:item)*) => {
        #[derive(Serialize, Deserialize)]
        pub(in crate::it::awkward) struct $workflow;

        impl Workflow for $workflow {
            const NAME: &'static str = $name;
            const VERSION: u32 = 1;
            type Services = Yard;

            fn steps() -> Steps<Self> {
                $steps
            }

            fn action(&self) -> String {
                stringify!($workflow).into()
            }

            $($also)*
        }
    };
}
pub(super) use workflow;

/// Two branches of different kinds between a first and a last step; its success can be reverted for an hour.
pub(super) mod diamond {
    use super::*;

    workflow!(
        Diamond "diamond",
        Steps::first(First)
            .step(Left, after::<First>())
            .step(Right, after::<First>())
            .step(Last, after::<(Left, Right)>()),
        fn revertible_for() -> Option<Duration> {
            Some(Duration::from_hours(1))
        }
    );
    step!(plain First "first" of Diamond, needs (), UNDOABLE);
    step!(transactional Left "left" of Diamond, needs First, UNDOABLE);
    step!(polling Right "right" of Diamond, needs First, UNDOABLE);
    step!(plain Last "last" of Diamond, needs (Left, Right), UNDOABLE);
}

/// Every kind of step after every other one.
pub(super) mod chain {
    use super::*;

    workflow!(
        Chain "chain",
        Steps::first(One)
            .step(Two, after::<One>())
            .step(Three, after::<Two>())
            .step(Four, after::<Three>())
            .step(Five, after::<Four>())
            .step(Six, after::<Five>())
    );
    step!(transactional One "one" of Chain, needs (), UNDOABLE);
    step!(polling Two "two" of Chain, needs One, UNDOABLE);
    step!(plain Three "three" of Chain, needs Two, UNDOABLE);
    step!(polling Four "four" of Chain, needs (One, Three), UNDOABLE);
    step!(transactional Five "five" of Chain, needs Four, UNDOABLE);
    step!(transactional Six "six" of Chain, needs Five, UNDOABLE);
}

/// A step that may be missing: one after it can do without its output, another cannot.
pub(super) mod optional {
    use super::*;

    workflow!(
        Optional "optional",
        Steps::first(First)
            .step(Maybe, after::<First>())
            .step(Tolerant, after::<Maybe>())
            .step(Strict, after::<Maybe>())
            .step(Last, after::<(Tolerant, Strict)>()),
        fn revertible_for() -> Option<Duration> {
            Some(Duration::from_hours(1))
        }
    );
    step!(plain First "first" of Optional, needs (), UNDOABLE);
    step!(plain Maybe "maybe" of Optional, needs First, UNDOABLE.rescue(Rescue::Skip));
    step!(transactional Tolerant "tolerant" of Optional, needs Option<Maybe>, UNDOABLE);
    step!(plain Strict "strict" of Optional, needs Maybe, UNDOABLE);
    step!(plain Last "last" of Optional, needs (Tolerant, Option<Strict>), UNDOABLE);
}

/// A step in the middle that must not run twice, beside one that may.
pub(super) mod once {
    use super::*;

    workflow!(
        Once "once",
        Steps::first(Prepare)
            .step(Charge, after::<Prepare>())
            .step(Pack, after::<Prepare>())
            .step(Receipt, after::<(Charge, Pack)>())
    );
    step!(plain Prepare "prepare" of Once, needs (), UNDOABLE);
    step!(once Charge "charge" of Once, needs Prepare, Policy::once().undoable());
    step!(polling Pack "pack" of Once, needs Prepare, UNDOABLE);
    step!(transactional Receipt "receipt" of Once, needs (Charge, Pack), UNDOABLE);
}

/// Work that must not be begun twice goes on elsewhere, and is asked for.
pub(super) mod ordered {
    use super::*;
    use engine::step::{Begun, ContextOf, Polled, PollingStep, StepError};

    workflow!(
        Ordered "ordered",
        Steps::first(Choose)
            .step(Order, after::<Choose>())
            .step(Reserve, after::<Choose>())
            .step(Receive, after::<(Order, Reserve)>()),
        fn revertible_for() -> Option<Duration> {
            Some(Duration::from_hours(1))
        }
    );
    step!(plain Choose "choose" of Ordered, needs (), UNDOABLE);
    step!(declared Order "order" of Ordered, needs Choose, Policy::once().undoable());
    step!(polling Reserve "reserve" of Ordered, needs Choose, UNDOABLE);
    step!(transactional Receive "receive" of Ordered, needs (Order, Reserve), UNDOABLE);

    impl PollingStep for Order {
        type Ticket = String;

        /// A second order is seen.
        async fn start(
            &self,
            cx: &ContextOf<Self>,
            _: &Ordered,
            _: u32,
        ) -> Result<Begun<u32, String>, StepError> {
            cx.services.add("order");
            Ok(Begun::Ticket(cx.idempotency_key().to_string()))
        }

        async fn poll(
            &self,
            cx: &ContextOf<Self>,
            _: &Ordered,
            ticket: &String,
        ) -> Result<Polled<u32>, StepError> {
            Ok(if cx.services.is_done(ticket) {
                Polled::Done(1)
            } else {
                Polled::Wait(Duration::from_millis(1))
            })
        }

        async fn compensate(
            &self,
            cx: &ContextOf<Self>,
            _: &Ordered,
            _: u32,
        ) -> Result<(), StepError> {
            cx.services.take("order");
            Ok(())
        }
    }
}

/// Locks of both modes, of which one ends early, one is kept over a pause and one is not.
pub(super) mod locked {
    use super::*;

    workflow!(
        Locked "locked",
        Steps::first(Enter)
            .step(Unload, after::<Enter>())
            .step(Clear, after::<Unload>())
            .step(Leave, after::<Clear>()),
        fn locks(&self) -> Vec<Lock> {
            vec![
                Lock::shared("harbour").on_pause(OnPause::Hold),
                Lock::exclusive("berth").until::<Clear>().on_pause(OnPause::Release),
                Lock::exclusive("crane").until::<Unload>().on_pause(OnPause::Hold),
            ]
        },
        fn revertible_for() -> Option<Duration> {
            Some(Duration::from_hours(1))
        }
    );
    step!(plain Enter "enter" of Locked, needs (), UNDOABLE);
    step!(polling Unload "unload" of Locked, needs Enter, UNDOABLE);
    step!(transactional Clear "clear" of Locked, needs Unload, UNDOABLE);
    step!(plain Leave "leave" of Locked, needs Clear, UNDOABLE);
}

/// Branches whose failures mean different things; some leave nothing behind.
pub(super) mod rescues {
    use super::*;

    workflow!(
        Rescues "rescues",
        Steps::first(Root)
            .step(Reverts, after::<Root>())
            .step(Ends, after::<Root>())
            .step(Skips, after::<Root>())
            .step(AfterSkips, after::<Skips>())
            .step(Join, after::<(Reverts, Ends, AfterSkips)>())
    );
    step!(transactional Root "root" of Rescues, needs (), UNDOABLE);
    step!(plain Reverts "reverts" of Rescues, needs Root, UNDOABLE.rescue(Rescue::Revert));
    step!(polling Ends "ends" of Rescues, needs Root, UNDOABLE.rescue(Rescue::Fail));
    step!(transactional Skips "skips" of Rescues, needs Root, UNDOABLE.rescue(Rescue::Skip));
    step!(plain AfterSkips "after_skips" of Rescues, needs Skips, UNDOABLE);
    step!(plain Join "join" of Rescues, needs (Reverts, Ends, Option<AfterSkips>), UNDOABLE);
}
