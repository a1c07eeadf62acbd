//! The server of the demonstration: the same program, as a child process, so that it can be killed without warning and
//! started again. Its clock is simulated and given from here, so that a server that comes back goes on in the same day.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::sync::{mpsc, oneshot};
use tonic::transport::{Channel, Endpoint};

use crate::clock::Clock;

/// So long a server may take to start, or to stop in good order.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks whether it is so far.
const LOOK: Duration = Duration::from_millis(10);
/// So much of its log is shown when it fails.
const LOG_BYTES: u64 = 2_000;

/// How `serve` is told to live in a simulation. For the demo only: hidden from the help of `serve`.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Simulated {
    /// The moment at which the clock begins, in microseconds since the Unix epoch.
    #[arg(long, hide = true, requires = "simulated_origin_us")]
    simulated_start_us: Option<i64>,
    /// The machine's moment at which the simulation began, in microseconds since the Unix epoch.
    #[arg(long, hide = true, requires = "simulated_start_us")]
    simulated_origin_us: Option<i64>,
    /// How many times faster than the machine's the clock runs.
    #[arg(long, hide = true, default_value_t = 1, requires = "simulated_start_us")]
    simulated_speed: i64,
    /// Stop when standard input ends: no server outlives the demo that started it.
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

impl Simulated {
    /// The clock to serve by.
    #[must_use]
    pub fn clock(&self) -> Clock {
        match (self.simulated_start_us, self.simulated_origin_us) {
            (Some(start_us), Some(origin_us)) => Clock::Scaled { start_us, origin_us, speed: self.simulated_speed },
            _ => Clock::Machine,
        }
    }

    /// Resolves when standard input ends, if that is to stop the server; never otherwise.
    pub async fn orphaned(&self) {
        if !self.until_stdin_closes {
            return std::future::pending().await;
        }
        let (ended, end) = oneshot::channel();
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            let _ = ended.send(());
        });
        let _ = end.await;
    }
}

/// The server's process, or the place for one.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    address: SocketAddr,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// Closed, it tells the server to stop.
    stdin: ChildStdin,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Server {
    /// A server that keeps its data in a folder, on a port that is free now; nothing runs yet.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = address.context("there is no free port on 127.0.0.1")?;
        Ok(Self { folder: folder.to_owned(), address, running: None })
    }

    /// Where it is served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The database's URL.
    #[must_use]
    pub fn database(&self) -> String {
        format!("sqlite:{}", self.folder.join("roundsman.db").display())
    }

    /// Where it writes its log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// A connection that comes back by itself when the server does.
    ///
    /// # Errors
    /// Never with an address like ours.
    pub fn channel(&self) -> anyhow::Result<Channel> {
        let endpoint = Endpoint::try_from(format!("http://{}", self.address))?;
        Ok(endpoint.connect_timeout(Duration::from_secs(1)).tcp_nodelay(true).connect_lazy())
    }

    /// Starts the server and waits until it listens.
    ///
    /// # Errors
    /// When it can't be started, ends at once, or takes too long.
    pub async fn start(&mut self, clock: &Clock) -> anyhow::Result<()> {
        let log =
            File::options().create(true).append(true).open(self.log()).context("the server's log can't be made")?;
        let mut command = Command::new(std::env::current_exe().context("this program's own file is unknown")?);
        command
            .args(["serve", "--until-stdin-closes", "--log", "info", "--log-format", "text"])
            .args(["--database", &self.database()])
            .args(["--listen", &self.address.to_string()]);
        if let Clock::Scaled { start_us, origin_us, speed } = clock {
            command
                .args(["--simulated-start-us", &start_us.to_string()])
                .args(["--simulated-origin-us", &origin_us.to_string()])
                .args(["--simulated-speed", &speed.to_string()]);
        }
        command.env_remove("ROUNDSMAN_CONFIG").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().context("the server can't be started")?;
        let stdin = child.stdin.take().context("the server has no standard input")?;
        let stdout = child.stdout.take().context("the server has no standard output")?;
        let (send, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        self.running = Some(Running { child, stdin, lines });
        self.listening().await
    }

    async fn listening(&mut self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            let running = self.running.as_mut().context("the server is not running")?;
            if let Some(status) = running.child.try_wait()? {
                anyhow::bail!("the server ended at once ({status}); the end of its log:\n{}", self.end_of_log());
            }
            if tokio::time::Instant::now() > deadline {
                anyhow::bail!("the server does not listen; the end of its log:\n{}", self.end_of_log());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// The one-time code that a new server prints.
    ///
    /// # Errors
    /// When it prints none.
    pub async fn setup_code(&mut self) -> anyhow::Result<String> {
        const MARK: &str = "with this code: ";
        let running = self.running.as_mut().context("the server is not running")?;
        let code = async {
            while let Some(line) = running.lines.recv().await {
                if let Some((_, code)) = line.split_once(MARK) {
                    return Some(code.trim().to_owned());
                }
            }
            None
        };
        let code = tokio::time::timeout(PATIENCE, code).await.ok().flatten();
        code.context("the server has printed no code; is --data an empty folder?")
    }

    /// Ends the process at once, as a power failure would: SIGKILL.
    ///
    /// # Errors
    /// When it can't be killed.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut running) = self.running.take() {
            running.child.kill().context("the server can't be killed")?;
            running.child.wait().context("the server can't be waited for")?;
        }
        Ok(())
    }

    /// Ends the process in good order.
    ///
    /// # Errors
    /// When it does not end, or says that something went wrong.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let Some(Running { mut child, stdin, lines: _lines }) = self.running.take() else { return Ok(()) };
        drop(stdin);
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait()? {
                anyhow::ensure!(status.success(), "the server ended with {status}:\n{}", self.end_of_log());
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                child.kill().context("the server can't be killed")?;
                anyhow::bail!("the server did not stop in {PATIENCE:?}; the end of its log:\n{}", self.end_of_log());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn end_of_log(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(self.log()) {
            let length = file.metadata().map_or(0, |data| data.len());
            let _ = file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES)));
            let _ = file.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Closing its standard input would do; this does not wait for it.
        let _ = self.kill();
    }
}
