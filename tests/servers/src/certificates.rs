use std::fs;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

/// A certificate authority, and the certificate of a server at 127.0.0.1 that it has signed: by that address and
/// no name. They lie in a folder that goes with them.
#[derive(Debug)]
pub struct Certificates(TempDir);

impl Certificates {
    /// Makes both.
    ///
    /// # Panics
    /// When they cannot be written.
    #[must_use]
    pub fn new() -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // Each has a name of its own, as authorities do.
        let folder = tempfile::tempdir().expect("a temporary folder");
        let name = format!("authority of {}", folder.path().display());
        authority.distinguished_name.push(DnType::CommonName, name);
        let key = || KeyPair::generate().expect("a key from the system's randomness");
        let authority = CertifiedIssuer::self_signed(authority, key()).expect("its own signature");
        let server = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
        let its_key = key();
        let certificate = server.signed_by(&its_key, &authority).expect("its signature").pem();
        let certificates = Self(folder);
        let private = its_key.serialize_pem();
        for (path, text) in [
            (certificates.authority(), authority.pem()),
            (certificates.both(), format!("{private}{certificate}")),
            (certificates.certificate(), certificate),
            (certificates.key(), private),
        ] {
            fs::write(path, text).expect("a file in it");
        }
        certificates
    }

    /// The file of the authority's certificate: what clients have to trust.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.0.path().join("authority.pem")
    }

    /// What makes a Redis listen at `port` with TLS too.
    pub(crate) fn of_redis(&self, port: u16) -> Vec<String> {
        let file = |path: PathBuf| path.display().to_string();
        [
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", file(self.certificate())),
            ("--tls-key-file", file(self.key())),
            ("--tls-ca-cert-file", file(self.authority())),
            ("--tls-auth-clients", "no".to_owned()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
    }

    fn certificate(&self) -> PathBuf {
        self.0.path().join("server.pem")
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("server.key")
    }

    /// Key and certificate in one file, as Kafka wants them.
    pub(crate) fn both(&self) -> PathBuf {
        self.0.path().join("server-with-key.pem")
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}
