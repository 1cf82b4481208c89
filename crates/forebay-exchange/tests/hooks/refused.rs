//! Configurations in which the hooks would never be called.

use forebay::MemoryStore;
use forebay_exchange::hooks::{BuildError, SpillOptions, build};
use timely::CommunicationConfig;

#[test]
fn typed_queues_are_refused_by_name_with_what_to_use_instead() {
    let cluster = |zerocopy| CommunicationConfig::Cluster {
        threads: 1,
        process: 0,
        addresses: vec!["localhost:0".into()],
        report: false,
        zerocopy,
    };
    for (configuration, expected) in [
        (CommunicationConfig::Thread, "ProcessBinary(1)"),
        (CommunicationConfig::Process(2), "ProcessBinary"),
        (cluster(false), "zerocopy: true"),
    ] {
        let error = build(configuration, SpillOptions::new(MemoryStore::new(0))).unwrap_err();
        let BuildError::NeverSpills { instead, .. } = &error else { panic!("{error}") };
        assert!(instead.contains(expected) && error.to_string().contains(instead), "{error}");
    }
    let built = build(cluster(true), SpillOptions::new(MemoryStore::new(0))).unwrap();
    assert_eq!(built.builders.len(), 1);
    assert!(built.error().is_none());
}
