//! A server as a process of its own, so that its time and its memory can be told from ours.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, fs, thread};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

/// A server that has not answered by then will not.
const START: Duration = Duration::from_secs(30);
/// Linux tells processor time in hundredths of a second, whatever the kernel's own tick is.
const TICKS_A_SECOND: f64 = 100.0;

/// The metric of pages that were packed and kept for other devices.
pub const PAGES_PACKED: &str = "roundsman_shared_pages_packed_total";
/// The metric of pages that were packed for another device before.
pub const PAGES_REUSED: &str = "roundsman_shared_pages_used_total";
/// The metric of all pages that were sent.
pub const PAGES_SENT: &str = "roundsman_pages_sent_total";
/// The metric of batches that were committed.
pub const BATCHES: &str = "roundsman_batch_commands_count";

/// The program to measure: the one that was named, or `roundsman` beside this one.
pub fn program(named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let found = match named {
        Some(path) => path,
        None => env::current_exe().context("this program's own path is not known")?.with_file_name("roundsman"),
    };
    if !found.is_file() {
        anyhow::bail!(
            "there is no server at {}: build it (`cargo build --release -p roundsman`), or name it with --server",
            found.display()
        );
    }
    Ok(found)
}

/// Makes a further tenant, as an operator does.
pub fn create_tenant(
    program: &Path,
    database_url: &str,
    name: &str,
    (login, password): (&str, &str),
) -> anyhow::Result<()> {
    let verb = ["tenant", "create", name, "--login", login];
    operate(program, database_url, &verb, &[("ROUNDSMAN_PASSWORD", password)])
}

/// What an operator does on the command line, with secrets in the environment.
pub fn operate(program: &Path, database_url: &str, verb: &[&str], secrets: &[(&str, &str)]) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.args(verb).env("ROUNDSMAN_DATABASE", database_url).envs(secrets.iter().copied());
    command.env("ROUNDSMAN_LOG", "warn").env_remove("ROUNDSMAN_CONFIG").env_remove("ROUNDSMAN_LOG_FORMAT");
    let output = command.output().context("the server's program can't be started")?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "`roundsman {}` fails: {}", verb.join(" "), said.trim());
    Ok(())
}

/// A running process, which ends with this value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    lines: mpsc::Receiver<String>,
}

impl Server {
    /// `roundsman serve` on a database.
    pub async fn start(program: &Path, database_url: &str) -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(program);
        // By the environment, where the URL's password is not shown to everybody.
        command.arg("serve").env("ROUNDSMAN_DATABASE", database_url).env("ROUNDSMAN_LISTEN", address.to_string());
        command.env("ROUNDSMAN_LOG", "warn").env_remove("ROUNDSMAN_CONFIG").env_remove("ROUNDSMAN_LOG_FORMAT");
        Self::spawn(command, address).await
    }

    /// This program as the server that has no work to do.
    pub async fn start_bare() -> anyhow::Result<Self> {
        let mut command = Command::new(env::current_exe().context("this program's own path is not known")?);
        let address = free_address()?;
        command.args(["bare", "--listen", &address.to_string()]);
        Self::spawn(command, address).await
    }

    async fn spawn(mut command: Command, address: SocketAddr) -> anyhow::Result<Self> {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("the server can't be started")?;
        let lines = lines_of(child.stdout.take().context("the server has no output")?);
        let mut server = Self { child, address, lines };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                anyhow::bail!("the server ended before it served: {status}");
            }
            anyhow::ensure!(begun.elapsed() < START, "the server did not begin to serve within {START:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }

    /// The code that a new server prints for its first administrator.
    pub fn setup_code(&self) -> anyhow::Result<String> {
        // It is printed before the server listens, so it is here, or on its way through the pipe.
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(5)) {
            if let Some((_, code)) = line.rsplit_once("code: ") {
                return Ok(code.trim().to_owned());
            }
        }
        anyhow::bail!("the server printed no setup code")
    }

    /// One of its metrics; 0 as long as it counts nothing.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let mut stream = tokio::net::TcpStream::connect(self.address).await?;
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::ensure!(answer.starts_with("HTTP/1.1 200"), "the server shows no metrics: {answer:.60}");
        let values = answer.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        values.map(|value| Ok(value.trim().parse::<f64>()?)).sum()
    }

    /// Processor time that it has taken so far, in seconds.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The second field is the program's name in parentheses, which may hold anything.
        let fields = stat.rsplit_once(')').context("the process has no state")?.1;
        let field = |index: usize| fields.split_whitespace().nth(index).and_then(|field| field.parse::<f64>().ok());
        let (user, system) = field(11).zip(field(12)).context("the process has no times")?;
        Ok((user + system) / TICKS_A_SECOND)
    }

    /// The most memory that it has ever held, in MiB.
    pub fn peak_mib(&self) -> anyhow::Result<f64> {
        self.mib("VmHWM:")
    }

    /// The memory that it holds now, in MiB.
    pub fn resident_mib(&self) -> anyhow::Result<f64> {
        self.mib("VmRSS:")
    }

    fn mib(&self, name: &str) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let found = status.lines().find_map(|line| line.strip_prefix(name)).context("the process has no memory")?;
        let kib: f64 = found.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Server {
    /// At once: what it has acknowledged is durable, and its database is ours.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody has now.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?.local_addr()?)
}

/// Reads on whether or not anybody listens, or the server would wait for us.
fn lines_of(output: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    lines
}
