//! Values with units, and values that no output shows.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use zeroize::Zeroizing;

use super::{Address, Tls};

/// A number of bytes, in TOML as text with a unit: `"64MiB"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

impl Size {
    pub(crate) const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(split);
        let factor: u64 = match unit.trim() {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            _ => return None,
        };
        digits.parse::<u64>().ok()?.checked_mul(factor).map(Self)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match units.iter().find(|(factor, _)| self.0 >= *factor && self.0.is_multiple_of(*factor)) {
            Some((factor, unit)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| de::Error::custom(format!("{text:?} is no size: write a whole number and a unit of B, KiB, MiB, GiB or TiB, such as \"64MiB\"")))
    }
}

/// A length of time, in TOML as text with a unit: `"10s"`, `"7d"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    pub(crate) const fn seconds(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }

    pub(crate) const fn days(n: u64) -> Self {
        Self::seconds(n * 86_400)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In one unit, as a person would write it.
        let ms = self.0.as_millis();
        let (unit, length) = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)]
            .into_iter()
            .find(|(unit, length)| if ms == 0 { *unit == "s" } else { ms.is_multiple_of(*length) })
            .unwrap_or(("ms", 1));
        write!(f, "{}{unit}", ms / length)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text)
            .map(Self)
            .map_err(|_| de::Error::custom(format!("{text:?} is no length of time: write a number and a unit of ms, s, m, h or d, such as \"10s\"")))
    }
}

/// A text that no output, log or `Debug` shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Hidden(Zeroizing<String>);

impl Hidden {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one who uses it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// A database address without its password and parameters, fit to be shown.
    pub(crate) fn address_shown(&self) -> String {
        let whole = self.0.split('?').next().unwrap_or_default();
        match whole.split_once("://") {
            Some((scheme, rest)) => match rest.rsplit_once('@') {
                Some((login, place)) => format!("{scheme}://{}@{place}", login.split(':').next().unwrap_or_default()),
                None => whole.to_owned(),
            },
            None => whole.to_owned(),
        }
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err("\"unix:\" lacks a path: write \"unix:/run/footfall/http.sock\"".to_owned())
            } else {
                Ok(Self::Unix(PathBuf::from(path)))
            };
        }
        text.parse::<SocketAddr>()
            .map(Self::Tcp)
            .map_err(|_| format!("{text:?} is no address: write IP:PORT such as \"127.0.0.1:8443\" or \"[::]:443\", or \"unix:/path/to/socket\""))
    }
}

impl<'de> Deserialize<'de> for Tls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TlsVisitor)
    }
}

struct TlsVisitor;

impl<'de> Visitor<'de> for TlsVisitor {
    type Value = Tls;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"self-signed\", \"off\" or { chain = \"fullchain.pem\", key = \"privkey.pem\" }")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Tls, E> {
        match text {
            "self-signed" => Ok(Tls::SelfSigned),
            "off" => Ok(Tls::Off),
            other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tls, A::Error> {
        let (mut chain, mut key) = (None, None);
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "chain" => chain = Some(map.next_value()?),
                "key" => key = Some(map.next_value()?),
                other => return Err(de::Error::unknown_field(other, &["chain", "key"])),
            }
        }
        Ok(Tls::Files { chain: chain.ok_or_else(|| de::Error::missing_field("chain"))?, key: key.ok_or_else(|| de::Error::missing_field("key"))? })
    }
}
