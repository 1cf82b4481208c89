//! Several processes: their parts together are DuckDB's groups, and the loss of one ends all of them.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Bench, Did, LONG, end, names, number, wait_until};
use crate::oracle::{Oracle, Random, Table, seeds};

/// Addresses of so many processes, which nobody uses now.
fn hosts(count: usize) -> Vec<String> {
    let bound: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    bound.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect()
}

/// Whether somebody else took one of the addresses meanwhile.
fn clashed(all: &[Did]) -> bool {
    all.iter().any(|did| did.err.contains("Address already in use"))
}

/// Groups `table` with so many processes into `out`.
fn group(bench: &Bench, table: &Table, processes: usize, more: &[&str]) -> Vec<Did> {
    let args: Vec<&str> = table.args.iter().map(String::as_str).chain(more.iter().copied()).collect();
    group_each(bench, &vec![args; processes])
}

/// Groups with one process for each of `args`, into `out`.
fn group_each(bench: &Bench, args: &[Vec<&str>]) -> Vec<Did> {
    for _ in 0..5 {
        bench.file("hosts.txt", &hosts(args.len()).join("\n"));
        let start = |(process, args): (usize, &Vec<&str>)| {
            let process = process.to_string();
            let cluster = ["--processes", "hosts.txt", "--process", &process, "-o", "out", "--stats"];
            bench.command(&[&args[..], &cluster].concat()).spawn().unwrap()
        };
        let children: Vec<Child> = args.iter().enumerate().map(start).collect();
        let all: Vec<Did> = thread::scope(|scope| {
            let ends: Vec<_> = children.into_iter().map(|child| scope.spawn(|| end(child))).collect();
            ends.into_iter().map(|did| did.join().unwrap()).collect()
        });
        if !clashed(&all) {
            return all;
        }
    }
    panic!("no ports are free");
}

fn random_tables(processes: usize, rounds: u64) {
    let mut oracle = Oracle::start();
    for seed in seeds(rounds) {
        let bench = Bench::new();
        let mut random = Random::new(seed);
        let format = random.pick(&["parquet", "csv", "ndjson"]);
        // Five files, so that no process is without one; each has any of the keys.
        let table = oracle.table(&bench, seed, format, json!({ "files": 5, "rows": random.pick(&[20, 5000, 20000]) }));
        let mut more = vec!["-w", random.pick(&["1", "2", "3"])];
        more.extend(random.pick(&[&["--memory", "64M"][..], &[]]));
        let told = || format!("seed {seed} of {format}: {} {}", table.args.join(" "), more.join(" "));
        let all = group(&bench, &table, processes, &more);
        assert!(all.iter().all(|did| did.code == Some(0)), "{}: {all:?}", told());
        let read: u64 = all.iter().map(|did| number(&did.err, "rows in, ")).sum();
        assert_eq!(read, table.rows, "{}: {all:?}", told());
        let parts: Vec<_> = names(&bench.path("out"));
        let expected: Vec<_> = (0..processes).map(|process| format!("part-{process}.parquet")).collect();
        assert_eq!(parts, expected, "{}", told());
        let parts: Vec<_> = parts.iter().map(|part| bench.path("out").join(part)).collect();
        oracle.check(&parts).unwrap_or_else(|error| panic!("{}: {error}", told()));
    }
}

#[test]
fn two_processes_find_duckdbs_groups() {
    random_tables(2, 6);
}

#[test]
fn four_processes_find_duckdbs_groups() {
    random_tables(4, 4);
}

#[test]
fn rows_go_to_the_processes_that_own_them() {
    let (bench, mut oracle) = (Bench::new(), Oracle::start());
    oracle.pairs(&bench, 100_000);
    let all = ["in.parquet", "empty.csv"];
    bench.file("empty.csv", "k,n\n");
    let args = ["--by", "k", "--agg", "count,sum:n"].into_iter().chain(all).map(str::to_owned).collect();
    let table = Table { args, rows: 200_000 };
    let all = group(&bench, &table, 2, &["-w", "2"]);
    assert!(all.iter().all(|did| did.code == Some(0)), "{all:?}");
    // Everything was read by the first, and half of it is the second's.
    assert_eq!(number(&all[0].err, "rows in, "), 200_000);
    let moved = number(&all[0].err, "rows went to another worker");
    assert!((100_000..=200_000).contains(&moved), "{all:?}");
    for did in &all {
        let groups = number(&did.err, "rows out");
        assert!((40_000..60_000).contains(&groups), "{all:?}");
        assert_eq!(number(&did.err, "used;"), 2, "{all:?}");
    }
    let parts = [0, 1].map(|process| bench.path("out").join(format!("part-{process}.parquet")));
    assert_eq!(oracle.check(&parts), Ok(100_000));
}

