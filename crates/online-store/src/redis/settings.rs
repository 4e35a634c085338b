//! Which servers, and how long to wait for them.

use std::fmt;
use std::time::Duration;

/// Nodes of a cluster that a URL may name; the others are found through them.
const NODES_MAX: usize = 64;
const PORT_DEFAULT: u16 = 6379;

/// How the store reaches Redis.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Host and port: of the server, or of some nodes of the cluster.
    pub nodes: Vec<(String, u16)>,
    /// Whether they are nodes of a Redis Cluster.
    pub cluster: bool,
    /// Whether to speak TLS; needs the crate's feature `tls`.
    pub tls: bool,
    /// User of Redis' access control lists; `None`: the default one.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// Number of the database; a cluster has only number 0.
    pub database: i64,
    /// What the names of the keys begin with, so that several stores share a server.
    pub prefix: String,
    /// Takes a server that may evict states or forgets them when it restarts.
    pub allow_volatile: bool,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an answer, waiting for one's turn and for a connection included.
    pub command_timeout: Duration,
    /// Calls that may be under way at once, reads and commits apart; more of them wait.
    pub in_flight_max: usize,
    /// Failures in a row after which calls fail at once.
    pub failures_max: u32,
    /// How long they do, before one of them tries again.
    pub open_for: Duration,
}

/// A URL that names no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("names no online store: {what}; its URL is {SHAPE}")]
pub struct SettingsError {
    what: String,
}

const SHAPE: &str = "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE] or \
    redis+cluster://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]…, rediss for TLS, then ?OPTION=VALUE&… of \
    prefix, allow_volatile, connect_timeout_ms, command_timeout_ms";

impl Default for Settings {
    fn default() -> Self {
        Self {
            nodes: vec![("127.0.0.1".into(), PORT_DEFAULT)],
            cluster: false,
            tls: false,
            username: None,
            password: None,
            database: 0,
            prefix: "twofold".into(),
            allow_volatile: false,
            connect_timeout: Duration::from_secs(2),
            command_timeout: Duration::from_secs(5),
            in_flight_max: 256,
            failures_max: 5,
            open_for: Duration::from_secs(1),
        }
    }
}

impl Settings {
    /// Reads `redis://…`, `redis+cluster://…` and their TLS forms `rediss://…`, `rediss+cluster://…`.
    ///
    /// # Errors
    /// When the URL has another shape; the message says which part, and never the password.
    pub fn from_url(url: &str) -> Result<Self, SettingsError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("no scheme"))?;
        let (cluster, tls) = match scheme {
            "redis" => (false, false),
            "rediss" => (false, true),
            "redis+cluster" => (true, false),
            "rediss+cluster" => (true, true),
            other => return Err(wrong(format!("an unknown scheme `{other}`"))),
        };
        if tls && !cfg!(feature = "tls") {
            return Err(wrong(
                "rediss is for TLS, which this program was built without (build it with `--features tls`)",
            ));
        }
        let mut settings = Self { cluster, tls, ..Self::default() };
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (rest, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = rest.rsplit_once('@').map_or((None, rest), |(u, h)| (Some(u), h));
        if let Some(user) = user {
            settings.set_user(user)?;
        }
        settings.nodes = hosts.split(',').map(node).collect::<Result<_, _>>()?;
        if settings.nodes.len() > if cluster { NODES_MAX } else { 1 } {
            return Err(wrong("too many hosts"));
        }
        if !database.is_empty() {
            settings.database = database.parse().map_err(|_| wrong("no number as database"))?;
        }
        if settings.database < 0 || (cluster && settings.database != 0) {
            return Err(wrong("a database that cannot be"));
        }
        for option in options.split('&').filter(|option| !option.is_empty()) {
            settings.set_option(option)?;
        }
        Ok(settings)
    }

    fn set_user(&mut self, user: &str) -> Result<(), SettingsError> {
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let some = |text: &str| Ok((!text.is_empty()).then_some(unescape(text)?));
        (self.username, self.password) = (some(name)?, some(password)?);
        Ok(())
    }

    fn set_option(&mut self, option: &str) -> Result<(), SettingsError> {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let millis = || match value.parse() {
            Ok(millis @ 1..=3_600_000) => Ok(Duration::from_millis(millis)),
            _ => Err(wrong(format!("no number of milliseconds as {name}"))),
        };
        match name {
            "prefix" if is_prefix(value) => self.prefix = value.to_owned(),
            "prefix" => return Err(wrong("a prefix of other than letters, digits, - and _")),
            "allow_volatile" => {
                self.allow_volatile =
                    value.parse().map_err(|_| wrong("neither true nor false as allow_volatile"))?;
            }
            "connect_timeout_ms" => self.connect_timeout = millis()?,
            "command_timeout_ms" => self.command_timeout = millis()?,
            other => return Err(wrong(format!("an unknown option `{other}`"))),
        }
        Ok(())
    }
}

