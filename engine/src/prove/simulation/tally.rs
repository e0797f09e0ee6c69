//! What runs really did, counted, and how much of each must have happened for many seeds to prove anything.

use std::fmt;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicUsize, Ordering};
use strum::{EnumCount, IntoEnumIterator};

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumIter, strum::EnumCount)]
#[strum(serialize_all = "snake_case")]
pub enum Deed {
    /// A plan was submitted, sub-tasks too.
    Plan,
    /// A row was written.
    Row,
    /// A body ran, undoing ones too.
    Execution,
    /// A call of the store was refused and did nothing.
    RefusedCall,
    /// A write was done, and who had called for it was told that nobody knows.
    UnknownCommit,
    /// An append was sent twice.
    DoubledCall,
    /// A call took up to one and a half times the lease.
    LateCall,
    /// Nobody was told that a lock is free.
    LostHint,
    /// A node stood still: none of its calls came back meanwhile.
    Stop,
    /// It did so for longer than its lease.
    StopBeyondLease,
    /// A node died.
    Crash,
    /// A node signed off and let end what was under way.
    Drain,
    /// A node did not come up because of the weather.
    FailedStart,
    /// A node began held, until a person released it.
    HeldStart,
    /// Another owner took a plan over.
    TakeOver,
    /// One whose owner had signed off.
    HandOver,
    /// A ticket was asked for.
    Poll,
    /// A step ended because its time had come.
    Timer,
    /// A step received its event.
    Event,
    /// A sub-task was submitted.
    SubTask,
    /// One of them is at work inside the locks of its parent.
    SubTaskInside,
    /// A step wanted a sub-task with a lock that its plan does not have, and was refused.
    RefusedSubTask,
    /// A parent heard that a sub-task is stuck.
    StuckSubTask,
    /// An attempt failed, and another one followed.
    Retry,
    /// A step failed for good.
    Failure,
    /// A step ran again because its owner was gone.
    Interruption,
    /// Nobody knew whether a step that must not run twice had happened.
    LostStep,
    /// A person said whether it had.
    Resolution,
    /// A step was skipped.
    Skip,
    /// A plan was paused.
    Pause,
    /// A plan was resumed.
    Resume,
    /// A plan was resumed with another input.
    Edit,
    /// A step ran with the input as a person had changed it.
    EditSeen,
    /// A plan was cancelled.
    Cancel,
    /// A plan was aborted.
    Abort,
    /// A plan was held.
    Hold,
    /// A plan was released.
    Release,
    /// A plan was reverted to its beginning.
    Revert,
    /// A step was undone.
    Undo,
    /// A step could not be undone.
    FailedUndo,
    /// An action of an operator was acknowledged.
    Action,
    /// An operator was told that his request is kept, and it was read later.
    KeptAction,
    /// A plan waited for a lock that another one had.
    LockWait,
    /// Two plans shared a lock.
    SharedLock,
    /// A plan waited for a place.
    PlaceWait,
    /// A plan got a place before one that had waited for longer and was less urgent.
    Overtaking,
    /// A step waited at a gate that was not open.
    AtGate,
    /// An attempt failed at such a gate, and did not count.
    TurnedBack,
    /// A gate was closed by a person, who was told so.
    Closure,
    /// The begin of a step was held against those.
    LookAtGates,
    /// A run of a schedule.
    Scheduled,
    /// A plan was deleted after its end, while others were under way.
    Forgotten,
}

/// How often each deed was done.
#[derive(Clone, Copy, Debug)]
pub struct Did([usize; Deed::COUNT]);

impl Default for Did {
    fn default() -> Self {
        Self([0; Deed::COUNT])
    }
}

impl Did {
    /// How often this was done.
    #[must_use]
    pub fn count(&self, deed: Deed) -> usize {
        self.0[deed as usize]
    }

    /// What was done less often than so many seeds must have done it: nothing may be missing altogether.
    #[must_use]
    pub fn too_few(&self, seeds: usize) -> Vec<String> {
        let few = Deed::iter().filter_map(|deed| {
            let (did, least) = (self.count(deed), deed.least(seeds));
            (did < least).then(|| format!("{deed}: {did}, and at least {least} are wanted"))
        });
        few.collect()
    }
}

impl AddAssign for Did {
    fn add_assign(&mut self, other: Self) {
        for (one, other) in self.0.iter_mut().zip(other.0) {
            *one += other;
        }
    }
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, deed) in Deed::iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{deed} {}", self.count(deed))?;
        }
        Ok(())
    }
}

impl Deed {
    /// So often at least it must have happened in so many seeds, and once at least.
    fn least(self, seeds: usize) -> usize {
        (self.least_in_ten_thousand() * seeds / 10_000).max(1)
    }

    /// About half of what happens.
    const fn least_in_ten_thousand(self) -> usize {
        match self {
            Self::Row => 600_000,
            Self::Execution => 200_000,
            Self::Plan => 100_000,
            Self::LookAtGates => 300_000,
            Self::RefusedCall | Self::LateCall | Self::Scheduled => 40_000,
            Self::Poll | Self::SubTask | Self::Retry | Self::LockWait => 30_000,
            Self::TakeOver | Self::PlaceWait | Self::AtGate | Self::Forgotten => 20_000,
            Self::UnknownCommit
            | Self::Stop
            | Self::Crash
            | Self::Drain
            | Self::HandOver
            | Self::Timer
            | Self::SubTaskInside
            | Self::StuckSubTask
            | Self::Failure
            | Self::Pause
            | Self::Resume
            | Self::Action
            | Self::SharedLock => 10_000,
            Self::DoubledCall
            | Self::Closure
            | Self::StopBeyondLease
            | Self::Revert
            | Self::Undo => 6_000,
            Self::LostHint
            | Self::FailedStart
            | Self::HeldStart
            | Self::Interruption
            | Self::Cancel => 3_000,
            Self::Abort | Self::Hold | Self::Release => 1_800,
            Self::RefusedSubTask | Self::Edit | Self::KeptAction | Self::TurnedBack => 1_000,
            Self::Event | Self::EditSeen => 800,
            Self::Skip => 600,
            Self::LostStep | Self::Resolution | Self::FailedUndo => 350,
            Self::Overtaking => 150,
        }
    }
}

/// Where a run counts.
#[derive(Debug)]
pub(super) struct Tally([AtomicUsize; Deed::COUNT]);

impl Default for Tally {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicUsize::new(0)))
    }
}

impl Tally {
    pub(super) fn note(&self, deed: Deed) {
        self.add(deed, 1);
    }

    pub(super) fn add(&self, deed: Deed, times: usize) {
        self.0[deed as usize].fetch_add(times, Ordering::Relaxed);
    }

    pub(super) fn did(&self) -> Did {
        let mut did = Did::default();
        for (to, from) in did.0.iter_mut().zip(&self.0) {
            *to = from.load(Ordering::Relaxed);
        }
        did
    }
}
