//! A schedule in words, so that a reader sees how something went wrong.

use std::fmt::Write as _;

use roundsman::model::lease::Look;
use roundsman::model::time::Moment;

use crate::contender::{Contender, Doing, Phase};
use crate::model::{Act, Search};
use crate::short::{Short, letter};
use crate::world::{Flying, Op, Order, Stage, State, Tick, Val};

/// One act with the states around it.
struct Scene<'a> {
    search: &'a Search,
    short: Short<'a>,
    before: &'a State,
    after: &'a State,
    cast: &'a crate::cast::Cast,
}

/// Everything that happened on the way, a line each; time passes without one.
pub(crate) fn trace(search: &Search, steps: &[(State, Option<Act>)]) -> String {
    let cast = search.cast.lock().expect("one thread");
    let short = Short {
        scenario: &search.scenario,
        texts: &cast.texts,
    };
    let mut text = head(search, short);
    for (step, next) in steps.iter().zip(steps.iter().skip(1)) {
        let scene = Scene {
            search,
            short,
            before: &step.0,
            after: &next.0,
            cast: &cast,
        };
        if let Some(line) = step.1.and_then(|act| scene.line(act)) {
            writeln!(text, "{:>5}  {line}", step.0.at).expect("text");
        }
    }
    let last = steps.last().map(|(state, _)| state);
    if let Some((wrong, at)) = last.and_then(|state| Some((state.wrong?, state.at))) {
        writeln!(text, "{at:>5}  which is wrong: {wrong:?}").expect("text");
    }
    text
}

/// The settings, who contends, and what stands there at the beginning.
fn head(search: &Search, short: Short<'_>) -> String {
    let scenario = &search.scenario;
    let mut text = format!("{}\n", scenario.name);
    for (n, kind) in scenario.kinds.iter().enumerate() {
        let lease = kind.rules.lease;
        let secs = |span: std::time::Duration| span.as_secs_f32();
        writeln!(
            text,
            "job {} (kind {n}): G {} P {} S {} D {} L {} M {} Z {} seconds; a tick is {}",
            kind.rules.job.name,
            secs(lease.claim_within),
            secs(lease.staleness),
            secs(lease.skew),
            secs(lease.settle()),
            secs(lease.ttl),
            secs(lease.margin),
            secs(lease.request_life),
            secs(scenario.tick),
        )
        .expect("text");
    }
    for (who, (kind, ahead, _)) in (0..).zip(&scenario.contenders) {
        let who = letter(who);
        if *kind > 0 || *ahead > 0 {
            writeln!(text, "{who} is of kind {kind}, its clock {ahead} ahead").expect("text");
        }
    }
    for (node, key, value) in &scenario.tags {
        let val = short.texts.find(value).unwrap_or_default();
        let value = short.value(key, val);
        writeln!(text, "n{node} {key} is {value} at first").expect("text");
    }
    for (node, order, stage) in &scenario.sent {
        let order = Short::order(order);
        let is = match stage {
            Stage::Pending(_) => "is on its way",
            Stage::Running(_) => "still runs",
            Stage::Ended(_) | Stage::Refused(_) => "has ended",
        };
        writeln!(text, "on n{node} {order} {is}").expect("text");
    }
    text
}