const PROCESSES: usize = 4;
const LOST: usize = 2;

/// A process with a directory of its own, whose input gives nothing more and does not end.
struct Waiting {
    child: Child,
    /// Its input, which stays open.
    _input: File,
}

/// Starts them, and waits until each of them has met the others and read most of what there is.
fn start(bench: &Bench, hosts: &[String]) -> Option<Vec<Waiting>> {
    let children: Vec<_> = (0..PROCESSES).map(|process| start_one(bench, hosts, process)).collect();
    let mut waiting = Vec::new();
    let mut early = Vec::new();
    for (mut child, input) in children {
        match input.recv_timeout(LONG).expect("it reads") {
            Some(input) => waiting.push(Waiting { child, _input: input }),
            None => {
                let _ = child.kill();
                early.push(end(child));
            }
        }
    }
    if early.is_empty() {
        return Some(waiting);
    }
    for mut waiting in waiting {
        let _ = waiting.child.kill();
        early.push(end(waiting.child));
    }
    assert!(clashed(&early), "{early:?}");
    None
}

/// Starts one and feeds it; gives its input when it has taken more of it than it looks at to find the types, or nothing
/// if it ended instead.
fn start_one(bench: &Bench, hosts: &[String], process: usize) -> (Child, mpsc::Receiver<Option<File>>) {
    let dir = bench.path(&format!("process{process}"));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("hosts.txt"), hosts.join("\n")).unwrap();
    for input in (0..PROCESSES).filter(|input| *input != process) {
        fs::write(dir.join(format!("in{input}.csv")), "k,n\n1,1\n").unwrap();
    }
    let pipe = dir.join(format!("in{process}.csv"));
    if !pipe.exists() {
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    }
    let number = process.to_string();
    let args =
        "--by k --agg count -w 2 --processes hosts.txt --deadline 2 -o out in0.csv in1.csv in2.csv in3.csv --process";
    let args: Vec<&str> = args.split(' ').chain([number.as_str()]).collect();
    let child = bench.command(&args).current_dir(&dir).spawn().unwrap();
    let (sender, receiver) = mpsc::channel();
    // Opening and writing wait for the child, perhaps for ever: the receiver has a time limit.
    thread::spawn(move || {
        let mut input = File::options().write(true).open(&pipe).unwrap();
        let rows: String = (0..400_000).map(|n| format!("{n},1\n")).collect();
        let written = input.write_all(b"k,n\n").and_then(|()| input.write_all(rows.as_bytes()));
        let _ = sender.send(written.is_ok().then_some(input));
    });
    (child, receiver)
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Nothing was published in the directory of `process`, and if it ended by itself, nothing is left there.
fn assert_nothing_is_left(bench: &Bench, process: usize, killed: bool) {
    let out = bench.path(&format!("process{process}")).join("out");
    let left = if Path::new(&out).exists() { names(&out) } else { Vec::new() };
    assert!(left.iter().all(|name| killed && !name.starts_with("part-")), "process {process} left {left:?}");
}

