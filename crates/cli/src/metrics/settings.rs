//! Where `/metrics` is, and how often the lag is looked at.

use std::time::Duration;

use documented::Documented;
use runtime::settings::Invalid;
use serde::{Deserialize, Serialize};

/// Metrics for Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Documented)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where `up`, `serve` and `update` serve `/metrics`: ADDRESS:PORT, or a port of 127.0.0.1; port 0 takes a
    /// free one. Empty: nowhere. Whoever can connect can read it.
    pub(crate) listen: String,
    /// How often lag, watermarks and ledgers are looked at, in milliseconds: the lag in seconds is known to
    /// within this.
    pub(crate) sample_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { listen: String::new(), sample_ms: 2_000 }
    }
}

impl Settings {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// The first setting that cannot be used, under its key in section `metrics`.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        if !self.listen.is_empty() && self.address().is_none() {
            let message = format!("is {:?}, which is no address to listen at", self.listen);
            let remedy = "give ADDRESS:PORT, or a port of 127.0.0.1, such as 9464";
            return Err(Invalid::new("metrics.listen", message, remedy));
        }
        if !(50..=60_000).contains(&self.sample_ms) {
            return Err(Invalid::new("metrics.sample_ms", "is out of range", "give 50 to 60000"));
        }
        Ok(())
    }

    /// Where to listen; `None`: nowhere, or what is set is no address.
    pub(super) fn address(&self) -> Option<String> {
        let port = |text: &str| text.parse::<u16>().is_ok();
        if port(&self.listen) {
            return Some(format!("127.0.0.1:{}", self.listen));
        }
        let (address, its_port) = self.listen.rsplit_once(':')?;
        (!address.is_empty() && port(its_port)).then(|| self.listen.clone())
    }

    pub(super) fn every(&self) -> Duration {
        Duration::from_millis(self.sample_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_one_of_this_machine() {
        let at = |listen: &str| {
            let settings = Settings { listen: listen.to_owned(), ..Settings::default() };
            (settings.address(), settings.check().is_ok())
        };
        assert_eq!(at(""), (None, true));
        assert_eq!(at("9464"), (Some("127.0.0.1:9464".to_owned()), true));
        assert_eq!(at("[::1]:0"), (Some("[::1]:0".to_owned()), true));
        assert_eq!(at("shop.example:80"), (Some("shop.example:80".to_owned()), true));
        for wrong in ["nowhere", ":9464", "127.0.0.1:", "127.0.0.1:99999", "65536", "-1"] {
            assert_eq!(at(wrong), (None, false), "{wrong}");
        }
        let often = Settings { sample_ms: 1, ..Settings::default() };
        assert_eq!(often.check().unwrap_err().key, "metrics.sample_ms");
    }
}
