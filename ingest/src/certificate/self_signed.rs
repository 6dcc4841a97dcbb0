//! `tls = "self-signed"`: a private authority of this installation, and a certificate from it for the listeners.
//!
//! The authority is made once and stays, so that whoever trusts it need not be asked again; the leaf is made again in time or when
//! other names are asked for.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::Offset;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use zeroize::Zeroizing;

use super::{CertificateError, Contents, Files, leaf, provider, read};

const DAY: i64 = 86_400;
/// How long the authority is valid.
const AUTHORITY_DAYS: i64 = 3_650;
/// How long a leaf is valid: the most that browsers take is 398 days.
const LEAF_DAYS: i64 = 397;
/// A leaf with less than this left is made again.
const RENEW_DAYS: i64 = 30;

/// A certificate from the private authority.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SelfSigned {
    /// What the listener serves.
    pub files: Files,
    /// The authority's certificate, which clients have to trust.
    pub authority: PathBuf,
}

/// Makes what is missing in `data_dir/certificates`, for localhost and `names` (host names and addresses). `now` is in seconds since
/// 1970.
///
/// # Errors
/// When files cannot be read or written, or the authority's key is lost and a new leaf is due.
pub fn self_signed(data_dir: &Path, names: &[String], now: i64) -> Result<SelfSigned, CertificateError> {
    let dir = data_dir.join("certificates");
    let to_dir = |source| CertificateError::Write { path: dir.clone(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(to_dir)?;
    let made = SelfSigned { files: Files { chain: dir.join("server.pem"), key: dir.join("server.key") }, authority: dir.join("ca.pem") };
    let names = all_names(names);
    if !leaf_serves(&made, &names, now) {
        let authority = authority(&made.authority, &dir.join("ca.key"), now)?;
        issue(&made.files, &names, &authority, now)?;
    }
    Ok(made)
}

/// The names of a leaf. An address that means "all" names no host.
fn all_names(names: &[String]) -> BTreeSet<String> {
    let asked = names.iter().map(|name| name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase());
    let local = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let is_host = |name: &String| !name.is_empty() && !name.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
    let canonical = |name: String| name.parse::<IpAddr>().map_or(name, |address| address.to_string());
    local.into_iter().chain(asked).filter(is_host).map(canonical).collect()
}

/// Whether the leaf that is there will do. Whatever is wrong with it, a new one is the remedy.
fn leaf_serves(made: &SelfSigned, names: &BTreeSet<String>, now: i64) -> bool {
    let Ok(loaded) = Contents::read(&made.files).and_then(|contents| contents.load(&made.files)) else { return false };
    let Ok(authority) = read_authority(&made.authority) else { return false };
    let (Some(leaf), Some(authority)) = (loaded.key.cert.first().and_then(leaf), leaf(&authority)) else { return false };
    let validity = leaf.validity();
    validity.not_before.timestamp() <= now
        && validity.not_after.timestamp() - now > RENEW_DAYS * DAY
        && names_of(&leaf) == *names
        && signer_of(&leaf).is_some_and(|signer| Some(signer) == identity_of(&authority))
}

fn names_of(certificate: &X509Certificate<'_>) -> BTreeSet<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes).ok().map(|four| IpAddr::from(four).to_string()),
                _ => <[u8; 16]>::try_from(*bytes).ok().map(|six| IpAddr::from(six).to_string()),
            },
            _ => None,
        })
        .collect()
}

/// The key identifier of whoever signed a certificate.
fn signer_of<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(signer) => signer.key_identifier.as_ref().map(|id| id.0),
        _ => None,
    })
}

/// The key identifier of a certificate itself.
fn identity_of<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    })
}

fn read_authority(path: &Path) -> Result<CertificateDer<'static>, CertificateError> {
    let pem = read(path)?;
    CertificateDer::from_pem_slice(&pem).map_err(|source| CertificateError::Pem { what: "a certificate", path: path.to_owned(), source })
}

/// The authority that is there, or a new one.
fn authority(certificate: &Path, key: &Path, now: i64) -> Result<Issuer<'static, KeyPair>, CertificateError> {
    let files = Files { chain: certificate.to_owned(), key: key.to_owned() };
    let pair = match (certificate.exists(), key.exists()) {
        (true, false) => return Err(CertificateError::AuthorityKey(certificate.to_owned())),
        (is_made, true) => {
            if is_made {
                Contents::read(&files)?.load(&files)?;
            }
            let pem = Zeroizing::new(String::from_utf8_lossy(&read(key)?).into_owned());
            KeyPair::from_pem(&pem)?
        }
        (false, false) => {
            let pair = KeyPair::generate()?;
            write(key, Zeroizing::new(pair.serialize_pem()).as_bytes())?;
            pair
        }
    };
    let mut params = params("footfall private authority", now, AUTHORITY_DAYS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    if !certificate.exists() {
        write(certificate, params.self_signed(&pair)?.pem().as_bytes())?;
    }
    Ok(Issuer::new(params, pair))
}

fn issue(files: &Files, names: &BTreeSet<String>, authority: &Issuer<'_, KeyPair>, now: i64) -> Result<(), CertificateError> {
    let pair = KeyPair::generate()?;
    let mut params = params("footfall", now, LEAF_DAYS)?;
    params.subject_alt_names = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?.subject_alt_names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&pair, authority)?;
    // A crash in between leaves a pair that does not fit, which the next start makes again.
    write(&files.key, Zeroizing::new(pair.serialize_pem()).as_bytes())?;
    write(&files.chain, certificate.pem().as_bytes())
}

/// A certificate that is valid for `days` from yesterday on: clients' clocks may be behind.
fn params(name: &str, now: i64, days: i64) -> Result<CertificateParams, CertificateError> {
    let date = |seconds: i64| -> Result<_, CertificateError> {
        let date = Offset::UTC.to_datetime(Timestamp::from_second(seconds)?).date();
        Ok(rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs()))
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date(now - DAY)?;
    params.not_after = date(now + (days - 1) * DAY)?;
    params.serial_number = Some(serial()?);
    Ok(params)
}

/// 127 random bits, never zero.
fn serial() -> Result<SerialNumber, CertificateError> {
    let mut bytes = [0; 16];
    provider().secure_random.fill(&mut bytes).map_err(|error| CertificateError::Tls(error.into()))?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// Writes a file that nobody else may read, whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), CertificateError> {
    let write = || -> io::Result<()> {
        let unfinished = path.with_extension("unfinished");
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    };
    write().map_err(|source| CertificateError::Write { path: path.to_owned(), source })
}
