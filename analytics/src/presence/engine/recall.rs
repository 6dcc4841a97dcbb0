//! What the engine is told beside observations: what the store had of an earlier process, and the tags of access points.

use store::batch::{Batch, Radio};
use store::group::Group;
use store::presence::{Scope, StoredMember};

use super::Engine;
use crate::presence::site::Member;

impl Engine {
    /// Tells how far things had come, from the store. Gives the scopes whose rows were made by another definition than now holds.
    pub fn recall(&mut self, scopes: &[Scope]) -> Vec<Scope> {
        let mut other = Vec::new();
        for scope in scopes {
            for live in self.lives.iter().filter(|live| live.name == scope.profile) {
                self.sites.recall(&scope.site, live.pace, scope.watermark, scope.covered_minute);
                // None of a site that nothing leads to any more.
                if self.sites.definition_of(&scope.site, &live.profile).is_some_and(|definition| definition != scope.definition) {
                    other.push(scope.clone());
                }
            }
        }
        other
    }

    /// Tells who belonged to zones of tags, from the store.
    pub fn recall_members(&mut self, members: &[StoredMember]) {
        if !self.sites.has_tags() {
            return;
        }
        for StoredMember { site, zone, ap, since, until } in members {
            self.sites.recall_member(site, zone, Member { ap: *ap, since: *since, until: *until });
        }
    }

    /// Tells what earlier processes had taken in lately, from the store: whoever gets a tag now has it from then on.
    pub fn recall_newest(&mut self, group: &Group) {
        if !self.sites.has_tags() {
            return;
        }
        let mut newest = vec![i64::MIN; group.sources.len()];
        group.observations.iter().for_each(|row| newest[row.source as usize] = newest[row.source as usize].max(row.observed_at));
        for (source, newest) in group.sources.iter().zip(newest).filter(|(_, newest)| *newest > i64::MIN) {
            let Some(receiver) = group.texts.get(source.receiver).filter(|_| source.radio == Radio::Wifi) else { continue };
            let site = self.sites.link_of(receiver, group.texts.get(source.network)).0;
            self.sites.recall_newest(site, newest);
        }
    }

    /// Takes in what a post says of the tags of access points, before what it observed.
    pub fn tag(&mut self, batch: &Batch) {
        if batch.access_points.is_empty() || !self.sites.has_tags() {
            return;
        }
        let site = self.sites.link_of(&batch.receiver, batch.texts.get(batch.network)).0;
        for told in &batch.access_points {
            if let Some(tags) = batch.texts.get(told.tags) {
                self.sites.tag(site, told.mac, tags, batch.received_at_ms.div_euclid(1_000));
            }
        }
    }
}
