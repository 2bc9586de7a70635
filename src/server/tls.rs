//! TLS, with a certificate and its key from files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error as RustlsError, InconsistentKeys, ServerConfig};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at again: a certificate is replaced weeks before it ends.
const REREAD_INTERVAL: Duration = Duration::from_secs(60);

/// A file that is longer holds no certificate and no key.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A certificate with its key.
#[derive(Clone)]
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
}

/// Which of the two files can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFile {
    /// That of the certificate.
    Cert,
    /// That of the key.
    Key,
}

/// Why there is no TLS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}", path = path.display())]
pub struct TlsError {
    /// Which file.
    pub file: TlsFile,
    path: PathBuf,
    message: String,
}

impl Tls {
    /// Reads a certificate, with those that sign it, and its key, both as PEM.
    ///
    /// # Errors
    /// A file can't be read, has no such thing in it, or the two don't belong together.
    #[expect(clippy::missing_panics_doc, reason = "ring has the ciphers of TLS")]
    pub fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let certified = read(cert, key)?;
        let current = Arc::new(Current(RwLock::new(Arc::new(certified))));
        let provider = Arc::new(default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("invariant: ring has the ciphers of TLS 1.2 and 1.3");
        let mut config = config
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".into()];
        Ok(Self {
            cert: cert.into(),
            key: key.into(),
            current,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Takes a new certificate from the files when they have one, for as long as it is awaited.
    pub(super) async fn keep_fresh(&self) -> ! {
        let mut ticks = interval(REREAD_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = None;
        loop {
            ticks.tick().await;
            let (cert, key) = (self.cert.clone(), self.key.clone());
            let Ok(read) = spawn_blocking(move || read(&cert, &key)).await else {
                continue;
            };
            match read {
                Ok(certified) => {
                    told = None;
                    self.current.replace(certified);
                }
                // One of the two may be written before the other.
                Err(error) if told.as_ref() != Some(&error) => {
                    tracing::warn!("TLS goes on with the certificate that it has: {error}");
                    told = Some(error);
                }
                Err(_) => {}
            }
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("cert", &self.cert)
            .finish_non_exhaustive()
    }
}

/// The certificate for the next handshake.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl Current {
    fn replace(&self, certified: CertifiedKey) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if current.cert != certified.cert {
            tracing::info!("TLS has a new certificate");
            *current = Arc::new(certified);
        }
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

fn read(cert: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let of = |file: TlsFile, message: String| TlsError {
        file,
        path: match file {
            TlsFile::Cert => cert.into(),
            TlsFile::Key => key.into(),
        },
        message,
    };
    let of_cert = |message| of(TlsFile::Cert, message);
    let of_key = |message| of(TlsFile::Key, message);
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(&bytes(cert).map_err(of_cert)?).collect();
    let chain = chain.map_err(|error| of_cert(no_pem(&error, "a certificate")))?;
    if chain.is_empty() {
        return Err(of_cert(no_pem(&PemError::NoItemsFound, "a certificate")));
    }
    let private = PrivateKeyDer::from_pem_slice(&bytes(key).map_err(of_key)?);
    let private = private.map_err(|error| of_key(no_pem(&error, "a private key")))?;
    CertifiedKey::from_der(chain, private, &default_provider()).map_err(|error| match error {
        RustlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            of_key(format!("is not the key of {}", cert.display()))
        }
        RustlsError::InvalidCertificate(error) => {
            of_cert(format!("is no certificate that can be used: {error}"))
        }
        error => of_key(format!("can't be used: {error}")),
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(|error| format!("can't be opened: {error}"))?;
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("can't be read: {error}"))?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(format!(
            "is too long: expected at most {FILE_BYTES_MAX} bytes"
        )),
        false => Ok(bytes),
    }
}

/// What is wrong with a file, without any of it.
fn no_pem(error: &PemError, what: &str) -> String {
    let expected = format!("expected {what} as PEM, with a line -----BEGIN …-----");
    match error {
        PemError::NoItemsFound => format!("has none: {expected}"),
        PemError::MissingSectionEnd { .. } => format!("is cut off: {expected}"),
        _ => format!("is not PEM: {expected}"),
    }
}
