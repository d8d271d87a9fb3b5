//! The test AWS, started by hand: `cargo run --example test-aws -- --nodes 5 --staleness 2s`.
#![expect(
    clippy::print_stdout,
    reason = "it tells where it is and how to get there"
)]

#[path = "cloud.rs"]
#[expect(dead_code, reason = "what is there for tests")]
mod test_aws;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use roundsman::model::span::parse_span;
use serde_json::Value;

use test_aws::{Aws, Settings};

/// An AWS to test against: EC2 tags and instances, an Auto Scaling group, SSM that really runs what it is sent.
#[derive(Debug, Parser)]
#[command(name = "test-aws")]
struct Args {
    /// Where it listens, on 127.0.0.1; 0: wherever there is room.
    #[arg(long, default_value_t = 4_599)]
    port: u16,
    /// How many instances there are at first.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// The Auto Scaling group that they are in.
    #[arg(long, default_value = "nodes")]
    group: String,
    /// A tag of each of them; can be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    tag: Vec<(String, String)>,
    /// What chance is drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The most by which what is read lags behind.
    #[arg(long, default_value = "0s", value_parser = span)]
    staleness: Duration,
    /// The most that a command takes to its node.
    #[arg(long, default_value = "500ms", value_parser = span)]
    delivery: Duration,
    /// The most for which a command that was just sent is not listed.
    #[arg(long, default_value = "500ms", value_parser = span)]
    not_yet: Duration,
    /// How far its clock is ahead of this machine's, in seconds.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    clock: i64,
    /// Lets everybody call as often as they like.
    #[arg(long)]
    no_throttling: bool,
    /// What goes wrong, as `POST /test-aws/faults` takes it; can be repeated.
    #[arg(long, value_name = "JSON", value_parser = fault)]
    fault: Vec<Value>,
}

/// 0 and its units are a span here, and none in a job.
fn span(text: &str) -> Result<Duration, String> {
    let zero = text.trim_end_matches(char::is_alphabetic) == "0";
    if zero {
        return Ok(Duration::ZERO);
    }
    parse_span(text)
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("there is no `=` in it")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn fault(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    let args = Args::parse();
    let settings = Settings {
        port: args.port,
        seed: args.seed,
        staleness: args.staleness,
        delivery: args.delivery,
        not_yet: args.not_yet,
        buckets: !args.no_throttling,
    };
    let aws = match Aws::with(&settings) {
        Ok(aws) => aws,
        Err(error) => {
            println!("nothing listens on 127.0.0.1:{}: {error}", args.port);
            return ExitCode::FAILURE;
        }
    };
    let tags: Vec<(&str, &str)> = args
        .tag
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    aws.fleet(Some(&args.group), args.nodes, &tags);
    aws.clock(args.clock);
    for fault in &args.fault {
        if let Err(why) = aws.try_fault(fault) {
            println!("no such fault: {why}");
            return ExitCode::FAILURE;
        }
    }
    for (name, value) in aws.env() {
        println!("export {name}={value}");
    }
    println!(
        "# {} instances in group {}; their folders: {}",
        args.nodes,
        args.group,
        aws.root().display()
    );
    println!(
        "# curl {}/test-aws/ tells of calls, faults and more; end: Ctrl-C",
        aws.endpoint()
    );
    match until_signal() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("signals cannot be waited for: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Waits for SIGINT or SIGTERM.
fn until_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}
