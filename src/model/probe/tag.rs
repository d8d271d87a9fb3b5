//! The probe's own tag: its value, and what is to be made of one that is there already.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::field::Fields;
use crate::model::id::ProbeId;
use crate::model::tag::{TagKey, Tags, VALUE_MAX, clean_last, tags_missing_room};
use crate::model::time::{elapsed, floor_second, format_stamp, parse_stamp};

/// The longest time between two writes of a probe, throttling included, is shorter than this: a value that is older
/// was left behind.
pub const YOUNG: Duration = Duration::from_secs(180);

/// How many tags a run may add to a node: `lock`, `last-`, `took-` and `fail-`.
const OF_A_RUN: usize = 4;

/// The most characters of who probes.
const BY_MAX: usize = 60;

/// `v1 probe= seq= at= by=`: no two writes have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeTag {
    /// The probe.
    pub probe: ProbeId,
    /// Which of its writes, from 1.
    pub seq: usize,
    /// When it was written, the provider's time.
    pub at: Timestamp,
    /// Who probes.
    pub by: String,
}

impl ProbeTag {
    /// The tag's value.
    pub fn format(&self) -> String {
        let by = clean_last(&self.by, BY_MAX);
        let text = format!(
            "v1 probe={} seq={} at={} by={by}",
            self.probe,
            self.seq,
            format_stamp(self.at)
        );
        text.chars().take(VALUE_MAX).collect()
    }

    /// Reads one; `None`: it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let fields = Fields::parse(text)?;
        Some(Self {
            probe: fields.read("probe")?,
            seq: fields.read("seq")?,
            at: parse_stamp(fields.get("at")?)?,
            by: fields.get("by")?.to_owned(),
        })
    }
}

/// What is to be made of a node before the first write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Site {
    /// The key is free, and there is room.
    Free,
    /// A probe that died has left this value: it is replaced.
    Leftover {
        /// The exact value.
        value: String,
        /// The same, read.
        tag: ProbeTag,
    },
    /// Another probe is at it, or was a moment ago.
    Busy(ProbeTag),
    /// Somebody else wrote this: it is never overwritten.
    Foreign(String),
    /// There is no room: so many tags are there, `aws:` ones not counted.
    Full(usize),
}

/// Looks at a node's tags before the first write.
///
/// There has to be room for a run beside the probe too: a run that began before the probe may have its record still to
/// write, and must not find the last place taken.
pub fn look(tags: &Tags, key: &TagKey, now: Timestamp) -> Site {
    if let Some(value) = tags.get(key.as_str()) {
        let Some(tag) = ProbeTag::parse(value) else {
            return Site::Foreign(value.clone());
        };
        let age = elapsed(tag.at, now).max(elapsed(now, tag.at));
        if age < YOUNG {
            return Site::Busy(tag);
        }
        let value = value.clone();
        return Site::Leftover { value, tag };
    }
    if tags_missing_room(tags, &[key; 1 + OF_A_RUN]) > 0 {
        let present = tags.keys().filter(|key| !key.starts_with("aws:")).count();
        return Site::Full(present);
    }
    Site::Free
}

/// What a read shows to the probe that is at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// What stood there before the probe: nothing, or what an earlier probe has written.
    Before,
    /// The probe's own write of this number.
    Own(usize),
    /// Somebody else's: another probe of the same time, or a person.
    Foreign(String),
}

