//! What other programs make of what forebay writes. (That `forebay sync` does what rsync does is
//! asked by the workspace's ordinary tests, with stock rsync as the oracle.)

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::report::{Report, check, check_within};
use crate::workspace::Workspace;

/// Runs every exchange; each counts as one.
pub(crate) fn run(workspace: &Workspace, report: &mut Report) {
    report.step("interop bash", || completions(workspace));
    report.step("interop groff", || man_page(workspace));
    report.step("interop zstd", || compressed_file(workspace));
}

/// bash can read the completions.
fn completions(workspace: &Workspace) -> Result<()> {
    let script = output(workspace.command(workspace.built("forebay"), "completions bash"))?;
    let file = workspace.target().join("interop-completions.bash");
    fs::write(&file, script).with_context(|| format!("write {}", file.display()))?;
    let mut bash = Command::new("bash");
    bash.arg("-n").arg(&file);
    check(bash)
}

/// groff renders the man page without a complaint.
fn man_page(workspace: &Workspace) -> Result<()> {
    let page = output(workspace.command(workspace.built("forebay"), "man"))?;
    let file = workspace.target().join("interop-forebay.1");
    fs::write(&file, page).with_context(|| format!("write {}", file.display()))?;
    let mut groff = Command::new("groff");
    groff.args(["-man", "-Tutf8", "-P-cbu"]).arg(&file);
    let rendered = groff.output().context("run groff")?;
    let complaints = String::from_utf8_lossy(&rendered.stderr);
    ensure!(rendered.status.success() && complaints.is_empty(), "groff: {}: {complaints}", rendered.status);
    ensure!(
        String::from_utf8_lossy(&rendered.stdout).contains("SUBCOMMANDS"),
        "the rendered page lists no subcommands"
    );
    Ok(())
}

/// `zstd -d` reads what the compress example wrote, byte for byte. The input is the program itself:
/// there on every machine, and tens of MiB.
fn compressed_file(workspace: &Workspace) -> Result<()> {
    let input = workspace.built("forebay");
    let compressed = workspace.target().join("interop.zst");
    let mut compress = Command::new(workspace.built("examples/compress"));
    compress.arg(&input).arg(&compressed);
    check_within(Duration::from_secs(120), compress)?;
    let mut zstd = Command::new("zstd");
    zstd.args(["-d", "-q", "-c"]).arg(&compressed);
    let original = fs::read(&input).with_context(|| format!("read {}", input.display()))?;
    ensure!(output(zstd)? == original, "zstd -d gives other bytes than went in");
    Ok(())
}

/// What `command` writes to its standard output.
fn output(mut command: Command) -> Result<Vec<u8>> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    Ok(output.stdout)
}
