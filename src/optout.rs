//! `footfall privacy optout import|add|remove|count`: who is never written, also while footfall runs.

use std::path::Path;

use csv::{Position, ReaderBuilder, StringRecord};
use store::mac::Mac;
use store::optout::{Editor, OptOutError, OptOuts};

use crate::cli::{Addresses, Import, OptOutCommand};
use crate::config::Config;
use crate::config_command::{self, print};
use crate::failure::{Code, Failure};
use crate::keys;

/// Runs one of the commands.
pub(crate) fn run(command: &OptOutCommand) -> Result<(), Failure> {
    match command {
        OptOutCommand::Import(import) => import_file(import),
        OptOutCommand::Add(addresses) => add(&addresses.at.load()?, &told(addresses)?),
        OptOutCommand::Remove(addresses) => remove(&addresses.at.load()?, &told(addresses)?),
        OptOutCommand::Count(at) => {
            let opted_out = OptOuts::open(&at.load()?.data_dir).map_err(failure)?;
            print(&format!("{}\n", opted_out.entries()))
        }
    }
}

/// How a list that is of no use, or cannot be written, ends a command.
pub(crate) fn failure(error: OptOutError) -> Failure {
    let code = match &error {
        OptOutError::Write { .. } => Code::CannotCreate,
        OptOutError::Read { .. } => Code::Io,
        OptOutError::Format { .. } | OptOutError::KeyGone { .. } | OptOutError::OtherKey { .. } | OptOutError::Gone { .. } => Code::Usage,
    };
    Failure::new(code, error.to_string())
}

fn import_file(import: &Import) -> Result<(), Failure> {
    let config = import.at.load()?;
    let shown = import.file.display();
    let bytes = std::fs::read(&import.file)
        .map_err(|error| Failure::new(Code::Usage, format!("cannot read {shown}: {error}; name a CSV file with one address per line")))?;
    let macs = read(&bytes).map_err(|(line, what)| Failure::new(Code::Usage, format!("{shown} line {line}: {what}; nothing is imported")))?;
    add(&config, &macs)
}

fn add(config: &Config, macs: &[Mac]) -> Result<(), Failure> {
    let mut editor = edit(config)?;
    let added = macs.iter().filter(|&&mac| editor.add(mac)).count();
    if added > 0 {
        editor.save().map_err(failure)?;
    }
    print(&format!("{added} added, {} there already, {} on the list\n", macs.len() - added, editor.entries()))
}

fn remove(config: &Config, macs: &[Mac]) -> Result<(), Failure> {
    let mut editor = edit(config)?;
    let removed = macs.iter().filter(|&&mac| editor.remove(mac)).count();
    if removed > 0 {
        editor.save().map_err(failure)?;
    }
    print(&format!("{removed} removed, {} not there, {} on the list\n", macs.len() - removed, editor.entries()))
}

fn edit(config: &Config) -> Result<Editor, Failure> {
    keys::make_private_dir(&config.data_dir)?;
    keys::make_private_dir(&config.data_dir.join("keys"))?;
    Editor::open(&config.data_dir).map_err(failure)
}

/// The addresses of a command line, all of them good.
fn told(addresses: &Addresses) -> Result<Vec<Mac>, Failure> {
    let read = |(at, text): (usize, &String)| device(text).map_err(|what| Failure::new(Code::Usage, format!("address {}: {what}; nothing is changed", at + 1)));
    addresses.addresses.iter().enumerate().map(read).collect()
}

/// The addresses of a CSV file, or the line that is wrong and why. No message repeats what stands there: it may be somebody's address.
fn read(bytes: &[u8]) -> Result<Vec<Mac>, (u64, &'static str)> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).delimiter(delimiter(text)).from_reader(text);
    let (mut macs, mut column) = (Vec::new(), None);
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| (line_at(text, error.position()), "not text in UTF-8"))? {
        let line = || line_at(text, record.position());
        if record.iter().all(str::is_empty) || record.get(0).is_some_and(|first| first.starts_with('#')) {
            continue;
        }
        let Some(at) = column else {
            // The first line that says something may be a header.
            let named = record.iter().position(|name| HEADERS.iter().any(|header| name.eq_ignore_ascii_case(header)));
            column = Some(named.unwrap_or(0));
            if named.is_none() {
                macs.push(device(record.get(0).unwrap_or_default()).map_err(|what| (line(), what))?);
            }
            continue;
        };
        macs.push(device(record.get(at).unwrap_or_default()).map_err(|what| (line(), what))?);
    }
    Ok(macs)
}

