//! What a page says, before it is text. Numbers are none where the store says null: hidden or unknowable.

/// One site in one day or week.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Page {
    pub(super) site: String,
    /// As in "Thursday, 26 November 2026".
    pub(super) title: String,
    pub(super) profile: String,
    pub(super) data_until: String,
    /// Share of the minutes in which a post arrived.
    pub(super) coverage: Option<f64>,
    pub(super) is_final: bool,
    pub(super) summary: Summary,
    /// Hours of a day, days of a week.
    pub(super) is_week: bool,
    pub(super) bars: Vec<Bar>,
    pub(super) occupancy: Vec<Occupancy>,
    pub(super) places: Vec<Place>,
    pub(super) flows: Vec<Flow>,
}

/// The counts of the site.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Summary {
    pub(super) visitors: Option<i64>,
    pub(super) passers_by: Option<i64>,
    pub(super) capture_rate: Option<f64>,
    pub(super) connected: Option<i64>,
    pub(super) visits: Option<i64>,
    pub(super) bounce_rate: Option<f64>,
    pub(super) dwell_mean_s: Option<f64>,
    pub(super) dwell_median_s: Option<f64>,
    pub(super) dwell_p90_s: Option<f64>,
    pub(super) new: Option<i64>,
    pub(super) returning: Option<i64>,
    pub(super) unknown: Option<i64>,
}

/// One hour or day.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) visitors: Option<i64>,
    pub(super) passers_by: Option<i64>,
}

/// Devices present in one hour or day.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Occupancy {
    pub(super) label: String,
    pub(super) mean: f64,
    pub(super) peak: i64,
    /// When the peak was first reached.
    pub(super) peak_at: String,
}

/// One access point.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) visitors: Option<i64>,
    pub(super) dwell_total_s: Option<i64>,
    pub(super) stay_mean_s: Option<f64>,
    pub(super) capture_rate: Option<f64>,
}

/// Changes from one place to another.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Flow {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) transitions: i64,
}

/// One site of many, in a line.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Line {
    pub(super) site: String,
    pub(super) day: String,
    pub(super) summary: Summary,
}
