//! Profiles: the thresholds under which observations become presence. Named and versioned; several may be live at once.

/// What a profile fixes. Times in seconds, strengths in dBm.
#[derive(Clone, PartialEq, Debug)]
pub struct Profile {
    /// Name and version, as in `standard@1`.
    pub name: String,
    /// Weaker is not heard at all.
    pub ignore_dbm: i8,
    /// As strong or stronger enters.
    pub enter_dbm: i8,
    /// As strong or stronger stays; not above `enter_dbm`.
    pub stay_dbm: i8,
    /// Whether an associated observation counts whatever its strength.
    pub assoc_bypasses_rssi: bool,
    /// The longest silence within a session.
    pub gap_s: i64,
    /// How long a place holds beyond its minute.
    pub ap_gap_s: i64,
    /// The shortest visit.
    pub min_dwell_s: i64,
    /// In how many minutes a visit must have been observed.
    pub min_minutes: u32,
    /// How old the end of a session may be for `now`.
    pub present_s: i64,
    /// How long a change of access point must hold, unless it is `settle_db` stronger.
    pub settle_s: i64,
    /// See `settle_s`.
    pub settle_db: i16,
    /// The longest visit; longer is a fixture.
    pub max_visit_s: i64,
    /// How many days back a visit makes the next one returning, at most 28.
    pub loyalty_days: u16,
    /// How far the watermark stays behind the latest observation.
    pub lateness_s: i64,
    /// How late an observation may arrive and still count.
    pub allowed_lateness_s: i64,
}

impl Profile {
    /// The profile that stands when nothing is configured.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            name: "standard@1".to_owned(),
            ignore_dbm: -95,
            enter_dbm: -80,
            stay_dbm: -85,
            assoc_bypasses_rssi: true,
            gap_s: 1_200,
            ap_gap_s: 600,
            min_dwell_s: 300,
            min_minutes: 3,
            present_s: 600,
            settle_s: 180,
            settle_db: 6,
            max_visit_s: 43_200,
            loyalty_days: 28,
            lateness_s: 120,
            allowed_lateness_s: 86_400,
        }
    }

    /// A built-in profile by its name, without version.
    ///
    /// `standard` is ours. `meraki-gve` has the thresholds that Cisco's GVE samples give for the Meraki dashboard (enter 15 and stay 10 over
    /// -95), `meraki-grcamp` those of grcamp's script (20 and 15, and its gap); they differ by 5 dB, and neither has been compared with a
    /// dashboard. `cmx` has the -65 dBm and 5 minutes that Aruba documents for the same idea, and CMX's 20 minutes for who is present, since
    /// Cisco's own defaults are not published. `mist` has the 12 hours of Mist's `max_dwell`; its other classes are by dwell alone.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        let standard = Self::standard();
        let named = |name: &str| format!("{name}@1");
        Some(match name {
            "standard" => standard,
            "meraki-gve" => Self { name: named(name), enter_dbm: -80, stay_dbm: -85, ..standard },
            "meraki-grcamp" => Self { name: named(name), enter_dbm: -75, stay_dbm: -80, gap_s: 1_200, min_minutes: 5, ..standard },
            "cmx" => Self { name: named(name), enter_dbm: -65, stay_dbm: -90, present_s: 1_200, ..standard },
            "mist" => Self { name: named(name), max_visit_s: 43_200, min_dwell_s: 301, min_minutes: 1, ..standard },
            _ => return None,
        })
    }

    /// The names of the built-in profiles.
    pub const BUILT_IN: [&str; 5] = ["standard", "meraki-gve", "meraki-grcamp", "cmx", "mist"];

    /// Whether an observation makes or keeps a session.
    #[must_use]
    pub fn qualifies(&self, rssi_dbm: i8, is_associated: bool) -> bool {
        rssi_dbm >= self.stay_dbm || (is_associated && self.assoc_bypasses_rssi)
    }

    /// Whether a qualifying observation begins a session.
    #[must_use]
    pub fn enters(&self, rssi_dbm: i8, is_associated: bool) -> bool {
        rssi_dbm >= self.enter_dbm || (is_associated && self.assoc_bypasses_rssi)
    }

    /// Whether an observation is heard.
    #[must_use]
    pub fn hears(&self, rssi_dbm: i8, is_associated: bool) -> bool {
        rssi_dbm >= self.ignore_dbm || (is_associated && self.assoc_bypasses_rssi)
    }

    /// What is wrong with the values, if anything: a sentence that names the key.
    ///
    /// # Errors
    /// The first value outside its range.
    pub fn check(&self) -> Result<(), String> {
        let ranges: [(&str, i64, i64, i64); 12] = [
            ("ignore_dbm", self.ignore_dbm.into(), -110, -60),
            ("stay_dbm", self.stay_dbm.into(), -120, self.enter_dbm.into()),
            ("gap_s", self.gap_s, 60, 14_400),
            ("ap_gap_s", self.ap_gap_s, 0, 14_400),
            ("min_dwell_s", self.min_dwell_s, 0, 3_600),
            ("min_minutes", self.min_minutes.into(), 1, 10),
            ("present_s", self.present_s, 60, 3_600),
            ("settle_s", self.settle_s, 0, 3_600),
            ("max_visit_s", self.max_visit_s, 600, 86_400),
            ("loyalty_days", self.loyalty_days.into(), 7, 28),
            ("lateness_s", self.lateness_s, 120, 3_600),
            ("allowed_lateness_s", self.allowed_lateness_s, 0, 31_536_000),
        ];
        match ranges.into_iter().find(|&(_, value, least, most)| value < least || value > most) {
            Some((key, value, least, most)) => Err(format!("{key} is {value}; it must be between {least} and {most}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_profiles_are_sound() {
        for name in Profile::BUILT_IN {
            let profile = Profile::built_in(name).unwrap();
            assert_eq!(profile.name, format!("{name}@1"));
            assert_eq!(profile.check(), Ok(()), "{name}");
        }
        assert_eq!(Profile::built_in("other"), None);
    }

    #[test]
    fn a_value_outside_its_range_is_named() {
        let profile = Profile { stay_dbm: -70, ..Profile::standard() };
        assert_eq!(profile.check().unwrap_err(), "stay_dbm is -70; it must be between -120 and -80");
    }
}
