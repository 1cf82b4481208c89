//! `forebay sync` beside stock rsync: the same trees, the same lines, the same exit codes.

mod arguments;
mod filters;
mod harness;
mod interrupted;
mod in_the_way;
mod large_file;
mod full_disk;
mod output_closed;
mod parallel;
mod permissions;
mod random_trees;
mod statistics;
mod symlink_planted;
mod tree;
mod vanished;
