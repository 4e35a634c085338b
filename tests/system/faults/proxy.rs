//! A proxy before Redis that loses replies: it hands commits on and cuts the connection when they are
//! answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// What the function that commits is called, up to the digest of its text.
const COMMIT: &[u8] = b"twofold_commit_";

/// Forwards to one server until it is dropped.
pub(super) struct Proxy {
    _runtime: Runtime,
    port: u16,
    cuts: Arc<AtomicU64>,
}

/// Which replies are lost.
#[derive(Clone)]
struct Loss {
    one_in: u32,
    cuts_max: u64,
    cuts: Arc<AtomicU64>,
}

impl Proxy {
    /// Loses the reply to about one commit in `one_in` of those that may be lost, `cuts_max` times.
    pub(super) fn start(server: u16, seed: u64, one_in: u32, cuts_max: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let cuts = Arc::new(AtomicU64::new(0));
        let loss = Loss { one_in, cuts_max, cuts: Arc::clone(&cuts) };
        runtime.spawn(async move {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
                let random = ChaCha8Rng::seed_from_u64(random.random());
                tokio::spawn(forward(client, server, loss.clone(), random));
            }
        });
        Self { _runtime: runtime, port, cuts }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Connections cut so far.
    pub(super) fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::SeqCst)
    }
}

/// Ends with the connection.
async fn forward(
    mut client: TcpStream,
    mut server: TcpStream,
    loss: Loss,
    mut random: ChaCha8Rng,
) -> Option<()> {
    let (mut request, mut answer) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut cutting = false;
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let bytes = &request[..read.ok().filter(|bytes| *bytes > 0)?];
                let commits = bytes.windows(COMMIT.len()).any(|window| window == COMMIT);
                cutting |= commits
                    && random.random_ratio(1, loss.one_in)
                    && loss.cuts.load(Ordering::SeqCst) < loss.cuts_max;
                server.write_all(bytes).await.ok()?;
            }
            read = server.read(&mut answer) => {
                let bytes = &answer[..read.ok().filter(|bytes| *bytes > 0)?];
                if cutting {
                    loss.cuts.fetch_add(1, Ordering::SeqCst);
                    return None;
                }
                client.write_all(bytes).await.ok()?;
            }
        }
    }
}
