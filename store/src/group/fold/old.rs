//! Rows older than the repeat filter remembers: the store says which of them it has.

use hashbrown::HashSet;

use super::Fold;
use crate::group::{LocationRow, ObservationRow};

impl Fold {
    /// Says which of the old rows the store has: the others are written. Equal rows among them are written once.
    ///
    /// # Panics
    /// When the answers are not as many as the rows asked for.
    pub fn settle_old(&mut self, observations_stored: &[bool], locations_stored: &[bool]) {
        assert_eq!(observations_stored.len(), self.now.old_observations.len(), "an answer for each old observation");
        assert_eq!(locations_stored.len(), self.now.old_locations.len(), "an answer for each old location");
        // A group may span minutes: a row that was new at its beginning can have passed the horizon by its end, and come again.
        let mut written = self.old_prints_written();
        for (row, &stored) in std::mem::take(&mut self.now.old_observations).iter().zip(observations_stored) {
            if !stored && written.insert(self.observation_print(row)) {
                self.now.group.observations.push(*row);
            } else {
                self.now.tally.repeats += 1;
            }
        }
        for (row, &stored) in std::mem::take(&mut self.now.old_locations).iter().zip(locations_stored) {
            if !stored && written.insert(self.location_print(row)) {
                self.now.group.locations.push(*row);
            } else {
                self.now.tally.location_repeats += 1;
            }
        }
    }

    /// The fingerprints of those rows of the group that the filter has forgotten by now.
    fn old_prints_written(&mut self) -> HashSet<u64> {
        let mut written = HashSet::new();
        for at in 0..self.now.group.observations.len() {
            let row = self.now.group.observations[at];
            if self.filter.is_old(row.observed_at) {
                written.insert(self.observation_print(&row));
            }
        }
        for at in 0..self.now.group.locations.len() {
            let row = self.now.group.locations[at];
            if self.filter.is_old(row.observed_at) {
                written.insert(self.location_print(&row));
            }
        }
        written
    }

    pub(super) fn observation_print(&mut self, row: &ObservationRow) -> u64 {
        let ssid = self.text_hash(row.ssid);
        self.filter.observation(self.now.source_hashes[row.source as usize], ssid, row)
    }

    pub(super) fn location_print(&mut self, row: &LocationRow) -> u64 {
        let floor = [self.text_hash(row.floor_plan), self.text_hash(row.floor_plan_name)];
        self.filter.location(self.now.source_hashes[row.source as usize], floor, row)
    }
}
