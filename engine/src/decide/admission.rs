//! Whether steps may begin now: gates stand before them, and not all plans that want can be at work at once.

use super::{Happening, Writer};
use crate::gate::Closed;
use crate::journal::{Entry, StepIndex};
use crate::plan::Plan;
use crate::state::Refused;

/// What a plan finds that wants to begin a step.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    /// Whether there is a place for it.
    pub place: Place,
    /// The gates that are not open: nothing begins that goes through one of them, until it has passed.
    pub closed: Closed,
}

/// Whether one more plan may be at work on the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// There is a place for it, or it has one.
    #[default]
    Free,
    /// As many are at work as may be: where a step would begin, the plan asks for a place instead.
    Taken,
}

impl Admission {
    /// The same for this plan. While it waits for a place it begins nothing, whatever happens meanwhile.
    pub(super) fn of(&self, plan: &Plan, happening: &Happening) -> Self {
        let grants = matches!(
            happening,
            Happening::PlaceGranted | Happening::Claimed | Happening::HandedOver
        );
        let rests = matches!(happening, Happening::ClaimedAtRest);
        let has_place = self.place == Place::Free && !rests && (grants || !plan.waits_for_place());
        Self {
            place: if has_place { Place::Free } else { Place::Taken },
            closed: self.closed.clone(),
        }
    }
}

impl Writer {
    /// True if the step may begin, or be undone, now. Otherwise it waits at a gate, or the plan for a place.
    pub(super) fn may_begin(&mut self, step: StepIndex) -> Result<bool, Refused> {
        Ok(self.may_pass(step)? && self.has_place()?)
    }

    /// True if the plan has a place; otherwise it asks for one.
    pub(super) fn has_place(&mut self) -> Result<bool, Refused> {
        let has_place = self.admission.place == Place::Free;
        if !has_place && self.next.place_asked.is_none() {
            self.write(Entry::PlaceAsked)?;
        }
        Ok(has_place)
    }

    /// It waits for a place no more, if there is one for it.
    pub(super) fn take_place(&mut self) -> Result<(), Refused> {
        if self.admission.place == Place::Free && self.next.waits_for_place() {
            self.write(Entry::PlaceGranted)?;
            self.wake_what_is_due()?;
        }
        Ok(())
    }
}
