//! Mirrors trees of files on the forebay engine.
