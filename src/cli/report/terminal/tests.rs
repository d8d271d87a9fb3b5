use std::io;
use std::sync::{Arc, Mutex};

use indicatif::TermLike;

use super::*;

/// A terminal that keeps what is written to it.
#[derive(Debug, Clone, Default)]
struct Screen(Arc<Mutex<String>>);

impl Screen {
    fn told(&self) -> String {
        self.0.lock().expect("the text").clone()
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        80
    }
    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)?;
        self.write_str("\n")
    }
    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.lock().expect("the text").push_str(text);
        Ok(())
    }
    fn clear_line(&self) -> io::Result<()> {
        self.write_str("<cleared>")
    }
    fn flush(&self) -> io::Result<()> {
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
    let live = Live::on(ProgressDrawTarget::term_like(Box::new(screen.clone())));
    live.show(
        &id("a"),
        "a",
        Doing::Settling(Duration::from_secs(3_600)),
        80,
    );
    assert!(screen.told().contains("a: settling, "), "{}", screen.told());
    live.show(&id("b"), "b", Doing::Next("claimed"), 80);
    live.aside(|| screen.write_str("[told]\n").expect("written"));
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
    assert!(
        told.ends_with("<cleared>") || told.trim_end().ends_with("<cleared>"),
        "{told:?}"
    );
}

#[test]
fn a_line_is_cut_to_the_terminal() {
    let screen = Screen::default();
    let live = Live::on(ProgressDrawTarget::term_like(Box::new(screen.clone())));
    live.show(&id("a"), &"n".repeat(300), Doing::Next("claimed"), 80);
    let longest = screen.told().matches('n').count();
    assert!((70..80).contains(&longest), "{longest}");
}
