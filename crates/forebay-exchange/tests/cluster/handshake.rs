//! Processes that do not belong together refuse each other, and say why. Threads stand for the processes here.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use forebay_exchange::cluster::{Attempt, ClusterError, Refusal};
use forebay_exchange::{Cluster, ClusterOptions, ExchangeError};

use crate::support::within;

type Connected = Result<(), ExchangeError>;

/// Connects `count` processes, each with its options changed by `change`, and closes them again.
fn connect(count: usize, change: impl Fn(usize, &mut ClusterOptions)) -> Vec<Connected> {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let hosts: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect();
    let threads = listeners.into_iter().enumerate().map(|(process, listener)| {
        let mut options = ClusterOptions {
            listener: Some(listener),
            secret: Some(b"s3cret".to_vec()),
            job: "job".to_owned(),
            deadline: Duration::from_secs(2),
            ..ClusterOptions::new(hosts.clone(), process)
        };
        change(process, &mut options);
        thread::spawn(move || Cluster::connect(options)?.close())
    });
    let threads: Vec<_> = threads.collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// Process 1 says why it cannot connect to process 0, and process 0 why somebody was refused.
fn refused(results: &[Connected], at_one: Refusal, at_zero: Option<Refusal>) {
    match &results[1] {
        Err(ExchangeError::Cluster(ClusterError::Connect { process: 0, cause: Attempt::Refused(refusal), .. })) => {
            assert_eq!(*refusal, at_one);
        }
        other => panic!("{other:?}"),
    }
    match &results[0] {
        Err(ExchangeError::Cluster(ClusterError::Missing { process: 1, refused, .. })) => assert_eq!(*refused, at_zero),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_secret_and_the_same_job() {
    within(|| {
        for result in connect(4, |_, _| {}) {
            result.unwrap();
        }
    });
}

#[test]
fn no_secret_on_either_side() {
    within(|| {
        for result in connect(2, |_, options| options.secret = None) {
            result.unwrap();
        }
    });
}

#[test]
fn another_secret() {
    within(|| {
        let results = connect(2, |process, options| {
            if process == 1 {
                options.secret = Some(b"guess".to_vec());
            }
        });
        refused(&results, Refusal::Secret, Some(Refusal::Secret));
        let text = results[1].as_ref().unwrap_err().to_string();
        assert!(text.contains("all processes need the same secret file"), "{text}");
    });
}

#[test]
fn no_secret_on_one_side() {
    within(|| {
        let results = connect(2, |process, options| {
            if process == 1 {
                options.secret = None;
            }
        });
        refused(&results, Refusal::Secret, Some(Refusal::Secret));
    });
}

#[test]
fn another_job() {
    within(|| {
        let results = connect(2, |process, options| options.job = format!("job {process}"));
        refused(&results, Refusal::Job, Some(Refusal::Job));
    });
}

#[test]
fn another_number_of_processes() {
    within(|| {
        let results = connect(2, |process, options| {
            if process == 1 {
                options.hosts.push("127.0.0.1:9".to_owned());
            }
        });
        refused(&results, Refusal::Count { theirs: 2 }, Some(Refusal::Count { theirs: 3 }));
    });
}

#[test]
fn hosts_in_another_order() {
    within(|| {
        let results = connect(3, |process, options| {
            if process == 2 {
                options.hosts.swap(0, 1);
            }
        });
        match results[2].as_ref().unwrap_err() {
            ExchangeError::Cluster(ClusterError::Connect { process: 0, cause: Attempt::Refused(refusal), .. }) => {
                assert_eq!(*refusal, Refusal::Number { theirs: 1 });
            }
            other => panic!("{other:?}"),
        }
        assert!(results[0].is_err() && results[1].is_err());
    });
}

#[test]
fn a_number_twice() {
    within(|| {
        let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let hosts: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect();
        let start = |process: usize, deadline: u64, listener: &TcpListener| {
            let options = ClusterOptions {
                listener: Some(listener.try_clone().unwrap()),
                deadline: Duration::from_millis(deadline),
                ..ClusterOptions::new(hosts.clone(), process)
            };
            thread::spawn(move || Cluster::connect(options)?.close())
        };
        // Process 0 waits for 1 and 2. The two that say they are 1 come first; one of them is refused. Process 2 comes when
        // that one has given up, and the others are none the worse.
        let zero = start(0, 20_000, &listeners[0]);
        let spare = TcpListener::bind("127.0.0.1:0").unwrap();
        let (one, twin) = (start(1, 20_000, &listeners[1]), start(1, 500, &spare));
        // Whichever came first stays; the one with the short deadline gives up in any case.
        let twin = twin.join().unwrap().unwrap_err();
        if let ExchangeError::Cluster(ClusterError::Connect { process: 0, cause: Attempt::Refused(refusal), .. }) = twin
        {
            assert_eq!(refusal, Refusal::Duplicate);
            let two = start(2, 20_000, &listeners[2]);
            for thread in [zero, one, two] {
                thread.join().unwrap().unwrap();
            }
        } else {
            // The twin was the first, and left when nobody else came: the others hear of it.
            assert!(matches!(twin, ExchangeError::Cluster(ClusterError::Missing { .. })), "{twin:?}");
            assert!(zero.join().unwrap().is_err());
        }
    });
}
