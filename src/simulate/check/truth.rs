//! Reads the truth file of a simulation: for each network who was where when.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use crate::failure::{Code, Failure};

/// What was simulated at one network.
pub(super) struct Network {
    /// Addresses of the access points; stretches name them by their place here.
    pub(super) aps: Vec<String>,
    pub(super) radio_model: RadioModel,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) devices: Vec<Device>,
}

/// What the air did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RadioModel {
    Noisy,
    Perfect,
}

/// One device and where it was, in order of time.
#[derive(Default)]
pub(super) struct Device {
    pub(super) is_wifi: bool,
    pub(super) is_associated: bool,
    /// Second of each minute at which a perfect radio hears it.
    pub(super) second: i64,
    pub(super) stretches: Vec<Stretch>,
}

/// A while during which one access point was the nearest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stretch {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) ap: usize,
    pub(super) is_inside: bool,
}

/// A line; what the check does not need is left out.
#[derive(Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
enum Record {
    AccessPoint { network: String, ap: String },
    Stay { network: String, client: String, from: At, to: At, nearest_ap: String, inside: bool },
    Visit { network: String, client: String, radio: String, second: i64, associated: bool },
    Site { network: String, radio_model: RadioModel, from: At, to: At },
}

/// A time in seconds since 1970.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct At(i64);

impl TryFrom<String> for At {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Self, jiff::Error> {
        text.parse::<jiff::Timestamp>().map(|time| Self(time.as_second()))
    }
}

/// A network whose end has not been read yet.
#[derive(Default)]
struct Open {
    aps: Vec<String>,
    numbers: HashMap<String, usize>,
    devices: BTreeMap<String, Device>,
    end: Option<(RadioModel, i64, i64)>,
}

/// Reads a whole file.
pub(super) fn read(path: &Path) -> Result<Vec<Network>, Failure> {
    let wrong = |what: String| Failure::new(Code::Usage, format!("--truth {}: {what}", path.display()));
    let file = File::open(path).map_err(|error| wrong(format!("cannot be opened: {error}; name the file that footfall simulate --truth wrote")))?;
    parse(BufReader::new(file)).map_err(wrong)
}

/// Reads lines; the error says which is wrong.
pub(super) fn parse(lines: impl BufRead) -> Result<Vec<Network>, String> {
    let mut networks: BTreeMap<String, Open> = BTreeMap::new();
    for (index, line) in lines.lines().enumerate() {
        let line = line.map_err(|error| format!("cannot be read: {error}"))?;
        let record: Record = serde_json::from_str(&line)
            .map_err(|error| format!("line {} is no record of a truth file: {error}; write the file anew with this footfall's simulate --truth", index + 1))?;
        take(&mut networks, record).ok_or_else(|| format!("line {} names an access point that no line before it has", index + 1))?;
    }
    if networks.is_empty() {
        return Err("is empty; name the file that footfall simulate --truth wrote".to_owned());
    }
    networks
        .into_iter()
        .map(|(name, open)| {
            let Some((radio_model, from, to)) = open.end else {
                return Err(format!("has no last line of network {name}: the simulation did not end; run it again"));
            };
            Ok(Network { aps: open.aps, radio_model, from, to, devices: open.devices.into_values().collect() })
        })
        .collect()
}

/// None when an access point is unknown.
fn take(networks: &mut BTreeMap<String, Open>, record: Record) -> Option<()> {
    match record {
        Record::AccessPoint { network, ap } => {
            let open = networks.entry(network).or_default();
            open.numbers.insert(ap.clone(), open.aps.len());
            open.aps.push(ap);
        }
        Record::Stay { network, client, from, to, nearest_ap, inside } => {
            let open = networks.get_mut(&network)?;
            let ap = *open.numbers.get(&nearest_ap)?;
            let stretch = Stretch { from: from.0, to: to.0, ap, is_inside: inside };
            open.devices.entry(client).or_default().stretches.push(stretch);
        }
        Record::Visit { network, client, radio, second, associated } => {
            let device = networks.get_mut(&network)?.devices.entry(client).or_default();
            (device.is_wifi, device.is_associated, device.second) = (radio == "wifi", associated, second);
        }
        Record::Site { network, radio_model, from, to } => {
            networks.get_mut(&network)?.end = Some((radio_model, from.0, to.0));
        }
    }
    Some(())
}