/// Hides the password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("nodes", &self.nodes)
            .field("cluster", &self.cluster)
            .field("tls", &self.tls)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("database", &self.database)
            .field("prefix", &self.prefix)
            .field("allow_volatile", &self.allow_volatile)
            .finish_non_exhaustive()
    }
}

/// Letters only that mean nothing in a key's name or in a pattern.
fn is_prefix(prefix: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !prefix.is_empty() && prefix.bytes().all(plain)
}

/// `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`.
fn node(text: &str) -> Result<(String, u16), SettingsError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(|| wrong("a [ without its ]"))?;
            (host, port.strip_prefix(':'))
        }
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Ok(PORT_DEFAULT), str::parse).map_err(|_| wrong("no number as port"))?;
    if host.is_empty() || port == 0 {
        return Err(wrong("no host"));
    }
    Ok((host.to_owned(), port))
}

/// `%40` and the like, as passwords have them.
fn unescape(text: &str) -> Result<String, SettingsError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| wrong("a % without two hexadecimal digits"))?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| wrong("a user or password that is no text"))
}

fn wrong(what: impl Into<String>) -> SettingsError {
    SettingsError { what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_servers_and_clusters() {
        let plain = Settings::from_url("redis://localhost").unwrap();
        assert_eq!(plain.nodes, [("localhost".to_owned(), 6379)]);
        assert_eq!((plain.cluster, plain.database, plain.allow_volatile), (false, 0, false));
        let full = Settings::from_url(
            "redis://me:p%40ss:word@[::1]:7000/3?prefix=shop-2&allow_volatile=true\
             &connect_timeout_ms=10&command_timeout_ms=20",
        );
        let full = full.unwrap();
        assert_eq!(full.nodes, [("::1".to_owned(), 7000)]);
        assert_eq!(full.username.as_deref(), Some("me"));
        assert_eq!(full.password.as_deref(), Some("p@ss:word"));
        assert_eq!((full.database, full.prefix.as_str(), full.allow_volatile), (3, "shop-2", true));
        assert_eq!(full.connect_timeout, Duration::from_millis(10));
        assert_eq!(full.command_timeout, Duration::from_millis(20));
        assert!(!format!("{full:?}").contains("ss:word"), "{full:?}");
        let cluster = Settings::from_url("redis+cluster://:secret@a:1,b,c:3").unwrap();
        assert!(cluster.cluster);
        assert_eq!((cluster.username, cluster.password.as_deref()), (None, Some("secret")));
        let nodes = [("a", 1), ("b", 6379), ("c", 3)].map(|(host, port)| (host.to_owned(), port));
        assert_eq!(cluster.nodes, nodes);
    }

    #[test]
    fn tls_is_taken_or_says_how_to_get_it() {
        for (url, cluster) in [("rediss://host", false), ("rediss+cluster://a:1,b", true)] {
            let read = Settings::from_url(url).map(|settings| (settings.tls, settings.cluster));
            let read = read.map_err(|error| error.to_string().contains("--features tls"));
            let expected = if cfg!(feature = "tls") { Ok((true, cluster)) } else { Err(true) };
            assert_eq!(read, expected, "{url}");
        }
    }

    #[test]
    fn what_is_no_store_is_refused() {
        for url in [
            "localhost",
            "http://localhost",
            "redis://",
            "redis://host:x",
            "redis://host:0",
            "redis://[::1:7000",
            "redis://a,b",
            "redis://host/x",
            "redis://host/-1",
            "redis+cluster://a,b/1",
            "redis+cluster://a,,b",
            "redis://host?allow_volatile=perhaps",
            "redis://host?prefix=a{b",
            "redis://host?command_timeout_ms=0",
            "redis://host?unknown=1",
            "redis://me:%4@host",
        ] {
            let error = Settings::from_url(url).expect_err(url).to_string();
            assert!(error.contains("its URL is redis://"), "{error}");
        }
        let error = Settings::from_url("redis://me:secret@host:x").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
