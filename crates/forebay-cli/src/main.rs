//! The forebay program.
mod sync;

fn main() -> std::process::ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(command) if command == "sync" => sync::main(args),
        _ => {
            eprintln!("usage: forebay sync [OPTION]... SRC [SRC]... DEST");
            std::process::ExitCode::FAILURE
        }
    }
}