/// What the others do when `how` comes to one of them.
fn lose(how: &str) {
    for _ in 0..5 {
        let (bench, hosts) = (Bench::new(), hosts(PROCESSES));
        let Some(mut all) = start(&bench, &hosts) else { continue };
        let lost = all.remove(LOST);
        let since = Instant::now();
        signal(&lost.child, how);
        let others: Vec<usize> = (0..PROCESSES).filter(|process| *process != LOST).collect();
        thread::scope(|scope| {
            let ends: Vec<_> =
                all.iter_mut().map(|waiting| scope.spawn(move || finished(&mut waiting.child))).collect();
            ends.into_iter().for_each(|end| end.join().unwrap());
        });
        let took = since.elapsed();
        for (process, waiting) in others.into_iter().zip(all) {
            let did = end(waiting.child);
            assert_eq!(did.code, Some(3), "process {process}: {}", did.err);
            let expected = format!("process {LOST} ({}) is lost: ", hosts[LOST]);
            assert!(did.err.contains(&expected), "process {process}: {}", did.err);
            assert!(did.err.lines().all(|line| line.starts_with("forebay: ")), "process {process}: {}", did.err);
            assert!(!did.err.contains("panic"), "process {process}: {}", did.err);
            assert_nothing_is_left(&bench, process, false);
        }
        // The deadline is 2 s; the rest is for a machine that is busy. Without it they wait for pipes that nobody closes.
        assert!(took < Duration::from_secs(20), "it took them {took:?}");
        if how == "STOP" {
            signal(&lost.child, "CONT");
            let did = end(lost.child);
            assert_eq!(did.code, Some(3), "{}", did.err);
            assert!(!did.err.contains("panic"), "{}", did.err);
            assert_nothing_is_left(&bench, LOST, false);
        } else {
            assert_eq!(end(lost.child).code, None);
            assert_nothing_is_left(&bench, LOST, true);
        }
        return;
    }
    panic!("no ports are free");
}

/// Waits for the end.
fn finished(child: &mut Child) {
    let deadline = Instant::now() + LONG;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("it does not end");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Two pipes: in0.csv and in1.csv.
fn pipes(bench: &Bench) -> [PathBuf; 2] {
    ["in0.csv", "in1.csv"].map(|name| {
        assert!(Command::new("mkfifo").arg(bench.path(name)).status().unwrap().success());
        bench.path(name)
    })
}

/// The same command line for both, and pipes that are on one machine: what is in a pipe is its reader's.
#[test]
fn each_process_reads_its_own_pipe_and_leaves_the_others_alone() {
    let bench = Bench::new();
    let pipes = pipes(&bench);
    let writers: Vec<_> = pipes
        .into_iter()
        .enumerate()
        .map(|(at, pipe)| {
            let rows: String = (0..100_000).map(|n| format!("{},{at}\n", n % 7)).collect();
            // Opening waits for the process, which comes when both have met.
            thread::spawn(move || File::options().write(true).open(pipe)?.write_all(format!("k,n\n{rows}").as_bytes()))
        })
        .collect();
    let args: Vec<_> = "--by k --agg count,sum:n --format csv in0.csv in1.csv".split(' ').collect();
    let all = group_each(&bench, &[args.clone(), args]);
    assert!(all.iter().all(|did| did.code == Some(0)), "{all:?}");
    writers.into_iter().for_each(|writer| writer.join().unwrap().unwrap());
    let mut groups = Vec::new();
    for (process, did) in all.iter().enumerate() {
        assert_eq!(number(&did.err, "rows in, "), 100_000, "{all:?}");
        let part = fs::read_to_string(bench.path("out").join(format!("part-{process}.csv"))).unwrap();
        groups.extend(part.lines().skip(1).map(str::to_owned));
    }
    groups.sort();
    let expected = |key: u64| (0..100_000).filter(|n| n % 7 == key).count();
    let expected: Vec<_> = (0..7).map(|key| format!("{key},{},{}", 2 * expected(key), expected(key))).collect();
    assert_eq!(groups, expected);
}

/// Two processes whose inputs are pipes that give nothing: they meet, and then `how` comes to one of them. Whether their
/// addresses were free.
fn lose_while_waiting(how: &str, word: &str) -> bool {
    let (bench, hosts) = (Bench::new(), hosts(2));
    bench.file("hosts.txt", &hosts.join("\n"));
    // Open for both directions, so that neither opening one waits nor its reader comes to an end.
    let _pipes = pipes(&bench).map(|pipe| File::options().read(true).write(true).open(pipe).unwrap());
    let start = |process: usize| {
        let number = process.to_string();
        let args = "--by k --agg count --processes hosts.txt --deadline 2 -o out in0.csv in1.csv --process";
        bench.command(&args.split(' ').chain([&*number]).collect::<Vec<_>>()).spawn().unwrap()
    };
    let [mut one, mut two] = [start(0), start(1)];
    // This thread starts when they have met.
    let looks =
        |child: &mut Child| threads(child).iter().any(|name| name == "look") || child.try_wait().unwrap().is_some();
    wait_until("they have met", || looks(&mut one) && looks(&mut two));
    if one.try_wait().unwrap().is_some() || two.try_wait().unwrap().is_some() {
        drop((one.kill(), two.kill()));
        assert!(clashed(&[end(one), end(two)]));
        return false;
    }
    signal(&two, how);
    let did = end(one);
    assert_eq!(did.code, Some(3), "{}", did.err);
    let expected = format!("forebay: process 1 ({}) is lost: {word}", hosts[1]);
    assert!(did.err.starts_with(&expected) && did.err.lines().count() == 1, "{}", did.err);
    signal(&two, "KILL");
    end(two);
    true
}

#[test]
fn who_waits_for_its_input_notices_that_another_is_lost() {
    for (how, word) in [("KILL", "its connection closed"), ("STOP", "it has said nothing for")] {
        assert!((0..5).any(|_| lose_while_waiting(how, word)), "no ports are free");
    }
}

/// The names of its threads.
fn threads(child: &Child) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).into_iter().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).collect()
}

