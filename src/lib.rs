//! Roundsman makes the rounds of a fleet: a periodic job, one node after another, with a lease in the node's own tags.
//!
//! How to use it stands in the README. This is the architecture: floors, flow, invariants, and where to find what.
//! What a term means is in the README's glossary; one word for a thing, here and there.
//!
//! # Floors
//!
//! A lower floor never names a higher one. One crate's compiler does not see to that; `tests/tidy.rs` does.
//!
//! ```text
//!   main.rs
//!      │
//!  5  cli      words, colours, streams, exit statuses; joins the floors     clap, miette, figment, indicatif …
//!      │ ╲
//!      │  4  io       AWS, SQLite, processes, the clock                     aws-sdk-*, rusqlite, rustix, tokio
//!      │  │
//!  3  engine │  order and waiting: look, decide, act, and again             tokio, futures-util
//!      │  │
//!  2  port, event    what the engine needs, and what it tells               nothing
//!      │
//!  1  model    the rules: pure                                              serde, toml, jiff, thiserror
//! ```
//!
//! `engine` and `io` stand beside each other: both know [`port`], neither knows the other. [`cli::world`] is where a
//! store and the shells are chosen and given to the engine.
//!
//! # Flow of one invocation
//!
//! ```text
//!  main ─▶ cli::command      arguments; -C; then cli::context: settings (cli::settings) and the job file
//!            │               text ─▶ raw ─▶ valid: model::job::file gives a Job, or every mistake in the file
//!            ▼
//!          cli::world        opens the store and the shells that the settings ask for
//!            ▼
//!          engine::round ◀────────────────────────────────────────────────────────────────────────┐
//!            │ observe     the fleet's tags; then what still runs under leases past their end     │
//!            │ decide      model::decide: every node in serving order, with verdict and reason    │
//!            ▼                                                                                    │
//!          engine::visit   one node, one loop; asks model::lease and model::run what is next      │
//!            │ claim       justifying read, write, settle, three reads, decide again              │
//!            │ steps       the step's write to `lock`, then the send; model::outcome judges       │
//!            │ clean-up, record (last- and took-, or fail-), release ─────────────────────────────┘
//!            ▼
//!          event::Event      all that the engine says; read by cli::report (lines, JSON) and counted for cli::exit
//! ```
//!
//! `plan` is the same up to `decide`, and prints its rows: that is why it says what `run` would do. A local store makes
//! `observe`, `decide` and the claim's write one transaction, and nothing settles.
//!
//! # Invariants
//!
//! What each floor must not know:
//!
//! - [`model`] knows no clock, no chance, no waiting and no I/O. Times, ids and random bits are arguments.
//! - [`port`] and [`event`] know only `model`. An event is a fact in past tense, never an order, and has no wording.
//! - [`engine`] knows neither AWS nor SQLite nor terminals. It is generic over [`port::Ports`]; all it learns comes
//!   through them, all it says is an [`event::Event`].
//! - [`io`] knows neither the engine nor a rule. It does one thing when asked, once: a write is never repeated below the
//!   engine, since a repetition is a write of its own that the protocol has to know of.
//! - [`cli`] decides nothing about nodes. It chooses, shows and counts.
//!
//! What holds everywhere:
//!
//! - Decisions are functions of a view and a time, and the view is read anew for every decision.
//! - One loop ([`engine::visit`]) owns renewing, stepping, recording and releasing of a node, with at most one read or
//!   write of its lease under way, so that no renewal ever races a release.
//! - Nothing is written and no step is sent except on a read of at most `claim-within` ago that shows the own claim.
//! - What cannot be read is never taken for free, never done, or fresh ([`model::lock::Seen`], [`model::record::Last`]).
//! - A delete names key and value ([`port::Put`] cannot be empty): an empty `DeleteTags` would delete all tags of a node.
//! - `last-<task>` is written only after every step has succeeded, and only [`model::outcome::Outcome::Ok`] is success.
//! - Text from nodes and tags is data: it never becomes shell text ([`io::wrapper`]), and reaches terminals only when its
//!   control characters have been made harmless.
//! - Expected results are values with names; errors are for what should not be. Bad input never panics.
//! - Clocks, sleeps, the environment and the end of the process have one room each (`.clippy.toml`); each third-party
//!   crate has one home (Cargo.toml).
//!
//! # Where to find what
//!
//! In the order in which they are best read:
//!
//! | module | what |
//! | --- | --- |
//! | [`model::id`], [`model::time`], [`model::span`] | identities; the two kinds of time; durations |
//! | [`model::node`], [`model::view`] | a node as a store shows it; a fleet at one moment, and the rules that judge it |
//! | [`model::job`], `model::job::file` | a valid job; how a file becomes one, or a list of mistakes |
//! | [`model::tag`], [`model::field`], [`model::lock`], [`model::record`] | the tags on a node, as text and as values |
//! | [`model::reason`], [`model::decide`] | the one decision: who is next, and why not the others |
//! | [`model::choose`], [`model::rule`] | which node is claimed, with which lock; the protocol's rules by name, for those who take one out |
//! | [`model::limits`], [`model::suspect`] | how many at once; what may be done about a lease past its end |
//! | [`model::settings`], [`model::lease`] | the assumptions of a claim; the protocol as a pure state machine |
//! | [`model::outcome`], [`model::run`] | how a step can end and what follows; a run's way through its steps, from its beginning or adopted |
//! | [`model::document`], [`model::problem`] | TOML, read so that every mistake is found at once and in its place |
//! | [`port`], [`event`] | what the engine needs; what it tells |
//! | [`engine::observe`], [`engine::round`], [`engine::visit`] | a look; an invocation; a node from claim to release |
//! | [`engine::operate`] | `hold`, `unhold`, `release`, `mark` |
//! | [`model::probe`], [`engine::probe`] | how stale a store is: what is measured and what follows; the measuring |
//! | `io::aws` (feature `aws`) | EC2 tags as a store, Auto Scaling groups as fleets, SSM Run Command as a shell |
//! | [`io::local`] | an inventory in SQLite; steps on this machine or through any transport |
//! | [`io::wrapper`], `io/node.sh`, `io/node/` | the texts that run, find and end steps on a node, the same over every transport: the fence |
//! | [`model::journal`] | what a node says of itself, as text and as evidence |
//! | [`io::runner`] | steps `on = "runner"` |
//! | [`io::memory`] | a small working world with a clock of its own, for tests |
//! | [`cli::args`], [`cli::command`] | the command line, and a file for each command |
//! | [`cli::settings`], [`cli::jobs`] | defaults, files, environment, flags; where jobs are found |
//! | [`cli::kept`] | what the last probe found, for `config` |
//! | [`cli::report`] | events as lines and JSON; tables; the closing sentence |
//! | [`cli::exit`] | exit statuses, and which one of several counts |

pub mod cli;
pub mod engine;
pub mod event;
pub mod io;
pub mod model;
pub mod port;
