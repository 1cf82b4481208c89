//! The index of scenarios names tests that are there.

use std::path::Path;

/// Every Rust file beneath `dir`, one after the other, by the name of its module.
fn sources(dir: &Path, into: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            into.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn every_test_that_is_named_here_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut modules = Vec::new();
    ["src", "tests"].iter().for_each(|dir| sources(&root.join(dir), &mut modules));
    let index = std::fs::read_to_string(root.join("tests/SCENARIOS.md")).unwrap();
    let rows: Vec<&str> = index.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |")).collect();
    assert_eq!(rows.len(), 28);
    let mut named = 0;
    for name in index.split('`').skip(1).step_by(2) {
        let Some((module, test)) = name.rsplit_once("::").filter(|(_, test)| test.contains('_')) else { continue };
        let module = module.rsplit("::").next().unwrap_or(module);
        let is_there = |(file, text): &(String, String)| file == module && text.contains(&format!("fn {test}("));
        assert!(modules.iter().any(is_there), "{name}");
        named += 1;
    }
    assert!(named > 30, "{named}");
}