/// Each process sees the files of its machine: those that another one reads need not be there.
#[test]
fn columns_or_inputs_that_differ_between_processes_are_refused() {
    let bench = Bench::new();
    for (name, text) in [("a/0.csv", "k,v\n1,10\n2,20\n"), ("b/1.csv", "k,v\n1,30\n"), ("c/1.csv", "k,v\n1,10.5\n")] {
        fs::create_dir_all(bench.path(name).parent().unwrap()).unwrap();
        bench.file(name, text);
    }
    let run = |one: &str, two: &str| {
        let args = |inputs: &str| format!("--by k --agg max:v --format csv {inputs}");
        let (one, two) = (args(one), args(two));
        group_each(&bench, &[one.split(' ').collect(), two.split(' ').collect()])
    };
    let refused = |all: &[Did], one: &str, two: &str| {
        let said: String = all.iter().map(|did| format!("{:?} {}", did.code, did.err)).collect();
        assert!(all.iter().all(|did| matches!(did.code, Some(1 | 3))), "{said}");
        let text =
            |theirs, ours| format!("has the columns {theirs}, and this one the columns {ours}; they must be the same");
        assert!(said.contains(&text(one, two)) || said.contains(&text(two, one)), "{said}");
        assert!(!bench.path("out").exists(), "{said}");
    };
    let inputs = "and 2 inputs \"0.csv\", \"1.csv\"";
    let all = run("a/0.csv a/1.csv", "c/0.csv c/1.csv");
    refused(&all, &format!("\"k\" Int64, \"v\" Int64 {inputs}"), &format!("\"k\" Int64, \"v\" Float64 {inputs}"));
    // What the second one would have left out.
    let all = run("a/0.csv", "b/1.csv");
    let input = |name| format!("\"k\" Int64, \"v\" Int64 and the input {name:?}");
    refused(&all, &input("0.csv"), &input("1.csv"));
    let all = run("a/0.csv a/1.csv", "b/0.csv b/1.csv");
    assert!(all.iter().all(|did| did.code == Some(0)), "{all:?}");
    let parts = [0, 1].map(|part| fs::read_to_string(bench.path(&format!("out/part-{part}.csv"))).unwrap());
    assert!(parts.concat().contains("1,30\n") && parts.concat().contains("2,20\n"), "{parts:?}");
}

#[test]
fn the_loss_of_a_killed_process_ends_all() {
    lose("KILL");
}

#[test]
fn the_silence_of_a_stopped_process_ends_all() {
    lose("STOP");
}

/// Two processes that have read most of what is in their pipes, in a directory that was not there, and what keeps the pipes open.
/// None if their addresses were not free.
fn writing(bench: &Bench) -> Option<([Child; 2], [File; 2])> {
    bench.file("hosts.txt", &hosts(2).join("\n"));
    let pipes = pipes(bench);
    let start = |process: usize| {
        let number = process.to_string();
        let args =
            "--by k --agg count --format csv --processes hosts.txt --deadline 2 -o out in0.csv in1.csv --process";
        bench.command(&args.split(' ').chain([&*number]).collect::<Vec<_>>()).spawn().unwrap()
    };
    let [mut one, mut two] = [start(0), start(1)];
    // More than what is looked at to find the types.
    let rows: String = (0..100_000).map(|n| format!("{n},1\n")).collect();
    let text = format!("k,n\n{rows}");
    let writers = pipes.map(|pipe| {
        let text = text.clone();
        let (sender, receiver) = mpsc::channel();
        // Opening waits for a process, which may not come.
        thread::spawn(move || {
            let mut input = File::options().write(true).open(pipe).unwrap();
            let written = input.write_all(text.as_bytes());
            let _ = sender.send(written.ok().map(|()| input));
        });
        receiver
    });
    wait_until("both write", || {
        let count = fs::read_dir(bench.path("out")).map_or(0, |entries| entries.count());
        count == 2 || one.try_wait().unwrap().is_some() || two.try_wait().unwrap().is_some()
    });
    if one.try_wait().unwrap().is_some() || two.try_wait().unwrap().is_some() {
        drop((one.kill(), two.kill()));
        let all = [end(one), end(two)];
        assert!(clashed(&all), "{all:?}");
        return None;
    }
    let inputs = writers.map(|writer| writer.recv_timeout(LONG).expect("it reads").expect("it reads"));
    Some(([one, two], inputs))
}

