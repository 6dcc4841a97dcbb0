//! The truth file: who was really where, in JSON lines, for whoever wants to judge what a receiver made of the posts.
//!
//! Four kinds of record, told apart by `record`; times are ISO 8601 in UTC and whole seconds, intervals contain their `from` and not
//! their `to`:
//!
//! * `access_point` (once each, first): `site, network, ap, floor, x_m, y_m`.
//! * `stay`: one client had one access point as the nearest of its floor for a while. `client` (MAC), `radio`, `kind` (visitor,
//!   passer_by, staff, fixture), `person` (devices of one person share it), `site`, `network`, `from`, `to`, `nearest_ap`, `floor`,
//!   `x_m`, `y_m` (mean position), `inside` (within the building), `told` (whether this dialect tells the client at all). The
//!   stays of a visit follow each other without gap. Occupancy of an access point at any time is the number of stays that contain it.
//! * `visit`: a client's whole time at the site, written when it ends. As a stay, without the place, and with `dwell_s`, `associated`,
//!   `random_address`, `second` (of each minute, at which a perfect radio hears it), `hearings` (moments in which at least one access point
//!   heard it) and `cut` (true when it was there before the simulation began or after it ended, so that arrival or departure are not
//!   real).
//! * `site` (once each, last): `site, network, radio_model, from, to`. Without it the simulation did not end.
//!
//! Positions are looked at every second. Lines of one site stand in the order in which they ended; lines of several
//! sites are mixed.

use std::collections::BTreeMap;

use super::RadioModel;
use super::devices::Identity;
use super::people::Person;
use super::plan::{Plan, Point};
use super::post::Json;

/// Seconds between two looks at a position.
const STEP_S: i64 = 1;

/// What a person does at the moment: near which access point, since when.
struct Stretch {
    from: i64,
    nearest: usize,
    inside: bool,
    last: Point,
    sum: (f64, f64),
    samples: u32,
}

/// Collects the truth of one site.
pub(super) struct Truth {
    json: Json,
    /// By the person's number.
    stretches: BTreeMap<u64, Stretch>,
}

impl Truth {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut json = Json::default();
        for access_point in &plan.access_points {
            json.raw("{\"record\":\"access_point\",\"site\":").text(&plan.name).raw(",\"network\":").text(&plan.network);
            json.raw(",\"ap\":").mac(access_point.mac).raw(",\"floor\":").value(access_point.at.floor);
            json.raw(",\"x_m\":").value(centimetres(access_point.at.x)).raw(",\"y_m\":").value(centimetres(access_point.at.y)).raw("}\n");
        }
        Self { json, stretches: BTreeMap::new() }
    }

    /// Looks where a person is throughout a minute.
    pub(super) fn watch(&mut self, person: &Person, begin: i64, end: i64, plan: &Plan, told: impl Fn(&Identity) -> bool) {
        let mut time = begin.max(person.route.arrived);
        while time < end {
            let Some(point) = person.route.at(time) else { break };
            self.look(person, time, point, plan, &told);
            time += STEP_S;
        }
    }

    /// Ends what is known of a person who has left, or who is still there when everything ends.
    pub(super) fn leave(&mut self, person: &Person, end: i64, plan: &Plan, told: impl Fn(&Identity) -> bool) {
        let to = person.route.departed.unwrap_or(end).min(end);
        if let Some(stretch) = self.stretches.remove(&person.number) {
            self.write_stay(person, &stretch, to, plan, &told);
        }
        let cut = person.was_there || person.route.departed.is_none_or(|departed| departed > end);
        for device in &person.devices {
            self.write_client("visit", person, &device.identity, plan, (person.route.arrived, to), told(&device.identity));
            self.json.raw(",\"dwell_s\":").value(to - person.route.arrived).raw(",\"associated\":").value(device.identity.association.is_some());
            self.json.raw(",\"random_address\":").value(device.identity.is_random);
            self.json.raw(",\"second\":").value(device.identity.second());
            self.json.raw(",\"hearings\":").value(device.hearings).raw(",\"cut\":").value(cut).raw("}\n");
        }
    }

    /// Says for how long the site was watched, and that this is all.
    pub(super) fn finish(&mut self, plan: &Plan, radio_model: RadioModel, (from, to): (i64, i64)) {
        self.json.raw("{\"record\":\"site\",\"site\":").text(&plan.name).raw(",\"network\":").text(&plan.network);
        self.json.raw(",\"radio_model\":").quoted(radio_model.name()).raw(",\"from\":").time(from).raw(",\"to\":").time(to).raw("}\n");
    }

    /// Hands over the lines written so far.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.json.bytes)
    }

    fn look(&mut self, person: &Person, time: i64, point: Point, plan: &Plan, told: &impl Fn(&Identity) -> bool) {
        let known = self.stretches.get_mut(&person.number);
        let (nearest, inside) = match &known {
            // Nobody moved, nothing to measure: most looks are at somebody who stands still.
            Some(stretch) if stretch.last == point => (stretch.nearest, stretch.inside),
            _ => (plan.nearest(point), plan.is_inside(point)),
        };
        if let Some(stretch) = known
            && stretch.nearest == nearest
            && stretch.inside == inside
        {
            stretch.sum = (stretch.sum.0 + point.x, stretch.sum.1 + point.y);
            stretch.samples += 1;
            stretch.last = point;
            return;
        }
        if let Some(ended) = self.stretches.remove(&person.number) {
            self.write_stay(person, &ended, time, plan, told);
        }
        self.stretches.insert(person.number, Stretch { from: time, nearest, inside, last: point, sum: (point.x, point.y), samples: 1 });
    }

    fn write_stay(&mut self, person: &Person, stretch: &Stretch, to: i64, plan: &Plan, told: &impl Fn(&Identity) -> bool) {
        let nearest = &plan.access_points[stretch.nearest];
        let mean = |sum: f64| centimetres(sum / f64::from(stretch.samples));
        for device in &person.devices {
            self.write_client("stay", person, &device.identity, plan, (stretch.from, to), told(&device.identity));
            self.json.raw(",\"nearest_ap\":").mac(nearest.mac).raw(",\"floor\":").value(nearest.at.floor).raw(",\"x_m\":").value(mean(stretch.sum.0));
            self.json.raw(",\"y_m\":").value(mean(stretch.sum.1)).raw(",\"inside\":").value(stretch.inside).raw("}\n");
        }
    }

    fn write_client(&mut self, record: &str, person: &Person, identity: &Identity, plan: &Plan, (from, to): (i64, i64), told: bool) {
        self.json.raw("{\"record\":").quoted(record).raw(",\"client\":").mac(identity.mac).raw(",\"radio\":").quoted(identity.radio.name());
        self.json.raw(",\"kind\":").quoted(person.kind.name()).raw(",\"person\":").value(person.number);
        self.json.raw(",\"site\":").text(&plan.name).raw(",\"network\":").text(&plan.network);
        self.json.raw(",\"from\":").time(from).raw(",\"to\":").time(to).raw(",\"told\":").value(told);
    }
}

fn centimetres(metres: f64) -> f64 {
    (metres * 100.0).round() / 100.0
}
