//! The `postroom` command: an exit code, nothing else.

fn main() -> std::process::ExitCode {
    postroom::cli::main()
}