/// Tells a value that was read to the probe that began at `began` and has made `written` writes.
///
/// A read may be so stale that it shows an earlier probe's value: that is no other probe at the same time.
pub fn shown(value: Option<&str>, probe: ProbeId, began: Timestamp, written: usize) -> Shown {
    let Some(value) = value else {
        return Shown::Before;
    };
    match ProbeTag::parse(value) {
        Some(tag) if tag.probe == probe && (1..=written).contains(&tag.seq) => Shown::Own(tag.seq),
        Some(tag) if tag.probe != probe && tag.at < floor_second(began) => Shown::Before,
        _ => Shown::Foreign(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tag::{TAGS_MAX, probe_key, value_character};

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn tag(by: &str) -> ProbeTag {
        ProbeTag {
            probe: ProbeId::new(1_795_392_600_000, u128::MAX),
            seq: 12,
            at: at("2026-11-23T00:10:00Z"),
            by: by.to_owned(),
        }
    }

    fn key() -> TagKey {
        probe_key("").expect("a key")
    }

    #[test]
    fn a_value_is_read_as_it_was_written() {
        let own = tag("ann@bastion-1");
        let text = own.format();
        assert!(text.ends_with(" seq=12 at=2026-11-23T00:10:00Z by=ann@bastion-1"));
        assert_eq!(ProbeTag::parse(&text), Some(own));
        for other in ["", "yes", "v2 probe=x", "v1 lock=1"] {
            assert_eq!(ProbeTag::parse(other), None, "{other}");
        }
    }

    #[test]
    fn every_value_is_one_that_ec2_takes() {
        let text = tag(&format!("{} seq=9 \u{e9}", "ann ".repeat(99))).format();
        assert!(
            text.len() <= VALUE_MAX && text.chars().all(value_character),
            "{text}"
        );
        assert_eq!(ProbeTag::parse(&text).map(|tag| tag.seq), Some(12));
    }

    #[test]
    fn what_is_there_is_replaced_only_when_a_probe_left_it_behind() {
        let value = tag("ann").format();
        let look_at = |value: &str, now: &str| {
            let tags = Tags::from([(key().as_str().to_owned(), value.to_owned())]);
            look(&tags, &key(), at(now))
        };
        assert_eq!(
            look_at(&value, "2026-11-23T00:12:59Z"),
            Site::Busy(tag("ann"))
        );
        assert_eq!(
            look_at(&value, "2026-11-23T00:07:01Z"),
            Site::Busy(tag("ann"))
        );
        let leftover = Site::Leftover {
            value: value.clone(),
            tag: tag("ann"),
        };
        assert_eq!(look_at(&value, "2026-11-23T00:13:00Z"), leftover);
        // A clock that was far ahead does not block the node for ever.
        assert_eq!(look_at(&value, "2026-11-22T00:00:00Z"), leftover);
        let foreign = Site::Foreign("keep out".to_owned());
        assert_eq!(look_at("keep out", "2026-11-23T00:13:00Z"), foreign);
    }

    #[test]
    fn a_probe_knows_its_own_writes_from_what_was_there_and_from_others() {
        let own = tag("ann");
        let other = ProbeTag {
            probe: ProbeId::new(1, 1),
            ..tag("bob")
        };
        let shown = |value: &str, began: &str| shown(Some(value), own.probe, at(began), 12);
        let began = "2026-11-23T00:09:00.500Z";
        assert_eq!(super::shown(None, own.probe, at(began), 12), Shown::Before);
        assert_eq!(shown(&own.format(), began), Shown::Own(12));
        let ahead = ProbeTag {
            seq: 13,
            ..own.clone()
        }
        .format();
        assert_eq!(shown(&ahead, began), Shown::Foreign(ahead.clone()));
        assert_eq!(shown("x", began), Shown::Foreign("x".to_owned()));
        // Written before this probe began, and in the second in which it did.
        assert_eq!(
            shown(&other.format(), "2026-11-23T00:10:01.200Z"),
            Shown::Before
        );
        let same = other.format();
        assert_eq!(
            shown(&same, "2026-11-23T00:10:00.900Z"),
            Shown::Foreign(same.clone())
        );
    }

    #[test]
    fn a_run_beside_the_probe_keeps_its_room() {
        let with = |count: usize| {
            let mut tags: Tags = (0..count)
                .map(|n| (format!("k{n}"), String::new()))
                .collect();
            tags.insert("aws:cloudformation:stack-name".to_owned(), String::new());
            look(&tags, &key(), at("2026-11-23T00:10:00Z"))
        };
        assert_eq!(with(TAGS_MAX - 5), Site::Free);
        assert_eq!(with(TAGS_MAX - 4), Site::Full(46));
        assert_eq!(with(TAGS_MAX), Site::Full(50));
    }
}
