//! The relations between settings, checked before anything is opened.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use ingest::certificate::{Certificate, Files};
use store::journal;

use super::{Address, Config, Mistake, Size, Tls, World};

impl Config {
    /// Checks values and their relations.
    pub(crate) fn check(&self, file: Option<&Path>, world: &World<'_>) -> Result<(), Mistake> {
        let checks = [Self::check_places, Self::check_receivers, Self::check_limits, Self::check_journal, Self::check_presence, Self::check_process];
        checks.iter().try_for_each(|check| check(self)).and_then(|()| self.check_listeners(world)).map_err(|(key, what, remedy)| Mistake {
            file: file.map(Path::to_owned),
            key,
            what,
            remedy: remedy.to_owned(),
        })
    }

    /// What is allowed but unwise. `others_read` says whether others than its owner can read the configuration file.
    pub(crate) fn warnings(&self, others_read: bool, text: Option<&str>) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.receiver.is_empty() {
            warnings.push("no [[receiver]] is configured: every post will be answered 404".to_owned());
        }
        let literal = text.is_some_and(|text| self.receiver.iter().flat_map(|receiver| &receiver.secrets).any(|secret| text.contains(secret.reveal())));
        if others_read && literal {
            warnings.push("the file holds a receiver's secret and can be read by others: chmod 600, or use env:NAME or file:PATH".to_owned());
        }
        for (n, listen) in self.listen.iter().enumerate() {
            if listen.tls == Tls::Off && !listen.address.is_local() {
                warnings.push(format!("listen[{n}]: plain HTTP on an address that others reach: secrets and device addresses cross the network in clear"));
            }
        }
        // A body that the parser's fast road leaves needs itself, its copy and what the second road takes: five to seven times its own size.
        if self.limits.memory.0 < self.limits.body.0.saturating_mul(7) {
            let (memory, body) = (self.limits.memory, self.limits.body);
            warnings.push(format!(
                "limits.memory: {memory} is less than seven times limits.body = {body}, which parsing an unusual post takes: the largest of those may get 503"
            ));
        }
        if !self.admin.address.is_local() {
            warnings.push("admin.address: the admin listener has no login, and others reach this address".to_owned());
        }
        for (n, _) in self.site.iter().enumerate().filter(|(_, site)| !site.networks.is_empty() && !site.receivers.is_empty()) {
            warnings.push(format!(
                "site[{n}]: it has networks (version 3) and receivers (version 2): where both tell of one network, visits are the same, but seen is not, and observations are stored twice"
            ));
        }
        if !self.presence.excluded.is_empty() && self.retention.clients < self.retention.observations {
            let (clients, observations) = (self.retention.clients, self.retention.observations);
            warnings.push(format!(
                "retention.clients: {clients} is less than retention.observations = {observations}: footfall recompute counts devices of presence.excluded whose row has gone"
            ));
        }
        if self.database.reveal() == "null:" {
            warnings.push("database = \"null:\": every row is thrown away; this is for measuring alone".to_owned());
        }
        if self.privacy.mode == Some(super::Mode::Static) && self.privacy.clients == super::Clients::Pseudonym {
            warnings.push("privacy.mode = \"static\": people's devices are known for good; this is for devices of your own".to_owned());
        }
        if self.privacy.clients == super::Clients::Plain {
            warnings.push("privacy.clients = \"plain\": device addresses are written to the database as they are".to_owned());
        }
        warnings
    }

    fn check_places(&self) -> Result<(), Wrong> {
        if self.data_dir.as_os_str().is_empty() {
            return wrong("data_dir", "is empty", "name a directory that footfall may make and write");
        }
        if let Err(error) = store::database::Database::from_url(self.database.reveal()) {
            return wrong("database", &error, "or write env:NAME of such a text");
        }
        if self.listen.is_empty() {
            return wrong("listen", "there is no listener", "add [[listen]] with an address such as \"127.0.0.1:8443\"");
        }
        Ok(())
    }

    fn check_receivers(&self) -> Result<(), Wrong> {
        let (mut names, mut paths) = (HashSet::new(), HashSet::new());
        for (n, receiver) in self.receiver.iter().enumerate() {
            let key = |name: &str| format!("receiver[{n}].{name}");
            let name = &receiver.name;
            if name.is_empty() || name.len() > 64 || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
                return wrong(&key("name"), &format!("{name:?} is no name"), "use 1 to 64 letters, digits, hyphens, dots or underscores");
            }
            if !names.insert(name) {
                return wrong(&key("name"), &format!("{name:?} is taken by an earlier receiver"), "give each receiver a name of its own");
            }
            let path = &receiver.path;
            if !path.starts_with('/') || path.contains(['?', '#']) || !path.is_ascii() || path.contains(' ') {
                return wrong(&key("path"), &format!("{path:?} is no path"), "write it as it stands in the URL, from the slash on, without query");
            }
            if !paths.insert(path) {
                return wrong(&key("path"), &format!("{path:?} is taken by an earlier receiver"), "give each receiver a path of its own");
            }
            if receiver.validator.reveal().is_empty() {
                return wrong(&key("validator"), "is empty", "copy the validator from the dashboard: Network-wide, General, Location and scanning");
            }
            if receiver.secrets.is_empty() || receiver.secrets.iter().any(|secret| secret.reveal().is_empty()) {
                return wrong(
                    &key("secrets"),
                    "there is no secret, or an empty one",
                    "write the shared secret that you gave the dashboard, best as env:NAME or file:PATH",
                );
            }
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), Wrong> {
        let limits = &self.limits;
        if limits.body.0 == 0 || limits.body.0 > 1 << 30 {
            return wrong("limits.body", &format!("{} is out of range", limits.body), "take 1B to 1GiB; Meraki's posts reach tens of MiB");
        }
        if limits.memory < limits.body {
            let what = format!("{} cannot hold one post of limits.body = {}", limits.memory, limits.body);
            return wrong("limits.memory", &what, "raise limits.memory, best to seven times limits.body, or lower limits.body");
        }
        for (key, count) in [("limits.connections", limits.connections), ("limits.connections_per_address", limits.connections_per_address)] {
            if count == 0 {
                return wrong(key, "0 lets nobody in", "take 1 or more");
            }
        }
        let spans = [
            ("limits.handshake_timeout", limits.handshake_timeout),
            ("limits.header_timeout", limits.header_timeout),
            ("limits.body_timeout", limits.body_timeout),
            ("limits.idle_timeout", limits.idle_timeout),
            ("limits.stop_timeout", limits.stop_timeout),
        ];
        for (key, span) in spans {
            if span.0.is_zero() || span.0.as_secs() > 86_400 {
                return wrong(key, &format!("{span} is out of range"), "take 1ms to 1d");
            }
        }
        Ok(())
    }

    fn check_journal(&self) -> Result<(), Wrong> {
        let (journal, body) = (&self.journal, self.limits.body);
        let (segment, needed) = (self.segment_bytes(), self.segment_bytes_min());
        if segment < needed {
            let what = format!("{} cannot hold a post of limits.body = {body}, which needs {needed} bytes", Size(segment));
            return wrong("journal.segment", &what, "raise journal.segment or lower limits.body");
        }
        if journal.max.0 < journal::max_bytes_min(segment) {
            let what = format!("{} is less than two segments of {}, and a segment holds the largest post", journal.max, Size(segment));
            return wrong("journal.max", &what, "raise journal.max, or lower journal.segment or limits.body");
        }
        if self.pipeline.tail.0 == 0 || self.pipeline.rows == 0 {
            return wrong("pipeline", "tail and rows cannot be 0", "leave them out to take the defaults");
        }
        let retention = &self.retention;
        for (key, span) in [("retention.clients", retention.clients), ("retention.quarantine", retention.quarantine)] {
            if span.0.as_secs() < 86_400 {
                return wrong(key, &format!("{span} is less than a day"), "take 1d or more");
            }
        }
        if retention.observations.0.as_secs() < 3_600 {
            return wrong("retention.observations", &format!("{} is less than an hour", retention.observations), "take 1h or more");
        }
        for (key, span) in [("visits", retention.visits), ("occupancy", retention.occupancy), ("counts", retention.counts)] {
            // A difference must never meet a row that has gone.
            if span.0 < self.presence.allowed_lateness.0 + Duration::from_secs(3 * 86_400) {
                let what = format!("{span} is less than three days and presence.allowed_lateness, in which rows may still change");
                return wrong(&format!("retention.{key}"), &what, "raise it, or lower presence.allowed_lateness");
            }
        }
        for (key, secret) in [("journal.key", &journal.key), ("privacy.key", &self.privacy.key)] {
            if secret.as_ref().is_some_and(|secret| store::key::Key::from_hex(secret.reveal()).is_none()) {
                return wrong(key, "is not a key of 64 hexadecimal digits", "make one with: openssl rand -hex 32");
            }
        }
        Ok(())
    }

    fn check_presence(&self) -> Result<(), Wrong> {
        self.privacy.check()?;
        self.excluded()?;
        self.presence_settings(0).map(drop)
    }

    fn check_process(&self) -> Result<(), Wrong> {
        match self.process.log.parse::<tracing_subscriber::filter::EnvFilter>() {
            Ok(_) => Ok(()),
            Err(error) => wrong(
                "process.log",
                &format!("{:?} is no log filter: {error}", self.process.log),
                "take error, warn, info, debug or trace, or a list such as \"info,ingest=debug\"",
            ),
        }
    }

    fn check_listeners(&self, world: &World<'_>) -> Result<(), Wrong> {
        for (n, listen) in self.listen.iter().enumerate() {
            let key = |name: &str| format!("listen[{n}].{name}");
            match &listen.tls {
                Tls::Off if !listen.address.is_local() && !listen.insecure_plaintext => {
                    return wrong(
                        &key("tls"),
                        "\"off\" on an address that others reach",
                        "use \"self-signed\" or files, or set insecure_plaintext = true on this listener when a proxy ends TLS",
                    );
                }
                Tls::Files { chain, key: private } => {
                    for (name, path) in [("tls.chain", chain), ("tls.key", private)] {
                        if let Err(error) = (world.file)(path) {
                            return wrong(&key(name), &format!("{} cannot be read: {error}", path.display()), "name a PEM file that this user may read");
                        }
                    }
                    let files = Files { chain: chain.clone(), key: private.clone() };
                    if let Err(error) = Certificate::load("check", files, 0) {
                        let why = std::error::Error::source(&error).map_or_else(String::new, |why| format!(": {why}"));
                        return wrong(
                            &key("tls"),
                            &format!("{error}{why}"),
                            "name the full chain and the key that belongs to its first certificate, both in PEM",
                        );
                    }
                }
                _ => {}
            }
            let taken =
                self.listen[..n].iter().any(|other| other.address == listen.address && !matches!(&listen.address, Address::Tcp(tcp) if tcp.port() == 0));
            if taken {
                return wrong(&key("address"), "is taken by an earlier listener", "give each listener an address of its own");
            }
        }
        Ok(())
    }
}

/// Key, what is wrong, what to do.
pub(super) type Wrong = (String, String, &'static str);

pub(super) fn wrong<T>(key: &str, what: &str, remedy: &'static str) -> Result<T, Wrong> {
    Err((key.to_owned(), what.to_owned(), remedy))
}
