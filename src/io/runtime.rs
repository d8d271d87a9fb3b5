//! The runtime that everything waits on: one thread, since the work is waiting.

/// Runs a future to its end.
///
/// # Errors
/// When the operating system gives no event queue or timer.
pub fn run<T>(future: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let value = runtime.block_on(future);
    // What still runs in the background (a detached reader of a step's output) must not hold up the end.
    runtime.shutdown_background();
    Ok(value)
}
