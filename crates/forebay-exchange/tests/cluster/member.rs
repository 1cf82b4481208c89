//! One process of a cluster, as a program would run it: this test binary, started again with its orders in the environment.
//!
//! It reports to the test over a socket, line by line: `stage NAME` for each stage that it reaches, then `sum`, `rows`
//! and `refused`, and at last `done` or `error KIND PROCESS: text`. At the stages that it is told to hold at it waits for a line from the test.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_exchange::cluster::ClusterError;
use forebay_exchange::{Cluster, ClusterOptions, ExchangeError, Failure, Runtime, execute};
use timely::communication::Hooks;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::operator::source;

/// Rows that a worker's source sends at a time.
const BATCH: u64 = 100;

/// Rows that the source of a worker sends at most if it is told to send more than that; then it waits for ever.
const ENOUGH: u64 = 200_000;

/// The line to the test.
#[derive(Clone)]
struct Line {
    write: Arc<Mutex<UnixStream>>,
    hold: Arc<Vec<String>>,
}

impl Line {
    fn say(&self, text: &str) {
        // The test may have ended.
        let _ = writeln!(self.write.lock().unwrap(), "{text}");
    }

    fn holds(&self, stage: &str) -> bool {
        self.hold.iter().any(|hold| hold == stage)
    }

    fn stage(&self, stage: &str) {
        self.say(&format!("stage {stage}"));
        if self.holds(stage) {
            self.wait();
        }
    }

    fn wait(&self) {
        let read = self.write.lock().unwrap().try_clone().unwrap();
        let _ = BufReader::new(read).read_line(&mut String::new());
    }
}

fn order(name: &str) -> String {
    env::var(format!("FOREBAY_MEMBER_{name}")).unwrap_or_default()
}

#[test]
#[ignore = "a process that other tests start"]
fn member() {
    let Ok(socket) = env::var("FOREBAY_MEMBER_LINE") else { return };
    let write = Arc::new(Mutex::new(UnixStream::connect(socket).unwrap()));
    let line = Line { write, hold: Arc::new(order("HOLD").split(',').map(str::to_owned).collect()) };
    let (hooked, default) = (line.clone(), panic::take_hook());
    panic::set_hook(Box::new(move |info| {
        hooked.say(&format!("panic {}", info.to_string().replace('\n', " ")));
        default(info);
    }));
    let code = match run(&line) {
        Ok(()) => {
            line.say("done");
            0
        }
        Err(error) => {
            let (kind, process) = match &error {
                ExchangeError::PeerLost { process, .. } => ("lost", *process),
                ExchangeError::Aborted { process, .. } => ("aborted", *process),
                ExchangeError::Cluster(ClusterError::Connect { process, .. }) => ("connect", *process),
                ExchangeError::Cluster(ClusterError::Missing { process, .. }) => ("missing", *process),
                ExchangeError::Cluster(_) => ("cluster", 0),
                ExchangeError::Panicked { .. } => ("panicked", 0),
                _ => ("other", 0),
            };
            line.say(&format!("error {kind} {process}: {error}"));
            line.say(&format!("threads {}", threads().join(" ")));
            3
        }
    };
    std::process::exit(code);
}

