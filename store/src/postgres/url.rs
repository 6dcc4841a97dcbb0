//! Reads a Postgres URL, with a remedy for each mistake and without ever showing the URL, which may hold a password.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

/// The connection options of a URL.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions, String> {
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return Err(format!("a Postgres URL starts with postgres://; {SHAPE}"));
    }
    if let Some((_, query)) = url.split_once('?') {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let key = pair.split_once('=').map_or(pair, |(key, _)| key);
            if !(PARAMETERS.contains(&key) || key.starts_with("options[")) {
                return Err(format!("the Postgres URL has an unknown parameter; known are {}", PARAMETERS.join(", ")));
            }
        }
    }
    PgConnectOptions::from_str(&with_host(url)).map_err(|error| format!("the Postgres URL cannot be read: {error}; {SHAPE}"))
}

/// Sets a host where a user stands without one: libpq's way to name a socket by `?host=`, which URL parsers refuse.
fn with_host(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) if host.is_empty() || host.starts_with(':') => format!("{scheme}://{user}@localhost{host}{tail}"),
        _ => url.to_owned(),
    }
}

const SHAPE: &str = "write postgres://USER:PASSWORD@HOST:PORT/DATABASE, special characters of the password as %XX";

/// The query parameters that the driver knows.
const PARAMETERS: [&str; 17] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "options",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_its_parts() {
        let options = options("postgres://foot:p%40ss@db.example:5433/hall?sslmode=require").unwrap();
        assert_eq!((options.get_host(), options.get_port()), ("db.example", 5433));
        assert_eq!((options.get_username(), options.get_database()), ("foot", Some("hall")));
    }

    #[test]
    fn a_socket_may_be_named_without_a_host() {
        for url in ["postgres://foot@/hall?host=/run/postgresql", "postgres:///hall?host=/run/postgresql&user=foot"] {
            let options = options(url).unwrap();
            assert_eq!(options.get_socket().unwrap().to_str(), Some("/run/postgresql"), "{url}");
            assert_eq!((options.get_username(), options.get_database()), ("foot", Some("hall")), "{url}");
        }
    }

    #[test]
    fn mistakes_are_told_without_the_password() {
        for url in ["postgres://foot:secret@host:port/hall", "postgres://foot:secret@host/hall?slmode=require", "mysql://foot:secret@host/hall"] {
            let error = options(url).unwrap_err();
            assert!(!error.contains("secret") && !error.contains("foot:"), "{error}");
        }
    }
}
