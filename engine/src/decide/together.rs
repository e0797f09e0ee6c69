//! What more happens before a decision is written goes into the same row.

use super::{Admission, Decision, Happening, decide_with};
use crate::journal::NodeId;
use crate::state::Refused;

impl Decision {
    /// This decision, and what follows when `happening` happens too, at the same time: one row. Refused: this decision alone.
    pub fn and(
        &mut self,
        admission: &Admission,
        happening: Happening,
        node: NodeId,
    ) -> Result<(), Refused> {
        let before = self.next.seq;
        if !self.entries.is_empty() {
            self.next.seq -= 1; // of both it is the next row
        }
        match decide_with(admission, &self.next, happening, self.at, node) {
            Ok(more) if !more.entries.is_empty() => {
                self.entries.extend(more.entries);
                self.notices.extend(more.notices);
                self.refused = more.refused.or(self.refused.take());
                self.next = more.next;
                Ok(())
            }
            Ok(_) => {
                self.next.seq = before;
                Ok(())
            }
            Err(refused) => {
                self.next.seq = before;
                Err(refused)
            }
        }
    }
}
