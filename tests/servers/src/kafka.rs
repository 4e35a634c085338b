//! One broker of Apache Kafka in KRaft mode.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Process, free_port};

/// How often a broker that starts is asked whether it answers …
const LOOKS: u32 = 600;
/// … and how long after each time.
const PAUSE: Duration = Duration::from_millis(100);

/// A broker, killed when it is dropped; what it wrote goes with it.
pub struct Kafka {
    process: Process,
    folder: TempDir,
    classpath: String,
    port: u16,
}

impl Kafka {
    /// Starts a broker on a free port; `libs` holds the jars (`SERVERS_KAFKA_LIBS`). It answers when
    /// this returns.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(libs: &Path) -> Self {
        Self::start_with(libs, &[], |_| String::new())
    }

    /// As [`Kafka::start`]; whoever comes to the second address has to say `user` and `password` (SASL, PLAIN).
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_with_password(libs: &Path, user: &str, password: &str) -> (Self, String) {
        let secret = format!("127.0.0.1:{}", free_port());
        let more = |open: &Listeners| password_properties(open, &secret, user, password);
        let kafka = Self::start_with(libs, &[], more);
        (kafka, secret)
    }

    /// As [`Kafka::start`], with two more addresses that speak TLS; at one of them `user` and `password` have to
    /// be said (SASL, SCRAM-SHA-512).
    ///
    /// # Panics
    /// When it does not start.
    #[cfg(feature = "certificates")]
    #[must_use]
    pub fn start_with_tls(
        libs: &Path,
        certificates: &crate::Certificates,
        user: &str,
        password: &str,
    ) -> (Self, Encrypted) {
        let address = || format!("127.0.0.1:{}", free_port());
        let encrypted = Encrypted { open: address(), secret: address() };
        let user = format!("SCRAM-SHA-512=[name={user},password={password}]");
        let more = |open: &Listeners| tls_properties(open, &encrypted, &certificates.both());
        let kafka = Self::start_with(libs, &["--add-scram", &user], more);
        (kafka, encrypted)
    }

    /// As [`Kafka::start`]; its heartbeats, every so often, are too slow for its controller, which keeps it out of the
    /// cluster (fences it) for the last sixth of the time between them. Meanwhile it answers, and names no broker.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_unsteady(libs: &Path, every_ms: u32) -> Self {
        Self::start_with(libs, &[], |_| heartbeats(every_ms, every_ms - every_ms / 6))
    }

    /// Starts again one that was unsteady, as one that is not; it answers when this returns.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart_steady(&mut self) {
        let path = self.folder.path().join(PROPERTIES);
        let properties = fs::read_to_string(&path).expect("its properties") + &steady();
        fs::write(path, properties).expect("a file that was written before");
        self.restart();
    }

    /// Whether it names no broker: its controller keeps it out of the cluster. `None`: it does not answer.
    #[must_use]
    pub fn is_fenced(&self) -> Option<bool> {
        brokers(self.port).ok().map(|brokers| brokers == 0)
    }

    /// `formatted` says how the broker's folder is made, beside where and for which cluster; `more` says other
    /// properties, from the listeners that let everybody in.
    fn start_with(
        libs: &Path,
        formatted: &[&str],
        more: impl FnOnce(&Listeners) -> String,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (port, controller) = (free_port(), free_port());
        let classpath = libs.join("*").display().to_string();
        let listeners = Listeners {
            all: format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"),
            advertised: format!("PLAINTEXT://127.0.0.1:{port}"),
        };
        let properties = properties(folder.path(), controller, &listeners) + &more(&listeners);
        fs::write(folder.path().join(PROPERTIES), properties).expect("a file in it");
        format(&classpath, folder.path(), formatted);
        let process = run(&classpath, folder.path());
        let mut kafka = Self { process, folder, classpath, port };
        kafka.wait();
        kafka
    }

    /// `HOST:PORT` for clients.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Kills it if it runs, and starts it on the same port and folder; it answers when this returns.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = run(&self.classpath, self.folder.path());
        self.wait();
    }

    /// The first file of a partition's records.
    #[must_use]
    pub fn segment(&self, topic: &str, partition: u32) -> PathBuf {
        let folder = self.folder.path().join("logs").join(format!("{topic}-{partition}"));
        folder.join(format!("{:020}.log", 0))
    }

    /// Stops it in its tracks.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// A command line of one of Kafka's own tools, by the name of its class.
    #[must_use]
    pub fn tool(&self, class: &str) -> Command {
        java(&self.classpath, "256m", class)
    }

    fn wait(&mut self) {
        for _ in 0..LOOKS {
            if answers(self.port) {
                return;
            }
            assert!(!self.process.has_ended(), "kafka ended:\n{}", self.process.last_words());
            std::thread::sleep(PAUSE);
        }
        panic!("kafka does not answer:\n{}", self.process.last_words());
    }
}