/// Threads of timely and of the cluster that are still there, a moment after the run has failed.
fn threads() -> Vec<String> {
    let mut left = Vec::new();
    for _ in 0..100 {
        let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        let ours = |name: &str| ["timely", "control", "door"].iter().any(|ours| name.starts_with(ours));
        left = names.map(|name| name.trim_end().to_owned()).filter(|name| ours(name)).collect();
        if left.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    left
}

fn run(line: &Line) -> Result<(), ExchangeError> {
    let workers: usize = order("WORKERS").parse().unwrap();
    let rows: u64 = order("ROWS").parse().unwrap();
    let fail = order("FAIL");
    let hosts = order("HOSTS").split(',').map(str::to_owned).collect();
    // The listening socket that the test has bound is this process's standard input.
    let listener = TcpListener::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    line.stage("start");
    let cluster = Cluster::connect(ClusterOptions {
        listener: Some(listener),
        secret: Some(order("SECRET").into_bytes()),
        job: order("JOB"),
        deadline: Duration::from_millis(order("DEADLINE").parse().unwrap()),
        ..ClusterOptions::new(hosts, order("PROCESS").parse().unwrap())
    })?;
    line.stage("connected");
    let (looking, same) = (line.clone(), order("SAME"));
    cluster.beside("look", move || looking.stage("looking"))?;
    if !same.is_empty() {
        cluster.agree(&same)?;
    }
    cluster.barrier(1)?;
    line.stage("barrier");
    let failure = Failure::new();
    let (sum, count) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let dataflow = dataflow(line, rows, fail.clone(), &failure, (&sum, &count));
    let runtime = Runtime::Cluster { cluster: &cluster, workers, hooks: Hooks::default() };
    let indexes = execute(runtime, &failure, dataflow)?;
    let first = cluster.process() * workers;
    assert_eq!(indexes, (first..first + workers).collect::<Vec<_>>());
    line.stage("ended");
    if fail == "late" {
        let error = ExchangeError::Thread { name: "output".to_owned(), cause: "no space left".to_owned() };
        cluster.abort(&error);
        return Err(error);
    }
    if fail == "forgets" {
        return Ok(());
    }
    let dir = order("PUBLISH");
    if !dir.is_empty() {
        return publish(line, cluster, Path::new(&dir));
    }
    cluster.barrier(7)?;
    line.stage("published");
    line.say(&format!("sum {}", sum.load(Ordering::Relaxed)));
    line.say(&format!("rows {}", count.load(Ordering::Relaxed)));
    line.say(&format!("refused {}", cluster.snapshot().refused));
    line.say(&format!("beats {}", cluster.snapshot().peers.iter().map(|peer| peer.beats_received).sum::<u64>()));
    cluster.close()?;
    line.stage("closed");
    Ok(())
}

/// Publishes a file of its number in `dir`, together with the others.
fn publish(line: &Line, cluster: Cluster, dir: &Path) -> Result<(), ExchangeError> {
    let path = dir.join(cluster.process().to_string());
    line.stage("whole");
    cluster.ready(cluster.process() as u64)?;
    line.stage("ready");
    std::fs::write(&path, "").unwrap();
    line.stage("named");
    if let Err(error) = cluster.conclude() {
        std::fs::remove_file(&path).unwrap();
        return Err(error);
    }
    line.stage("final");
    // Who is lost now is no failure.
    let _ = cluster.close();
    Ok(())
}

/// Each worker sends the numbers below `rows` to the workers they belong to, which add them up. When a quarter of them
/// is sent, the stage `running` is reached.
fn dataflow(
    line: &Line,
    rows: u64,
    fail: String,
    failure: &Failure,
    (sum, count): (&Arc<AtomicU64>, &Arc<AtomicU64>),
) -> impl Fn(&mut timely::worker::Worker) -> usize + Send + Sync + 'static {
    let (line, failure, sum, count) = (line.clone(), failure.clone(), Arc::clone(sum), Arc::clone(count));
    let reached = Arc::new(AtomicBool::new(false));
    move |worker| {
        let index = worker.index();
        worker.dataflow::<u64, _, _>(|scope| {
            let (line, failure, fail, reached) = (line.clone(), failure.clone(), fail.clone(), Arc::clone(&reached));
            let numbers = source(scope, "numbers", |capability, info| {
                let activator = scope.activator_for(info.address.clone());
                let sync = scope.worker().sync_activator_for(info.address.to_vec());
                let (mut capability, mut next) = (Some(capability), 0);
                let released = Arc::new(AtomicBool::new(true));
                move |output: &mut timely::dataflow::operators::generic::OutputBuilderSession<'_, u64, _>| {
                    let Some(held) = capability.as_ref() else { return };
                    if !released.load(Ordering::Acquire) {
                        return;
                    }
                    let mut session = output.session(held);
                    for number in next..rows.min(next + BATCH) {
                        session.give(number);
                    }
                    drop(session);
                    next += BATCH;
                    if next.is_multiple_of(100 * BATCH) && next <= ENOUGH {
                        line.say(&format!("progress {next}"));
                    }
                    if next > rows.min(ENOUGH) / 4 && !reached.swap(true, Ordering::Relaxed) {
                        match fail.as_str() {
                            "set" => failure.set(ExchangeError::Thread {
                                name: "merger".to_owned(),
                                cause: "the disk is full".to_owned(),
                            }),
                            "hang" => {
                                failure.set(ExchangeError::Thread {
                                    name: "merger".to_owned(),
                                    cause: "the disk is full".to_owned(),
                                });
                                loop {
                                    std::thread::park();
                                }
                            }
                            "panic" => panic!("an operator has a bug"),
                            _ => {}
                        }
                        if line.holds("running") {
                            released.store(false, Ordering::Release);
                            let (line, released, sync) = (line.clone(), Arc::clone(&released), sync.clone());
                            std::thread::spawn(move || {
                                line.stage("running");
                                released.store(true, Ordering::Release);
                                let _ = sync.activate();
                            });
                        } else {
                            line.stage("running");
                        }
                    }
                    if next >= ENOUGH && rows > ENOUGH {
                        // Enough for a run that is to be ended from outside: it idles.
                    } else if next < rows {
                        activator.activate();
                    } else {
                        capability = None;
                    }
                }
            });
            let (sum, count) = (Arc::clone(&sum), Arc::clone(&count));
            numbers
                .unary::<timely::container::CapacityContainerBuilder<Vec<u64>>, _, _, _>(
                    Exchange::new(|number: &u64| *number),
                    "mine",
                    move |_, _| {
                        move |input, output| {
                            input.for_each(|time, numbers| {
                                sum.fetch_add(numbers.iter().sum(), Ordering::Relaxed);
                                count.fetch_add(numbers.len() as u64, Ordering::Relaxed);
                                output.session(&time).give_container(numbers);
                            });
                        }
                    },
                )
                .sink(Pipeline, "end", |(input, _)| input.for_each(|_, numbers| numbers.clear()));
        });
        index
    }
}
