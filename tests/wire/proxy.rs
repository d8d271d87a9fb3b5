//! The wire: a proxy before the test AWS that does to each call what its plan says, and keeps a log.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cli::until;
use crate::lots::Lots;
use crate::message::{Answer, Request};
use crate::past::Past;
use crate::support::Aws;

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// It goes through.
    Pass,
    /// The connection breaks before AWS has heard of it.
    LostBefore,
    /// It is done; the connection breaks before the answer.
    LostAfter,
    /// AWS says that there are too many calls.
    Throttled,
    /// It is done at once, and answered this much later.
    Slow(Duration),
    /// It is on its way for this long, then done and answered: by then the caller may have hung up.
    Delayed(Duration),
    /// The connection breaks at once, and this much later it is done all the same.
    LostThenDone(Duration),
    /// It is delivered twice at once; the second answer reaches the caller.
    Twice,
    /// It is done and answered, and delivered again this much later.
    Again(Duration),
    /// A read is answered with what was true at most this long ago.
    Stale(Duration),
    /// A read is answered with what was true right after the latest write over this wire.
    Blind,
    /// It waits until so many calls of its action have come, or for this long, and then goes through.
    Together(usize, Duration),
}

/// One call, as it went.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub(crate) after: Duration,
    pub(crate) action: String,
    pub(crate) fate: Fate,
    /// Whether it writes a claim that is yet to settle.
    pub(crate) claims: bool,
}

/// What a plan is asked: the call's number from 0, and the call.
type Plan = Box<dyn FnMut(usize, &Request) -> Fate + Send>;

/// A proxy; no new calls are taken when it is dropped.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    aws: u16,
    began: Instant,
    over: AtomicBool,
    /// Calls and deliveries under way.
    busy: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    plan: Plan,
    log: Vec<Logged>,
    past: Past,
}

impl Proxy {
    /// One before `aws` that treats every call as `plan` says.
    pub(crate) fn new(
        aws: &Aws,
        plan: impl FnMut(usize, &Request) -> Fate + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let endpoint = aws.endpoint();
        let shared = Arc::new(Shared {
            aws: endpoint
                .rsplit(':')
                .next()
                .and_then(|port| port.parse().ok())
                .expect("a port"),
            began: Instant::now(),
            over: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            state: Mutex::new(State {
                plan: Box::new(plan),
                log: Vec::new(),
                past: Past::default(),
            }),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.over.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&serving)) else {
                    continue;
                };
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Self { port, shared }
    }

    /// The same, keeping what is true, so that reads can be answered with what was.
    pub(crate) fn with_past(self, lots: Lots) -> Self {
        self.shared.state().past = Past::new(lots);
        self
    }

    /// The same, keeping also what its own writes have made true.
    pub(crate) fn blind(self) -> Self {
        let blind = self.with_past(Lots::new(0));
        blind.shared.state().past.after_writes = true;
        blind
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Every call so far.
    pub(crate) fn log(&self) -> Vec<Logged> {
        self.shared.state().log.clone()
    }

    /// How many claims have been written over it.
    pub(crate) fn claims(&self) -> usize {
        self.log().iter().filter(|call| call.claims).count()
    }

    /// Waits until nothing is on its way any more.
    pub(crate) fn quiet(&self) {
        until("what is on its way arrives", 60, || {
            self.shared.busy.load(Ordering::SeqCst) == 0
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the one who waits for calls.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection, one call.
    fn serve(self: Arc<Self>, mut stream: TcpStream) {
        let _busy = Busy::new(&self.busy);
        let Some(request) = Request::read(&mut stream) else {
            return;
        };
        let fate = self.decide(&request);
        let answer = match fate {
            Fate::Pass => self.deliver(&request),
            Fate::LostBefore => None,
            Fate::LostAfter => {
                self.deliver(&request);
                None
            }
            Fate::Throttled => Some(request.throttled()),
            Fate::Slow(by) => {
                let answer = self.deliver(&request);
                std::thread::sleep(by);
                answer
            }
            Fate::Delayed(by) => {
                std::thread::sleep(by);
                self.deliver(&request)
            }
            Fate::LostThenDone(by) => {
                drop(stream);
                std::thread::sleep(by);
                self.deliver(&request);
                return;
            }
            Fate::Twice => {
                self.deliver(&request);
                self.deliver(&request)
            }
            Fate::Again(by) => {
                let answer = self.deliver(&request);
                if let Some(answer) = &answer {
                    let _ = answer.send(&mut stream);
                }
                drop(stream);
                std::thread::sleep(by);
                self.deliver(&request);
                return;
            }
            Fate::Stale(at_most) => self.remembered(&request, at_most),
            Fate::Blind => self.own(&request),
            Fate::Together(count, at_most) => {
                self.gather(&request.action, count, at_most);
                self.deliver(&request)
            }
        };
        if let Some(answer) = answer {
            // The caller may have hung up.
            let _ = answer.send(&mut stream);
        }
    }

    fn decide(&self, request: &Request) -> Fate {
        let mut state = self.state();
        let number = state.log.len();
        let fate = (state.plan)(number, request);
        let logged = Logged {
            after: self.began.elapsed(),
            action: request.action.clone(),
            fate,
            claims: request.action == "CreateTags" && request.speaks_of("settling"),
        };
        state.log.push(logged);
        fate
    }

    fn gather(&self, action: &str, count: usize, at_most: Duration) {
        let began = Instant::now();
        let come = || {
            self.state()
                .log
                .iter()
                .filter(|call| call.action == action)
                .count()
        };
        while come() < count && began.elapsed() < at_most {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Delivers it; `None`: the test AWS is gone.
    ///
    /// Before a write and after it, what is true then is asked for and kept, where that is wanted.
    fn deliver(&self, request: &Request) -> Option<Answer> {
        if request.is_write() {
            self.keep_what_is_true();
        }
        let asked = Instant::now();
        match request.deliver(self.aws) {
            Ok(answer) => {
                if request.action.starts_with("Describe") {
                    self.state().past.keep(request, asked, &answer);
                }
                if request.is_write() && self.state().past.after_writes {
                    self.keep_what_is_true();
                }
                Some(answer)
            }
            Err(error) => {
                let gone = matches!(
                    error.kind(),
                    ErrorKind::ConnectionRefused
                        | ErrorKind::ConnectionReset
                        | ErrorKind::UnexpectedEof
                );
                assert!(gone, "{}: {error}", request.action);
                None
            }
        }
    }

    fn keep_what_is_true(&self) {
        let questions = self.state().past.questions();
        for question in questions {
            let asked = Instant::now();
            if let Ok(answer) = question.deliver(self.aws) {
                self.state().past.keep(&question, asked, &answer);
            }
        }
    }

    /// What was true at a random moment of the last while, the present included.
    fn remembered(&self, request: &Request, at_most: Duration) -> Option<Answer> {
        let since = Instant::now().checked_sub(at_most)?;
        let known = self.state().past.since(request, since);
        let fresh = self.deliver(request)?;
        self.state().past.draw(known, fresh)
    }

    /// What was kept last, which is what was true after the latest write over this wire, or what was read before it.
    fn own(&self, request: &Request) -> Option<Answer> {
        let kept = self.state().past.latest(request);
        kept.or_else(|| self.deliver(request))
    }
}

/// Something under way.
struct Busy<'b>(&'b AtomicUsize);

impl<'b> Busy<'b> {
    fn new(count: &'b AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