/// A broker's addresses that speak TLS: `HOST:PORT`.
#[cfg(feature = "certificates")]
#[derive(Debug)]
pub struct Encrypted {
    /// Lets everybody in.
    pub open: String,
    /// Asks for a user and a password.
    pub secret: String,
}

const PROPERTIES: &str = "server.properties";
/// 16 bytes in base64; brokers of different tests never meet.
const CLUSTER_ID: &str = "dHdvZm9sZC10ZXN0cy0wMQ";

struct Listeners {
    all: String,
    advertised: String,
}

/// One more listener; of two lines for one property the later one counts.
fn password_properties(open: &Listeners, secret: &str, user: &str, password: &str) -> String {
    let Listeners { all, advertised } = open;
    let login = "org.apache.kafka.common.security.plain.PlainLoginModule required";
    format!(
        "listeners={all},SASL_PLAINTEXT://{secret}\n\
         advertised.listeners={advertised},SASL_PLAINTEXT://{secret}\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT\n\
         sasl.enabled.mechanisms=PLAIN\n\
         listener.name.sasl_plaintext.plain.sasl.jaas.config={login} user_{user}=\"{password}\";\n"
    )
}

/// Two more listeners; of two lines for one property the later one counts.
#[cfg(feature = "certificates")]
fn tls_properties(open: &Listeners, encrypted: &Encrypted, key: &Path) -> String {
    let Listeners { all, advertised } = open;
    let more = format!("SSL://{},SASL_SSL://{}", encrypted.open, encrypted.secret);
    let login = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    format!(
        "listeners={all},{more}\n\
         advertised.listeners={advertised},{more}\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL\n\
         ssl.keystore.type=PEM\n\
         ssl.keystore.location={}\n\
         sasl.enabled.mechanisms=SCRAM-SHA-512\n\
         listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={login}\n",
        key.display()
    )
}

fn properties(folder: &Path, controller: u16, listeners: &Listeners) -> String {
    let logs = folder.join("logs");
    let lines: [(&str, String); 17] = [
        ("process.roles", "broker,controller".into()),
        ("node.id", "1".into()),
        ("controller.quorum.bootstrap.servers", format!("127.0.0.1:{controller}")),
        ("listeners", listeners.all.clone()),
        ("advertised.listeners", listeners.advertised.clone()),
        ("controller.listener.names", "CONTROLLER".into()),
        ("inter.broker.listener.name", "PLAINTEXT".into()),
        ("log.dirs", logs.display().to_string()),
        ("log.message.timestamp.type", "LogAppendTime".into()),
        ("offsets.topic.replication.factor", "1".into()),
        ("offsets.topic.num.partitions", "4".into()),
        ("transaction.state.log.replication.factor", "1".into()),
        ("transaction.state.log.min.isr", "1".into()),
        ("transaction.state.log.num.partitions", "4".into()),
        ("group.initial.rebalance.delay.ms", "0".into()),
        ("group.min.session.timeout.ms", "1000".into()),
        ("auto.create.topics.enable", "false".into()),
    ];
    lines.iter().map(|(key, value)| format!("{key}={value}\n")).collect::<String>() + &steady()
}

/// A broker that was killed comes back as soon as it can. Of two lines for one property the later one counts.
fn steady() -> String {
    heartbeats(500, 3_000)
}

fn heartbeats(interval_ms: u32, session_timeout_ms: u32) -> String {
    format!(
        "broker.heartbeat.interval.ms={interval_ms}\n\
         broker.session.timeout.ms={session_timeout_ms}\n"
    )
}

fn format(classpath: &str, folder: &Path, more: &[&str]) {
    let mut command = java(classpath, "128m", "kafka.tools.StorageTool");
    command.args(["format", "--standalone", "-t", CLUSTER_ID, "-c"]).arg(folder.join(PROPERTIES));
    command.args(more);
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}:\n{out}{err}");
}

fn run(classpath: &str, folder: &Path) -> Process {
    let mut command = java(classpath, "512m", "kafka.Kafka");
    command.arg(folder.join(PROPERTIES));
    Process::start(command, &folder.join("kafka.log"))
}

fn java(classpath: &str, heap: &str, class: &str) -> Command {
    let mut command = Command::new("java");
    command.args([&format!("-Xmx{heap}"), "-XX:+UseSerialGC", "-cp", classpath, class]);
    command
}

/// Whether a broker answers a Metadata request with at least one broker: then it takes part.
fn answers(port: u16) -> bool {
    brokers(port).is_ok_and(|brokers| brokers > 0)
}

fn brokers(port: u16) -> std::io::Result<i32> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    // Its size, then Metadata (3) in version 1, correlation 7, no client id, no topics.
    stream.write_all(&[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 255, 255, 0, 0, 0, 0])?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    Ok(i32::from_be_bytes([head[8], head[9], head[10], head[11]]))
}

/// Where the jars are, as `tests/servers/fetch` says; `None` when nobody has fetched them.
#[must_use]
pub fn kafka_libs() -> Option<PathBuf> {
    std::env::var_os("SERVERS_KAFKA_LIBS").map(PathBuf::from)
}