/// The number of the line on which a record begins. The reader's own is that of the line before where lines are blank or end in CR LF.
fn line_at(text: &[u8], position: Option<&Position>) -> u64 {
    let start = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(0).min(text.len());
    let blank = text[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    1 + text[..start + blank].iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// What stands between the fields: a semicolon where the first line that says something has one, as spreadsheets of some countries write it, or a tab.
fn delimiter(text: &[u8]) -> u8 {
    let first = text.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty() && !line.trim_ascii_start().starts_with(b"#"));
    let has = |byte: &u8| first.is_some_and(|line| line.contains(byte));
    [b';', b'\t'].into_iter().find(has).unwrap_or(b',')
}

/// The address of one device.
fn device(text: &str) -> Result<Mac, &'static str> {
    match Mac::parse(text) {
        None if text.is_empty() => Err("no address; 12 hexadecimal digits belong here, as in 02:00:5e:00:00:01"),
        None => Err("not an address; 12 hexadecimal digits belong here, as in 02:00:5e:00:00:01"),
        Some(mac) if mac == Mac::default() => Err("the zero address, which no device has: it stands for those that are opted out"),
        Some(mac) if mac.is_group() => Err("a group address (the first byte is odd), which no single device has"),
        Some(mac) => Ok(mac),
    }
}

impl crate::cli::ConfigFile {
    fn load(&self) -> Result<Config, Failure> {
        Ok(config_command::load(self.config.as_deref().map(Path::new))?.0)
    }
}

/// What a column of addresses is called: ours, and what Meraki's dashboard and API write.
const HEADERS: [&str; 6] = ["mac", "address", "client", "mac address", "mac_address", "clientMac"];

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Vec<u64> {
        read(text.as_bytes()).unwrap().iter().map(|mac| mac.bits() & 0xff).collect()
    }

    #[test]
    fn addresses_stand_in_the_first_column_or_in_the_one_that_is_named() {
        let plain = "02:aa:00:00:00:01\n02-AA-00-00-00-02\n02aa.0000.0003\n02AA00000004";
        assert_eq!(numbers(plain), [1, 2, 3, 4]);
        assert_eq!(numbers("02:aa:00:00:00:01,since May\n02:aa:00:00:00:02"), [1, 2], "what stands beside is not looked at");
        for header in ["Mac", "address", "CLIENT", "MAC address", "\"clientMac\""] {
            assert_eq!(numbers(&format!("name,{header},why\nAda,02:aa:00:00:00:01,\"asked, by mail\"\nBob,02:aa:00:00:00:02,\n")), [1, 2], "{header}");
        }
        assert_eq!(numbers("name;mac\nAda;02:aa:00:00:00:01\n"), [1]);
        assert_eq!(numbers("mac\tname\n02:aa:00:00:00:01\tAda\n"), [1]);
    }

    #[test]
    fn what_spreadsheets_and_people_leave_is_tolerated() {
        let odd = "\u{feff}# opted out, by mail; see the folder\r\n\r\n  mac  \r\n\"02:aa:00:00:00:01\"\r\n   02:aa:00:00:00:02  \r\n  # another\r\n , \r\n02:aa:00:00:00:03";
        assert_eq!(numbers(odd), [1, 2, 3]);
        assert_eq!(numbers(""), Vec::<u64>::new());
        assert_eq!(numbers("mac\n"), Vec::<u64>::new());
        assert_eq!(numbers("\u{feff}# by mail; and by phone\nname,mac\nAda,02:aa:00:00:00:01\n"), [1]);
    }

    #[test]
    fn a_bad_line_is_told_by_its_number_and_not_repeated() {
        for (text, line, what) in [
            ("02:aa:00:00:00:01\n\n# x\n02:aa:00:00:00\n", 4, "not an address"),
            ("name,mac\r\nAda,02:aa:00:00:00:01\r\nBob\r\n", 3, "no address"),
            ("device\n02:aa:00:00:00:01\n", 1, "not an address"),
            ("mac\n01:00:5e:00:00:01\n", 2, "group address"),
            ("mac\r\n\r\n\r\n01:00:5e:00:00:01\r\n", 4, "group address"),
            ("00:00:00:00:00:00\n", 1, "zero address"),
            ("02:aa:00:00:00:01\n\"02:aa:00\n:00:00:02\"\n", 2, "not an address"),
        ] {
            let (at, why) = read(text.as_bytes()).unwrap_err();
            assert!(at == line && why.contains(what), "{text:?}: {at}: {why}");
        }
        assert_eq!(read(b"02:aa:00:00:00:01\n\xff\xfe\n").unwrap_err(), (2, "not text in UTF-8"));
    }
}
