use super::*;
use std::sync::{Arc, Mutex};

/// A terminal that keeps what is written to it; or, gone away, refuses it.
#[derive(Debug, Clone, Default)]
struct Screen {
    text: Arc<Mutex<Vec<u8>>>,
    gone: bool,
}

impl Screen {
    fn told(&self) -> String {
        String::from_utf8(self.text.lock().expect("the text").clone()).expect("UTF-8")
    }

    fn live(&self) -> Live {
        let screen = self.clone();
        Live::on(Box::new(|| 80), Box::new(move || Box::new(screen.clone())))
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.lock().expect("the text").extend_from_slice(bytes);
        if self.gone {
            Err(io::ErrorKind::BrokenPipe.into())
        } else {
            Ok(bytes.len())
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn id(text: &str) -> NodeId {
    NodeId(text.to_owned())
}

#[test]
fn settling_counts_down_and_a_step_counts_up_beside_its_last_time() {
    let settling = Doing::Settling(Duration::from_secs(13));
    assert_eq!(settling.words(Duration::from_secs(3)), "settling, 10s left");
    assert_eq!(
        settling.words(Duration::from_secs(20)),
        "settling, about to enter"
    );
    let step = |before| Doing::Step {
        step: 1,
        name: "re\u{1b}pair".to_owned(),
        before,
    };
    let elapsed = Duration::from_secs(123);
    assert_eq!(step(None).words(elapsed), "step 1 re\u{fffd}pair for 2m 3s");
    assert_eq!(
        step(Some(Duration::from_secs(11_520))).words(elapsed),
        "step 1 re\u{fffd}pair for 2m 3s (last run took 3h 12m)"
    );
}

#[test]
fn each_node_in_hand_has_its_line_and_leaves_none_behind() {
    let screen = Screen::default();
    let live = screen.live();
    live.show(
        &id("a"),
        "a",
        Doing::Settling(Duration::from_secs(3_600)),
        80,
    );
    assert!(screen.told().contains("a: settling, "), "{}", screen.told());
    live.show(&id("b"), "b", Doing::Next("claimed"), 80);
    let mut out = screen.clone();
    live.above(|| out.write_all(b"[told]\n").expect("written"));
    live.remove(&id("a"));
    assert_eq!(live.bars.borrow().len(), 1);
    live.clear();
    live.clear();
    assert!(live.bars.borrow().is_empty());
    let told = screen.told();
    assert!(
        told.contains("b: claimed") && told.contains("[told]\n"),
        "{told}"
    );
    assert!(told.ends_with("\r\u{1b}[2K"), "{told:?}");
}

#[test]
fn a_line_is_cut_to_the_terminal() {
    let screen = Screen::default();
    let live = screen.live();
    live.show(&id("a"), &"n".repeat(300), Doing::Next("claimed"), 80);
    let longest = screen.told().matches('n').count();
    assert!((70..80).contains(&longest), "{longest}");
}

#[test]
fn a_terminal_that_has_gone_away_stops_nothing() {
    let screen = Screen {
        gone: true,
        ..Screen::default()
    };
    let live = screen.live();
    live.show(&id("a"), "a", Doing::Next("claimed"), 80);
    let mut told = false;
    live.above(|| told = true);
    live.show(&id("a"), "a", Doing::Next("going on"), 80);
    live.clear();
    assert!(told && live.bars.borrow().is_empty());
    assert!(!screen.told().is_empty(), "it was tried");
}
