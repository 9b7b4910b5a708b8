//! Processes that are measured, and what the kernel says they use. They listen on loopback, and end with this program.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::{Child, Command};

use crate::load::now;

/// A process that was started to be measured.
pub struct Process {
    child: Child,
    pid: u32,
}

/// What a process has used since it began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time of all its threads, in seconds.
    pub cpu_seconds: f64,
    /// Bytes that it had written to storage.
    pub bytes_written: u64,
}

impl Process {
    /// Starts a command with its output in a file, which is shown when it ends too early.
    pub fn start(mut command: Command, log: &Path) -> Result<Process> {
        let file = std::fs::File::create(log).with_context(|| format!("failed to create {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("failed to start `{program}`"))?;
        let pid = child.id().context("a process that was just started has an id")?;
        Ok(Process { child, pid })
    }

    /// Fails when the process is gone.
    pub fn check(&mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "the process ended: {}", ended.map(|status| status.to_string()).unwrap_or_default());
        Ok(())
    }

    /// SIGKILL, and waits until it is gone.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("failed to end a process")
    }

    /// Resident memory in MiB.
    pub fn resident(&self) -> Result<f64> {
        self.status("VmRSS:")
    }

    /// The most resident memory that it ever had, in MiB.
    pub fn resident_peak(&self) -> Result<f64> {
        self.status("VmHWM:")
    }

    fn status(&self, row: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find(|line| line.starts_with(row)).context("the kernel tells resident memory")?;
        let kib: f64 = line.split_whitespace().nth(1).context("a number follows")?.parse()?;
        Ok(kib / 1024.0)
    }

    /// What it has used so far.
    pub fn usage(&self) -> Result<Usage> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        // utime and stime, at the usual 100 ticks a second.
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.pid))?;
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap_or("0");
        Ok(Usage { cpu_seconds: ticks / 100.0, bytes_written: written.trim().parse()? })
    }
}

/// A port of loopback that nothing listens on.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until something listens on a port of loopback.
pub async fn listening(port: u16, process: &mut Process) -> Result<()> {
    let began = now();
    // A connection to a port that nobody has may be given that very port, and so reach itself.
    let answers = async || match tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
        Ok(stream) => stream.local_addr().is_ok_and(|own| own.port() != port),
        Err(_) => false,
    };
    while !answers().await {
        process.check()?;
        ensure!(began.elapsed() < Duration::from_secs(60), "nothing listens on port {port} after a minute");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
