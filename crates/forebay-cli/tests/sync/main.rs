//! `forebay sync` beside stock rsync: the same trees, the same lines, the same exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod arguments;
mod backups;
mod changing;
mod copy_as;
mod deep;
mod deletions;
mod delta;
mod devices;
mod fake_super;
mod filters;
mod full_disk;
mod harness;
mod in_the_way;
mod interrupted;
mod large_file;
mod metadata;
mod moved;
mod other_trees;
mod output_closed;
mod parallel;
mod permissions;
mod prepared;
mod random_trees;
mod real_tree;
mod relative;
mod reports;
mod selection;
mod statistics;
mod swapped;
mod symlink_planted;
mod tree;
mod unfinished;
mod vanished;
mod writing;
mod xattr_rules;
