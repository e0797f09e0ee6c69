//! A parent that waits for the ends of its sub-tasks, which are at work inside its locks; and whose input people change.

use super::tally::Deed;
use super::world::{QUICK, World, organization_of, priority_of};
use crate::journal::{Json, Rescue};
use crate::lock::{Lock, LockMode, OnPause};
use crate::priority::Priority;
use crate::step::{Child, ContextOf, Declared, Policy, SpawningStep, Step, StepError, Until};
use crate::workflow::{Steps, Workflow, after};
use serde::{Deserialize, Serialize};

/// The parent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct House {
    pub(super) n: u32,
    /// What people change.
    pub(super) note: u32,
}

/// One of its sub-tasks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Room {
    of: u32,
    room: u32,
}

fn alone(n: u32) -> String {
    format!("s{}", n % 2)
}

fn together(n: u32) -> String {
    format!("r{}", n % 3)
}

impl Workflow for House {
    const NAME: &'static str = "house";
    const VERSION: u32 = 1;
    type Services = World;

    fn steps() -> Steps<Self> {
        Steps::first(Begins)
            .step(Rooms, after::<Begins>())
            .step(Closes, after::<Rooms>())
    }

    fn action(&self) -> String {
        format!("House {}", self.n)
    }

    fn locks(&self) -> Vec<Lock> {
        // One ends with the step that has the sub-tasks, the other later.
        vec![
            Lock::exclusive(alone(self.n))
                .until::<Closes>()
                .on_pause(OnPause::Release),
            Lock::shared(together(self.n))
                .until::<Rooms>()
                .on_pause(OnPause::Release),
        ]
    }

    fn priority(&self) -> Priority {
        priority_of(self.n)
    }

    fn organization(&self) -> Option<String> {
        organization_of(self.n)
    }

    fn editable() -> &'static [&'static str] {
        &["note"]
    }
}

impl Workflow for Room {
    const NAME: &'static str = "room";
    const VERSION: u32 = 1;
    type Services = World;

    fn steps() -> Steps<Self> {
        Steps::first(Furnishes)
    }

    fn action(&self) -> String {
        format!("Room {} of house {}", self.room, self.of)
    }

    fn locks(&self) -> Vec<Lock> {
        vec![match self.room {
            0 => Lock::exclusive(alone(self.of)),
            1 => Lock::shared(together(self.of)),
            2 => Lock::shared(alone(self.of)),
            _ => Lock::exclusive("the street"), // which is no part of the house
        }]
    }
}

/// The locks inside which a sub-task is at work; none: it is no room.
pub(super) fn locks_of_room(input: &Json) -> Vec<(String, LockMode)> {
    let Ok(room) = input.decode::<Room>() else {
        return Vec::new();
    };
    let locks = room.locks().into_iter();
    locks.map(|lock| (lock.resource, lock.mode)).collect()
}

/// What a step of this name tells of such an input; none: it does not tell of any.
pub(super) fn note_told_by(step: &str, input: &Json) -> Option<u32> {
    if step != Closes::NAME {
        return None;
    }
    Some(input.decode::<House>().ok()?.note)
}

pub(super) fn register(
    workflows: crate::node::Workflows<World>,
) -> Result<crate::node::Workflows<World>, crate::workflow::DeclarationError> {
    workflows.register::<House>()?.register::<Room>()
}

struct Begins;
impl Declared for Begins {
    const NAME: &'static str = "house_begins";
    const POLICY: Policy = QUICK.undoable();
    type Workflow = House;
    type Needs = ();
    type Output = u32;
}

impl Step for Begins {
    async fn run(&self, cx: &ContextOf<Self>, house: &House, (): ()) -> Result<u32, StepError> {
        cx.services.change((cx.plan(), Self::NAME)).await?;
        Ok(house.n)
    }

    async fn compensate(&self, cx: &ContextOf<Self>, _: &House, _: u32) -> Result<(), StepError> {
        cx.services.undo((cx.plan(), Self::NAME)).await
    }
}

struct Rooms;
impl Declared for Rooms {
    const NAME: &'static str = "rooms";
    const POLICY: Policy = QUICK;
    type Workflow = House;
    type Needs = Begins;
    type Output = u32;
}

impl SpawningStep for Rooms {
    type Child = Room;
    const UNTIL: Until = Until::Ended;
    const AT_ONCE: u32 = 2;

    async fn children(
        &self,
        cx: &ContextOf<Self>,
        house: &House,
        _: u32,
    ) -> Result<Vec<(String, Room)>, StepError> {
        cx.services.trouble()?;
        let room = |room| (format!("room {room}"), Room { of: house.n, room });
        let mut rooms: Vec<_> = (0..=house.n % 3).map(room).collect();
        if cx.services.is_troubled() && cx.services.dice.below(6) == 0 {
            // It is refused, and its step fails for good.
            cx.services.tally.note(Deed::RefusedSubTask);
            rooms.push(room(3));
        }
        Ok(rooms)
    }

    async fn gather(
        &self,
        cx: &ContextOf<Self>,
        _: &House,
        rooms: &[Child],
    ) -> Result<u32, StepError> {
        cx.services.trouble()?;
        // Who failed or was cancelled has another try.
        match rooms.iter().filter(|room| !room.is_done()).count() {
            0 => Ok(u32::try_from(rooms.len()).unwrap_or(u32::MAX)),
            left => Err(StepError::permanent(format!("{left} rooms are not done"))),
        }
    }
}

struct Closes;
impl Declared for Closes {
    const NAME: &'static str = "house_closes";
    const POLICY: Policy = QUICK.undoable();
    type Workflow = House;
    type Needs = ();
    type Output = u32;
}

impl Step for Closes {
    async fn run(&self, cx: &ContextOf<Self>, house: &House, (): ()) -> Result<u32, StepError> {
        cx.services.change((cx.plan(), Self::NAME)).await?;
        Ok(house.note)
    }

    async fn compensate(&self, cx: &ContextOf<Self>, _: &House, _: u32) -> Result<(), StepError> {
        cx.services.undo((cx.plan(), Self::NAME)).await
    }
}

struct Furnishes;
impl Declared for Furnishes {
    const NAME: &'static str = "room_furnishes";
    const POLICY: Policy = QUICK.undoable().rescue(Rescue::Fail);
    type Workflow = Room;
    type Needs = ();
    type Output = u32;
}

impl Step for Furnishes {
    async fn run(&self, cx: &ContextOf<Self>, room: &Room, (): ()) -> Result<u32, StepError> {
        cx.services.change((cx.plan(), Self::NAME)).await?;
        Ok(room.room)
    }

    async fn compensate(&self, cx: &ContextOf<Self>, _: &Room, _: u32) -> Result<(), StepError> {
        cx.services.undo((cx.plan(), Self::NAME)).await
    }
}
