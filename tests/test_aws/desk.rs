//! Where calls come in: each is written down, weighed, struck by a fault or not, and answered.

use std::time::Duration;

use super::bucket::Buckets;
use super::call::{Answer, Asked, Call, Refusal, Service};
use super::fault::{Fault, Mode, When, strike};
use super::http::{Request, Response};
use super::log::{Logged, Place};
use super::state::{Shared, now};
use super::{admin, asg, ec2, signal, ssm};

/// Where the back door is.
const BACK_DOOR: &str = "/test-aws/";

/// Answers a request; `None`: the connection breaks.
pub(crate) fn handle(shared: &Shared, port: u16, request: &Request) -> Option<Response> {
    if let Some(path) = request.path.strip_prefix(BACK_DOOR) {
        let (status, body) = admin::answer(shared, &request.method, path, &request.body);
        return Some(respond(shared, status, "application/json", body));
    }
    let Some(call) = Call::read(request) else {
        let text = "neither EC2, Auto Scaling nor SSM is called like this\n".to_owned();
        return Some(respond(shared, 404, "text/plain", text));
    };
    let kind = match call.service {
        Service::Ssm => "application/x-amz-json-1.1",
        Service::Ec2 | Service::AutoScaling => "text/xml;charset=UTF-8",
    };
    let (place, fault) = enter(shared, &call);
    let answer = fate(shared, &call, fault.as_ref(), || {
        let pid = fault.as_ref().and_then(|fault| fault.pid);
        pid.or_else(|| signal::caller(request.peer, port))
    });
    let told = answer.as_ref().map_or("lost", |answer| &answer.code);
    shared.state().log.ended(place, told);
    let answer = answer?;
    Some(respond(shared, answer.status, kind, answer.body))
}

/// Writes a call down, and looks for what strikes it.
fn enter(shared: &Shared, call: &Call) -> (Place, Option<Fault>) {
    let at_ms = shared.since_ms();
    let mut guard = shared.state();
    let state = &mut *guard;
    let fault = strike(&mut state.faults, call, &mut state.lots);
    let place = state.log.begun(Logged {
        number: 0,
        at_ms,
        action: call.action.clone(),
        caller: call.caller.clone(),
        nodes: call.nodes(),
        fault: fault.as_ref().map(|fault| format!("{:?}", fault.mode)),
        answer: None,
    });
    (place, fault)
}

/// What becomes of a call.
fn fate(
    shared: &Shared,
    call: &Call,
    fault: Option<&Fault>,
    caller: impl Fn() -> Option<i32>,
) -> Option<Answer> {
    let Some(fault) = fault else {
        return Some(act(shared, call, None));
    };
    let refusal = fault
        .refusal(call.service)
        .map(|refusal| refusal.answer(call.service));
    let again = |call: &Call| {
        let call = call.clone();
        shared.later(fault.time(), move |shared| {
            act(shared, &call, None);
        });
    };
    match fault.mode {
        Mode::LostBefore => None,
        Mode::LostAfter => {
            act(shared, call, None);
            None
        }
        Mode::Hang => {
            shared.pause(fault.time());
            refusal
        }
        Mode::HangAfter => {
            act(shared, call, None);
            shared.pause(fault.time());
            refusal
        }
        Mode::BrokenAfter => {
            act(shared, call, None);
            refusal
        }
        Mode::Slow => {
            let answer = act(shared, call, None);
            shared.pause(fault.time()).then_some(answer)
        }
        Mode::Delayed => shared.pause(fault.time()).then(|| act(shared, call, None)),
        Mode::Late if call.action != "SendCommand" && call.is_write() => {
            again(call);
            Some(match call.service {
                Service::Ssm => Answer::good("{}".to_owned()),
                Service::Ec2 | Service::AutoScaling => ec2::done(&call.action),
            })
        }
        Mode::LostThenDone => {
            again(call);
            None
        }
        Mode::Twice => {
            act(shared, call, None);
            Some(act(shared, call, None))
        }
        Mode::Again => {
            let answer = act(shared, call, None);
            again(call);
            Some(answer)
        }
        Mode::Signal => signalled(shared, call, fault, caller()),
        _ => refusal.or_else(|| Some(act(shared, call, Some(fault)))),
    }
}

/// A signal before or after the call is done. Who was killed gets no answer; others go on, or will.
fn signalled(shared: &Shared, call: &Call, fault: &Fault, pid: Option<i32>) -> Option<Answer> {
    let signal = signal::named(&fault.signal);
    let is_kill = fault.signal == "KILL";
    let send = || {
        let Some((pid, signal)) = pid.zip(signal) else {
            return false;
        };
        let sent = signal::send(pid, signal);
        if is_kill && sent {
            signal::wait_for_end(pid, || shared.pause(Duration::from_millis(5)));
        }
        sent
    };
    if fault.when == When::Before {
        let sent = send();
        if is_kill && sent {
            return None;
        }
        return Some(act(shared, call, None));
    }
    let answer = act(shared, call, None);
    let sent = send();
    (!(is_kill && sent)).then_some(answer)
}

/// Does what a call asks for, if there is a token for it.
fn act(shared: &Shared, call: &Call, fault: Option<&Fault>) -> Answer {
    let at = now();
    let answer = match call.asked.clone() {
        Asked::Json(json) => ssm::answer(shared, &call.action, json, fault),
        Asked::Form(form) => {
            let mut state = shared.state();
            let narrowed = ec2::is_narrowed(&form);
            let take = |buckets: &mut Buckets| buckets.take(&call.action, narrowed, at);
            let stale = fault.filter(|fault| fault.mode == Mode::Stale);
            if call.service == Service::AutoScaling {
                asg::answer(&state, &call.action, form)
            } else if state.buckets.as_mut().is_some_and(|buckets| !take(buckets)) {
                Err(
                    Refusal::new("RequestLimitExceeded", "Request limit exceeded.")
                        .with_status(503),
                )
            } else {
                ec2::answer(&mut state, &call.action, form, stale.map(Fault::time), at)
            }
        }
    };
    answer.unwrap_or_else(|refusal| refusal.answer(call.service))
}

fn respond(shared: &Shared, status: u16, kind: &str, body: String) -> Response {
    let mut state = shared.state();
    let date = state
        .time()
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string();
    Response {
        status,
        headers: vec![
            ("Date", date),
            ("Content-Type", kind.to_owned()),
            ("x-amzn-RequestId", state.names.uuid()),
        ],
        body,
    }
}