/// [`writing`], with addresses that were free.
fn both_writing() -> (Bench, [Child; 2], [File; 2]) {
    let begun = || {
        let bench = Bench::new();
        let (children, inputs) = writing(&bench)?;
        Some((bench, children, inputs))
    };
    (0..5).find_map(|_| begun()).expect("ports are free")
}

/// Something gets the name of the second part while the run goes on: the first has published by then, and takes it back.
#[test]
fn a_part_is_withdrawn_if_another_cannot_be_published() {
    let (bench, children, inputs) = both_writing();
    bench.file("out/part-1.csv", "of another run");
    drop(inputs);
    let [one, two] = children.map(end);
    assert_eq!(two.code, Some(1), "{}", two.err);
    assert!(two.err.contains("cannot create out/part-1.csv: File exists"), "{}", two.err);
    assert_eq!(one.code, Some(3), "{}", one.err);
    // It may hear of it before it has published.
    let withdrawn = one.err.contains("; out/part-0.csv was published and is withdrawn");
    assert!(withdrawn || one.err.contains("; nothing was published"), "{}", one.err);
    assert_eq!(names(&bench.path("out")), ["part-1.csv"]);
    assert_eq!(fs::read_to_string(bench.path("out/part-1.csv")).unwrap(), "of another run");
}

/// One of them has made the directory for both; whichever is the last to go takes it away.
#[test]
fn the_directory_goes_with_the_last_of_them() {
    for stopped in [0, 1] {
        let (bench, children, inputs) = both_writing();
        signal(&children[stopped], "STOP");
        let mut children: Vec<_> = children.into_iter().collect();
        let last = children.remove(stopped);
        let did = end(children.remove(0));
        assert_eq!(did.code, Some(3), "{}", did.err);
        assert!(did.err.contains("; nothing was published"), "{}", did.err);
        signal(&last, "CONT");
        assert_eq!(end(last).code, Some(3));
        assert!(!bench.path("out").exists(), "{stopped}: {:?}", names(&bench.path("out")));
        drop(inputs);
    }
}

#[test]
fn processes_whose_options_mean_something_else_refuse_each_other() {
    let bench = Bench::new();
    bench.file("in.csv", "k\n1\n");
    let base = "--by k --agg count --deadline 2 in.csv --changes --commit-every 1000";
    for other in ["--commit-every 77", "--strict", "--delimiter ;", "--format csv", "--wide-sums"] {
        let changed = if other.starts_with("--commit") {
            base.replace("--commit-every 1000", other)
        } else {
            format!("{base} {other}")
        };
        let all = group_each(&bench, &[base.split(' ').collect(), changed.split(' ').collect()]);
        assert!(all.iter().all(|did| matches!(did.code, Some(1..=3))), "{other}: {all:?}");
        let said: String = all.iter().map(|did| did.err.as_str()).collect();
        assert!(said.contains("all processes need the same arguments"), "{other}: {said}");
        assert!(!bench.path("out").exists(), "{other}: {said}");
    }
}

#[test]
fn a_process_that_does_not_come_is_lost() {
    let bench = Bench::new();
    bench.file("in.csv", "k,n\n1,1\n");
    bench.file("hosts.txt", &hosts(2).join("\n"));
    for process in [0, 1] {
        let did = bench.run(&format!(
            "--by k --agg count in.csv in.csv --processes hosts.txt --process {process} --deadline 0.3 -o out"
        ));
        assert_eq!(did.code, Some(3), "{}", did.err);
        assert!(did.err.contains("is it started?"), "{}", did.err);
    }
}
