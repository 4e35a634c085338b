//! A TCP proxy that can cut the connection around the next request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Where the next request's connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Nowhere.
    Never = 0,
    /// Before the server gets it.
    Before = 1,
    /// After the server has answered it, before the client hears of it.
    After = 2,
}

/// Forwards to one server.
pub(crate) struct Proxy {
    port: u16,
    armed: Arc<AtomicU8>,
    cuts: Arc<AtomicU64>,
}

impl Proxy {
    pub(crate) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (armed, cuts) = (Arc::new(AtomicU8::new(0)), Arc::new(AtomicU64::new(0)));
        let (arm, count) = (Arc::clone(&armed), Arc::clone(&cuts));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
                tokio::spawn(forward(client, server, Arc::clone(&arm), Arc::clone(&count)));
            }
        });
        Self { port, armed, cuts }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Cuts the next request.
    pub(crate) fn arm(&self, cut: Cut) {
        self.armed.store(cut as u8, Ordering::SeqCst);
    }

    /// Connections cut so far.
    pub(crate) fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::SeqCst)
    }
}

async fn forward(
    mut client: TcpStream,
    mut server: TcpStream,
    armed: Arc<AtomicU8>,
    cuts: Arc<AtomicU64>,
) -> Option<()> {
    let (mut request, mut answer) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut cutting = false;
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let bytes = read.ok().filter(|bytes| *bytes > 0)?;
                let cut = armed.swap(Cut::Never as u8, Ordering::SeqCst);
                if cut == Cut::Before as u8 {
                    cuts.fetch_add(1, Ordering::SeqCst);
                    return None;
                }
                cutting |= cut == Cut::After as u8;
                server.write_all(&request[..bytes]).await.ok()?;
            }
            read = server.read(&mut answer) => {
                let bytes = read.ok().filter(|bytes| *bytes > 0)?;
                if cutting {
                    cuts.fetch_add(1, Ordering::SeqCst);
                    return None;
                }
                client.write_all(&answer[..bytes]).await.ok()?;
            }
        }
    }
}
