//! The terminal, as far as it can be asked.

/// The width of the terminal on stderr, else of that on stdout, in columns; `None` where there is none.
pub fn width() -> Option<usize> {
    let of = |size: rustix::io::Result<rustix::termios::Winsize>| {
        size.ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|columns| *columns > 0)
    };
    of(rustix::termios::tcgetwinsize(std::io::stderr()))
        .or_else(|| of(rustix::termios::tcgetwinsize(std::io::stdout())))
}
