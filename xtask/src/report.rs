//! Runs steps, counts what passed and failed, and says so at the end.

use std::io::{BufRead, BufReader, pipe};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// What has been run so far.
#[derive(Default)]
pub(crate) struct Report {
    passed: usize,
    failed: usize,
    failures: Vec<String>,
    lines: Vec<String>,
}

impl Report {
    /// Runs a step that passes or fails as a whole.
    pub(crate) fn step(&mut self, name: &str, run: impl FnOnce() -> Result<()>) {
        self.counted(name, || run().map(|()| (1, 0)));
    }

    /// Runs a command that runs tests, and counts those.
    pub(crate) fn tests(&mut self, name: &str, command: Command) {
        self.counted(name, || run_tests(command));
    }

    /// Notes a step that could not be run.
    pub(crate) fn left_out(&mut self, name: &str, why: &str) {
        self.lines.push(format!("{name:<24} not run: {why}"));
    }

    fn counted(&mut self, name: &str, run: impl FnOnce() -> Result<(usize, usize)>) {
        println!("==> {name}");
        let start = Instant::now();
        let (passed, failed) = run().unwrap_or_else(|error| {
            println!("{name}: {error:#}");
            (0, 1)
        });
        self.passed += passed;
        self.failed += failed;
        if failed > 0 {
            self.failures.push(name.to_owned());
        }
        let seconds = start.elapsed().as_secs_f64();
        self.lines.push(format!("{name:<24} {seconds:>7.1} s {passed:>6} passed {failed:>4} failed"));
    }

    /// Prints the time of each step and, if nothing failed, the closing line.
    ///
    /// # Errors
    /// Names the steps that failed.
    pub(crate) fn finish(self) -> Result<()> {
        println!("==> steps");
        for line in &self.lines {
            println!("{line}");
        }
        if self.failed > 0 {
            bail!("failed: {} ({} of {})", self.failures.join(", "), self.failed, self.passed + self.failed);
        }
        println!("{} passed, 0 failed", self.passed);
        Ok(())
    }

    /// Whether the step of this name has failed.
    pub(crate) fn has_failed(&self, name: &str) -> bool {
        self.failures.iter().any(|failure| failure == name)
    }
}

/// Runs `command` with this program's own output.
pub(crate) fn check(mut command: Command) -> Result<()> {
    let status = command.status().with_context(|| format!("run {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// As [`check`], but ends a command that has run for `limit`.
pub(crate) fn check_within(limit: Duration, mut command: Command) -> Result<()> {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).spawn().with_context(|| format!("run {command:?}"))?;
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "{command:?}: {status}");
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    bail!("{command:?}: still running after {} s", limit.as_secs())
}

/// Passes the command's output on line by line and adds up its summaries.
fn run_tests(mut command: Command) -> Result<(usize, usize)> {
    let (reader, writer) = pipe()?;
    command.env("CARGO_TERM_COLOR", "never").stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("run {command:?}"))?;
    drop(command); // and with it our ends of the pipe, so that reading ends with the child
    let (mut passed, mut failed) = (0, 0);
    for line in BufReader::new(reader).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        let counts = summary(&line);
        passed += counts.0;
        failed += counts.1;
    }
    let status = child.wait()?;
    if !status.success() {
        println!("tests ended with {status}");
        failed = failed.max(1);
    }
    Ok((passed, failed))
}

/// Tests passed and failed according to a closing line of nextest or of cargo's own runner.
fn summary(line: &str) -> (usize, usize) {
    // Nextest indents its own closing line, and what a failed test has printed, among which is that of cargo's runner.
    if !(line.trim_start().starts_with("Summary [") || line.starts_with("test result:")) {
        return (0, 0);
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    words.windows(2).fold((0, 0), |(passed, failed), pair| {
        let Ok(count) = pair[0].parse::<usize>() else {
            return (passed, failed);
        };
        match pair[1].trim_end_matches([',', ';']) {
            "passed" => (passed + count, failed),
            "failed" | "timed" | "exec" => (passed, failed + count), // "timed out", "exec failed"
            _ => (passed, failed),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn counts_the_summary_of_nextest() {
        assert_eq!(summary("     Summary [   0.069s] 2 tests run: 1 passed, 1 failed, 1 skipped"), (1, 1));
        assert_eq!(
            summary(
                "     Summary [  61.000s] 9 tests run: 6 passed (2 slow, 1 flaky), 1 failed, 2 timed out, 0 skipped"
            ),
            (6, 3)
        );
        assert_eq!(summary("     Summary [   0.1s] 3 tests run: 2 passed, 1 exec failed, 0 skipped"), (2, 1));
    }

    #[test]
    fn counts_the_summary_of_cargo_test() {
        assert_eq!(
            summary("test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 1 filtered out; finished in 0.05s"),
            (12, 0)
        );
        assert_eq!(summary("test result: FAILED. 1 passed; 4 failed; 1 ignored; 0 measured; 0 filtered out"), (1, 4));
    }

    #[test]
    fn counts_nothing_else() {
        assert_eq!(summary("warning: 3 failed"), (0, 0));
        assert_eq!(summary("        PASS [   0.005s] (1/2) x 7 passed"), (0, 0));
        assert_eq!(
            summary("    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 3 filtered out"),
            (0, 0)
        );
    }
}
