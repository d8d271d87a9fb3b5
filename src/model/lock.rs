//! The `lock` tag: the lease, as text and as a value.
//!
//! `v1 run= claim= seq= state= set= job= file= step= [was=] owner= until=`. What is needed to judge a lease stands
//! in the lease itself (a lease judged under newer settings than it was written with might never end).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::field::Fields;
use crate::model::id::{ClaimId, Name, RunId};
use crate::model::tag::{VALUE_MAX, clean_word};
use crate::model::time::{ceil_second, format_stamp, later, parse_stamp};

/// The most characters of an owner.
pub const OWNER_MAX: usize = 40;

/// What a claim says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockState {
    /// Written, and waiting to see whether it stands.
    Settling,
    /// The right to act.
    Held,
    /// A run that nobody watches, on purpose.
    Parked,
    /// A run that is being ended, on purpose.
    Stopping,
}

impl LockState {
    /// The state's word in tags and messages.
    pub fn label(self) -> &'static str {
        match self {
            Self::Settling => "settling",
            Self::Held => "held",
            Self::Parked => "parked",
            Self::Stopping => "stopping",
        }
    }
}

impl fmt::Display for LockState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl FromStr for LockState {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Settling, Self::Held, Self::Parked, Self::Stopping]
            .into_iter()
            .find(|state| state.label() == text)
            .ok_or(())
    }
}

/// `HEX` hex digits over something that must be the same on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest<const HEX: usize>(u32);

/// The digest of the lease settings.
pub type SetDigest = Digest<4>;
/// The digest of what the nodes execute.
pub type FileDigest = Digest<8>;

impl<const HEX: usize> Digest<HEX> {
    /// Takes the first digits of a longer hash.
    pub fn of(hash: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(hash) >> (32 - 4 * HEX))
    }
}

impl<const HEX: usize> fmt::Display for Digest<HEX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0HEX$x}", self.0)
    }
}

impl<const HEX: usize> FromStr for Digest<HEX> {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let hex = text.len() == HEX
            && text
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if hex {
            u32::from_str_radix(text, 16).map(Self).map_err(|_| ())
        } else {
            Err(())
        }
    }
}

/// A lease as its tag says it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lock {
    /// The run that the claim is for.
    pub run: RunId,
    /// The claim itself: only the same claim id is one's own.
    pub claim: ClaimId,
    /// How many writes this claim has made.
    pub seq: u32,
    /// What the claim says of itself.
    pub state: LockState,
    /// The digest of the settings it was made with.
    pub set: SetDigest,
    /// The job's name.
    pub job: Name,
    /// The job's task.
    pub task: Name,
    /// The digest of what the nodes execute.
    pub file: FileDigest,
    /// The step begun last; 0: none. Clean-up steps are numbered on after the steps.
    pub step: u32,
    /// In an adopting claim: the state that it found.
    pub was: Option<LockState>,
    /// Who claims.
    pub owner: String,
    /// When it ends, the provider's time, whole seconds.
    pub until: Timestamp,
}

impl Lock {
    /// The tag's value. `until` is rounded up to whole seconds; the owner is cut so that all of it fits.
    pub fn format(&self) -> String {
        let job = if self.job == self.task {
            self.job.to_string()
        } else {
            format!("{}/{}", self.job, self.task)
        };
        let was = self
            .was
            .map(|state| format!(" was={state}"))
            .unwrap_or_default();
        let head = format!(
            "v1 run={} claim={} seq={} state={} set={} job={job} file={} step={}{was} owner=",
            self.run, self.claim, self.seq, self.state, self.set, self.file, self.step
        );
        let tail = format!(" until={}", format_stamp(ceil_second(self.until)));
        let room = VALUE_MAX
            .saturating_sub(head.len() + tail.len())
            .min(OWNER_MAX);
        format!("{head}{}{tail}", clean_word(&self.owner, room))
    }

    /// The state of the run: under a claim that settles, what that found.
    pub fn run_state(&self) -> LockState {
        match self.state {
            LockState::Settling => self.was.unwrap_or(LockState::Held),
            state => state,
        }
    }

    /// Whether somebody may hold it at `now`. A lease past its end is left alone for `margin`; a parked one is nobody's.
    pub fn may_be_held(&self, now: Timestamp, margin: Duration) -> bool {
        self.state != LockState::Parked && now < later(self.until, margin)
    }

    /// Reads a value; `None` when it is not one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let fields = Fields::parse(text)?;
        let (job, task) = match fields.get("job")?.split_once('/') {
            Some((job, task)) => (job, task),
            None => (fields.get("job")?, fields.get("job")?),
        };
        let was = match fields.get("was") {
            Some(word) => Some(
                word.parse()
                    .ok()
                    .filter(|state| *state != LockState::Settling)?,
            ),
            None => None,
        };
        Some(Self {
            run: fields.read("run")?,
            claim: fields.read("claim")?,
            seq: fields.read("seq")?,
            state: fields.read("state")?,
            set: fields.read("set")?,
            job: Name::new(job).ok()?,
            task: Name::new(task).ok()?,
            file: fields.read("file")?,
            step: fields.read("step")?,
            was,
            owner: fields.get("owner")?.to_owned(),
            until: parse_stamp(fields.get("until")?)?,
        })
    }
}