impl Scene<'_> {
    /// `None`: nothing that needs saying.
    fn line(&self, act: Act) -> Option<String> {
        let Some((actor, what)) = self.by_contender(act) else {
            return self.by_world(act);
        };
        let then = self.consequences(actor).join("; ");
        let arrow = if then.is_empty() { "" } else { " → " };
        Some(format!("{} {what}{arrow}{then}", letter(actor)))
    }

    /// What a contender does, or what happens to it.
    fn by_contender(&self, act: Act) -> Option<(u8, String)> {
        let (who, what) = match act {
            Act::Reads(who, n) => (who, self.reads(who, n)),
            Act::Asks(who) => (who, format!("asks what was sent: {}", self.commands())),
            Act::Wakes(who) => (who, "wakes".to_owned()),
            Act::Lands(who) => (
                who,
                format!("is answered: {}", self.landed(self.awaited(who))),
            ),
            Act::LandsTwice(who) => {
                let landed = self.landed(self.awaited(who));
                (who, format!("is answered: {landed}, and a twin flies on"))
            }
            Act::Lost(who) => (who, "gets no answer, its write is lost".to_owned()),
            Act::Late(who) => (who, "gets no answer, its write flies on".to_owned()),
            Act::Slow(who) => (who, "waits for an answer that will take long".to_owned()),
            Act::Crashes(who) => (who, "dies".to_owned()),
            Act::Pauses(who) => (who, "stands still".to_owned()),
            Act::Resumes(who) => (who, "goes on".to_owned()),
            Act::Steps(who) => (who, "finds its clock a tick further ahead".to_owned()),
            Act::StepsBack(who) => (who, "finds its clock a tick further back".to_owned()),
            Act::Told(who) => (who, "is told to stop".to_owned()),
            Act::Learns(who) => (who, "learns how its step ended".to_owned()),
            Act::Unknown(who) => (who, "will never learn how its step ended".to_owned()),
            _ => return None,
        };
        Some((who, what))
    }

    fn by_world(&self, act: Act) -> Option<String> {
        let line = match act {
            Act::Strays(index) => {
                let flying = self.before.flying.get(usize::from(index));
                let (by, began) = flying.map(|f| (f.by, f.began)).unwrap_or_default();
                let landed = self.landed(flying);
                format!("{}'s write of {began} lands: {landed}", letter(by))
            }
            Act::Wiped(node) => format!("n{node}'s lock is deleted by hand"),
            Act::Held(node) => format!("n{node} is put on hold"),
            Act::Stripped(node) => format!("all tags of n{node} are deleted by hand"),
            Act::Spoilt(index) => {
                let (node, key) = self.short.place(index);
                format!("somebody writes over n{node}'s {key}")
            }
            Act::Arrives(node, i) => format!("{}{}", self.send(node, i), self.fate(node, i)),
            Act::ArrivesTwice(node, i) => {
                let (send, fate) = (self.send(node, i), self.fate(node, i));
                format!("{send}{fate}, and will arrive again")
            }
            Act::Dawdles(node, i) => format!("{} dawdles", self.send(node, i)),
            Act::Ends(node, i, true) => format!("{} ends well", self.send(node, i)),
            Act::Ends(node, i, false) => format!("{} fails", self.send(node, i)),
            _ => return None,
        };
        Some(line)
    }

    fn contender<'s>(&'s self, state: &State, who: u8) -> &'s Contender {
        self.cast.contender(state.contenders[usize::from(who)])
    }

    fn awaited(&self, who: u8) -> Option<&Flying> {
        let mut flying = self.before.flying.iter();
        flying.find(|f| f.by == who && f.awaited)
    }

    /// What has landed; a delete may have found something else.
    fn landed(&self, flying: Option<&Flying>) -> String {
        let Some(flying) = flying else {
            return "nothing".to_owned();
        };
        let missed = flying.ops.iter().any(|(index, op)| match op {
            Op::Delete(val) => self.before.registers[usize::from(*index)].now != *val,
            Op::Put(_) | Op::DeleteAny => false,
        });
        let but = if missed { ", which it is not" } else { "" };
        format!("{}{but}", self.short.ops(&flying.ops))
    }

    fn shown(&self, index: u8, val: Val) -> String {
        let (_, key) = self.short.place(index);
        let value = self.short.value(key, val);
        match self.before.registers[usize::from(index)].gone(val) {
            Some(at) => format!("{value} (stale: replaced at {at})"),
            None => value,
        }
    }

    fn reads(&self, who: u8, n: u16) -> String {
        let contender = self.contender(self.before, who);
        let what = match (&contender.phase, contender.doing()) {
            (Phase::Idle, _) => "begins, reads the fleet: ",
            (_, Some(Doing::Looks(Look::Fleet))) => "reads everything to decide again: ",
            (Phase::Removes(..), _) => "reads what it is to remove: ",
            _ => "reads ",
        };
        let of_fleet = contender.phase == Phase::Idle
            || matches!(contender.doing(), Some(Doing::Looks(Look::Fleet)));
        if !of_fleet {
            let node = match &contender.phase {
                Phase::Removes(node, ..) => *node,
                Phase::Visits(visit) => visit.node,
                Phase::Idle | Phase::Chooses(_) => 0,
            };
            let index = self.search.scenario.register(node, "lock");
            let mut visible = self.before.registers[usize::from(index)].visible();
            let val = visible.nth(usize::from(n)).unwrap_or_default();
            return format!("{what}n{node}: {}", self.shown(index, val));
        }
        let mut seen = Vec::new();
        for (index, val) in (0..).zip(Search::sample(self.before, n)) {
            let (node, key) = self.short.place(index);
            let stale = val != self.before.registers[usize::from(index)].now;
            if key == "lock" {
                seen.push(format!("n{node} {}", self.shown(index, val)));
            } else if val != 0 || stale {
                seen.push(format!("n{node} {key} {}", self.shown(index, val)));
            }
        }
        let sent = if self.before.nodes.iter().all(|node| node.sends.is_empty()) {
            String::new()
        } else {
            format!("; sent: {}", self.commands())
        };
        format!("{what}{}{sent}", seen.join(", "))
    }

    /// Everything that was sent.
    fn commands(&self) -> String {
        let mut all = Vec::new();
        for (n, node) in self.before.nodes.iter().enumerate() {
            for (order, stage) in &node.sends {
                let stage = match stage {
                    Stage::Pending(_) => "on its way",
                    Stage::Running(_) => "running",
                    Stage::Ended(_) => "ended",
                    Stage::Refused(_) => "refused",
                };
                all.push(format!("n{n} {} {stage}", Short::order(order)));
            }
        }
        if all.is_empty() {
            return "nothing".to_owned();
        }
        all.join(", ")
    }

    fn send(&self, node: u8, index: u8) -> String {
        let sends = &self.before.nodes[usize::from(node)].sends;
        let order = sends.get(usize::from(index)).map(|(order, _)| order);
        let order = order.map(Short::order);
        format!("{} on n{node}", order.unwrap_or_default())
    }

    /// What the node makes of what has arrived.
    fn fate(&self, node: u8, index: u8) -> String {
        let before = &self.before.nodes[usize::from(node)].sends;
        let after = &self.after.nodes[usize::from(node)].sends;
        match after.get(usize::from(index)).map(|(_, stage)| stage) {
            _ if after.len() < before.len() => " was executed before".to_owned(),
            Some(Stage::Refused(outcome)) => format!(" is refused: {outcome:?}"),
            _ => " begins".to_owned(),
        }
    }

    /// What a contender does at once because of it.
    fn consequences(&self, who: u8) -> Vec<String> {
        let mut all = Vec::new();
        let (was, is) = (
            self.contender(self.before, who),
            self.contender(self.after, who),
        );
        let flew = |f: &&Flying| f.by == who && f.awaited && !self.before.flying.contains(f);
        for flying in self.after.flying.iter().filter(flew) {
            let puts = flying.ops.iter().any(|(_, op)| matches!(op, Op::Put(_)));
            let verb = if puts { "writes" } else { "wants" };
            all.push(format!("{verb} {}", self.short.ops(&flying.ops)));
        }
        for (node, order) in self.new_sends() {
            all.push(format!("sends {} to n{node}", Short::order(&order)));
        }
        match (self.end(was, self.before.at), self.end(is, self.after.at)) {
            (None, Some((node, end))) => all.push(format!("HOLDS n{node} until {end}")),
            (Some((node, _)), None) => all.push(format!("no longer holds n{node}")),
            (Some((_, old)), Some((_, new))) if old != new => {
                all.push(format!("now holds until {new}"));
            }
            _ => {}
        }
        let wake = is.visit().map_or(Moment::MAX, |visit| visit.wake);
        let waits = is.doing() == Some(&Doing::Nothing) && wake != Moment::MAX;
        if waits {
            let until = self.search.scenario.tick_of_moment(wake);
            all.push(format!("waits until {until}"));
        } else if is.phase == Phase::Idle && was.phase != Phase::Idle && !is.dead {
            all.push("is done here".to_owned());
        }
        all
    }

    fn new_sends(&self) -> Vec<(usize, Order)> {
        let mut new = Vec::new();
        for (n, (was, is)) in self.before.nodes.iter().zip(&self.after.nodes).enumerate() {
            let sent = is.sends.iter().skip(was.sends.len());
            new.extend(sent.map(|(order, _)| (n, *order)));
        }
        new
    }

    /// The node that a contender holds, and until when by its own clock.
    fn end(&self, contender: &Contender, at: Tick) -> Option<(u8, Tick)> {
        let visit = contender.visit()?;
        let scenario = &self.search.scenario;
        let terms = scenario.terms(contender.kind);
        let held = visit.lease.is_held(&terms, scenario.now(at, 0).boot);
        let end = visit.lease.own_end(&terms).filter(|_| held)?;
        Some((visit.node, scenario.tick_of_moment(end)))
    }
}

#[cfg(test)]
mod tests {
    use roundsman::model::rule::Rule;

    use crate::scenario::Scenario;
    use crate::search::search;

    #[test]
    fn a_schedule_can_be_read_by_people() {
        let scenario = Scenario::new("crossed claims", (1, 1, 1), &[(0, 1), (0, 1)])
            .with(|s| s.claims_only = true)
            .without(&[Rule::Settle, Rule::ThreeReads]);
        let found = search(scenario);
        insta::assert_snapshot!(found.wrong.map(|(_, way)| way).unwrap_or_default());
    }
}
