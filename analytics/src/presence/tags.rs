//! Zones that are made of tags: an access point belongs to one for as long as posts say that it has a tag of it.

use hashbrown::HashMap;
use store::mac::Mac;

use super::site::{Member, Zone};

/// The tags of a site's zones, and those that its access points were last told to have.
#[derive(Default)]
pub(super) struct Tags {
    /// Beside each zone of the site; empty where a list makes it.
    of_zones: Vec<Vec<String>>,
    told: HashMap<Mac, String>,
}

impl Tags {
    pub(super) fn new(of_zones: impl Iterator<Item = Vec<String>>) -> Self {
        Self { of_zones: of_zones.collect(), told: HashMap::new() }
    }

    /// Whether tags make a zone, by its place among the site's.
    pub(super) fn makes(&self, zone: usize) -> bool {
        !self.of_zones[zone].is_empty()
    }

    /// Takes in what tags an access point has, a JSON array of strings; whether that is new and of use.
    pub(super) fn tell(&mut self, ap: Mac, tags: &str) -> bool {
        if self.of_zones.iter().all(Vec::is_empty) || self.told.get(&ap).is_some_and(|told| told == tags) {
            return false;
        }
        self.told.insert(ap, tags.to_owned());
        true
    }

    /// From a second on an access point belongs to the zones of its tags and to no other that tags make; whether that changes anything.
    pub(super) fn follow(&self, ap: Mac, at: i64, zones: &mut [Zone]) -> bool {
        let tags: Vec<String> = self.told.get(&ap).and_then(|told| serde_json::from_str(told).ok()).unwrap_or_default();
        let mut has_changed = false;
        for (zone, made_of) in zones.iter_mut().zip(&self.of_zones).filter(|(_, made_of)| !made_of.is_empty()) {
            if zone.members.contains(&Member::always(ap)) {
                continue;
            }
            let belongs = made_of.iter().any(|tag| tags.contains(tag));
            let now = zone.members.iter().position(|member| member.ap == ap && member.until == i64::MAX);
            match now {
                Some(now) if !belongs => {
                    zone.members[now].until = at;
                    // One that did not last is none.
                    if zone.members[now].since >= at {
                        zone.members.swap_remove(now);
                    }
                    has_changed = true;
                }
                None if belongs => {
                    zone.members.push(Member { ap, since: at, until: i64::MAX });
                    has_changed = true;
                }
                _ => {}
            }
        }
        has_changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_point_belongs_while_it_has_a_tag() {
        let (ap, listed) = (Mac::from_bits(7), Mac::from_bits(8));
        let mut zones = [Zone { number: 0, members: vec![Member::always(listed)] }, Zone { number: 1, members: Vec::new() }];
        let mut tags = Tags::new([vec!["food".to_owned(), "drink".to_owned()], Vec::new()].into_iter());
        let mut told = |ap: Mac, text: &str, at: i64, zones: &mut [Zone]| tags.tell(ap, text) && tags.follow(ap, at, zones);
        assert!(told(ap, r#"["floor 1","drink"]"#, 100, &mut zones));
        assert!(!told(ap, r#"["floor 1","drink"]"#, 160, &mut zones), "told again");
        assert!(!told(ap, r#"["food"]"#, 220, &mut zones), "another tag of the same zone");
        assert!(told(ap, "[]", 280, &mut zones));
        assert!(told(ap, r#"["food"]"#, 340, &mut zones));
        assert!(!told(listed, "[]", 340, &mut zones), "a list is a list");
        let spans: Vec<(i64, i64)> = zones[0].members.iter().filter(|member| member.ap == ap).map(|member| (member.since, member.until)).collect();
        assert_eq!(spans, [(100, 280), (340, i64::MAX)]);
        assert!(zones[0].has(listed, 0) && zones[0].has(ap, 279) && !zones[0].has(ap, 280) && zones[1].members.is_empty());
        // Nothing is left of what came and went at once.
        assert!(told(ap, "[]", 340, &mut zones));
        assert_eq!(zones[0].members.iter().filter(|member| member.ap == ap).count(), 1);
    }
}