/// What stands in a node's `lock` tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Seen {
    /// No tag: nobody has a lease.
    Free,
    /// A lease that can be read.
    Lock(Lock),
    /// Something else. It counts as in work and blocks its node; it is never read as "free".
    Unreadable(String),
}

impl Seen {
    /// Reads a tag that may be absent.
    pub fn read(value: Option<&str>) -> Self {
        match value {
            None => Self::Free,
            Some(text) => {
                Lock::parse(text).map_or_else(|| Self::Unreadable(text.to_owned()), Self::Lock)
            }
        }
    }

    /// The lease, where one can be read.
    pub fn lock(&self) -> Option<&Lock> {
        match self {
            Self::Lock(lock) => Some(lock),
            Self::Free | Self::Unreadable(_) => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A lease for tests: job and task `repair`, held, to be changed where a test means something else.
    pub(crate) fn sample() -> Lock {
        Lock {
            run: RunId::new(1_795_392_600_000, 1),
            claim: ClaimId::new(1_795_392_600_000, 2),
            seq: 1,
            state: LockState::Held,
            set: Digest::of([0xab, 0xcd, 0, 0]),
            job: Name::new("repair").expect("a name"),
            task: Name::new("repair").expect("a name"),
            file: Digest::of([1, 2, 3, 4]),
            step: 1,
            was: None,
            owner: "ci@bastion-1".to_owned(),
            until: "2026-11-23T00:30:00Z".parse().expect("a time"),
        }
    }

    #[test]
    fn the_value_is_the_contracts() {
        let mut lock = sample();
        assert_eq!(
            lock.format(),
            "v1 run=01KAPYZ6D00000000000000001 claim=01KAPYZ6D00000000000000002 seq=1 state=held set=abcd \
             job=repair file=01020304 step=1 owner=ci@bastion-1 until=2026-11-23T00:30:00Z"
                .replace("01KAPYZ6D00000000000000001", &lock.run.to_string())
                .replace("01KAPYZ6D00000000000000002", &lock.claim.to_string())
        );
        lock.task = Name::new("other").expect("a name");
        lock.was = Some(LockState::Parked);
        assert!(
            lock.format()
                .contains(" job=repair/other file=01020304 step=1 was=parked owner=")
        );
    }

    #[test]
    fn the_longest_value_fits_by_cutting_the_owner() {
        let mut lock = sample();
        lock.job = Name::new(&"j".repeat(40)).expect("a name");
        lock.task = Name::new(&"t".repeat(20)).expect("a name");
        lock.seq = u32::MAX;
        lock.step = 99;
        lock.state = LockState::Settling;
        lock.was = Some(LockState::Stopping);
        lock.owner = "o".repeat(80);
        assert!(lock.format().len() <= VALUE_MAX);
        let back = Lock::parse(&lock.format()).expect("readable");
        assert_eq!(
            (back.claim, back.job, back.task),
            (lock.claim, lock.job, lock.task)
        );
    }

    #[test]
    fn an_end_is_rounded_up() {
        let mut lock = sample();
        lock.until = "2026-11-23T00:30:00.2Z".parse().expect("a time");
        assert!(lock.format().ends_with("until=2026-11-23T00:30:01Z"));
    }

    #[test]
    fn unknown_fields_are_ignored_and_broken_values_are_unreadable() {
        let text = sample().format();
        let newer = text.replace(" owner=", " colour=red owner=");
        assert_eq!(Lock::parse(&newer), Some(sample()));
        for broken in [
            "yes",
            "",
            "v2 run=1",
            &text.replace("state=held", "state=HELD"),
            &text.replace(" step=1", ""),
            &text.replace("set=abcd", "set=abc"),
            &text.replace("until=2026", "until=soon"),
        ] {
            assert_eq!(
                Seen::read(Some(broken)),
                Seen::Unreadable(broken.to_owned())
            );
        }
        assert_eq!(Seen::read(None), Seen::Free);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(run in any::<(u32, u64)>(), claim in any::<(u32, u64)>(), seq: u32, step in 0_u32..100,
            set: [u8; 4], file: [u8; 4], owner in "[a-z0-9@.-]{0,40}", until in 0_i64..253_402_300_799, state in 0_usize..4, was in 0_usize..4) {
            let states = [LockState::Settling, LockState::Held, LockState::Parked, LockState::Stopping];
            let lock = Lock {
                run: RunId::new(u64::from(run.0), u128::from(run.1)),
                claim: ClaimId::new(u64::from(claim.0), u128::from(claim.1)),
                seq, step, set: Digest::of(set), file: Digest::of(file), state: states[state],
                was: Some(states[was]).filter(|was| *was != LockState::Settling),
                owner, until: Timestamp::from_second(until).expect("a time"), ..sample()
            };
            let text = lock.format();
            prop_assert!(text.len() <= VALUE_MAX);
            let back = Lock::parse(&text).expect("readable");
            prop_assert!(lock.owner.starts_with(&back.owner));
            prop_assert_eq!(Lock { owner: lock.owner.clone(), ..back }, lock);
        }
    }
}
