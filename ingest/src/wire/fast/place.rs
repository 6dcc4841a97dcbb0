//! Where something is, as v3 tells it of clients and of access points: on the earth and on a floor plan.

use store::texts::Text;

use super::kernel::Kernel;
use super::keys::{Keys, Members, Order};
use super::scan::Scan;
use crate::wire::rows::{Rows, both};

/// A place as it is told: NaN and none where it is not.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) lat: f64,
    pub(super) lng: f64,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) floor_plan: Text,
    pub(super) floor_plan_name: Text,
    pub(super) plan: Plan,
}

/// The floor plan's own object.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    id: Text,
    name: Text,
    x: f64,
    y: f64,
}

impl Place {
    /// Nothing told.
    pub(super) const NONE: Self = Self {
        lat: f64::NAN,
        lng: f64::NAN,
        x: f64::NAN,
        y: f64::NAN,
        floor_plan: Text::NONE,
        floor_plan_name: Text::NONE,
        plan: Plan { id: Text::NONE, name: Text::NONE, x: f64::NAN, y: f64::NAN },
    };

    /// Latitude and longitude, or neither.
    #[inline(always)]
    pub(super) fn on_earth(&self) -> (f64, f64) {
        both(self.lat, self.lng)
    }

    /// x and y, or neither; the plan's own ones where no others are told.
    #[inline(always)]
    pub(super) fn on_plan(&self) -> (f64, f64) {
        let (x, y) = both(self.x, self.y);
        if x.is_nan() { both(self.plan.x, self.plan.y) } else { (x, y) }
    }

    /// The floor plan's id.
    #[inline(always)]
    pub(super) fn id(&self) -> Text {
        if self.floor_plan.is_none() { self.plan.id } else { self.floor_plan }
    }

    /// The floor plan's name.
    #[inline(always)]
    pub(super) fn name(&self) -> Text {
        if self.floor_plan_name.is_none() { self.plan.name } else { self.floor_plan_name }
    }
}

impl<K: Kernel> Scan<'_, K> {
    /// Reads a floor plan's object or null.
    #[inline(always)]
    pub(super) fn plan(&mut self, rows: &mut Rows<'_>, order: &mut Order) -> Option<Plan> {
        let mut plan = Place::NONE.plan;
        if self.null() {
            return Some(plan);
        }
        let mut members = Members::new(&PLAN, order);
        while let Some(key) = members.next(self)? {
            match key {
                ID => plan.id = self.text(rows)?,
                NAME => plan.name = self.text(rows)?,
                X => plan.x = self.coordinate()?,
                _ => plan.y = self.coordinate()?,
            }
        }
        Some(plan)
    }
}

static PLAN: Keys = Keys::new(["id", "name", "x", "y"], &[]);
const ID: usize = 0;
const NAME: usize = 1;
const X: usize = 2;
