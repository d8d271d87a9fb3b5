//! Colour, where it helps: it never says anything that words do not.

use anstyle::{AnsiColor, Style};

/// What a text is coloured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// It did not succeed, or is overdue.
    Bad,
    /// Somebody should look.
    Warn,
    /// It succeeded, or may be done.
    Good,
    /// The head of a column.
    Head,
    /// Nothing to do with it.
    Faint,
}

impl Paint {
    const ALL: [Self; 5] = [Self::Bad, Self::Warn, Self::Good, Self::Head, Self::Faint];

    fn style(self) -> Style {
        match self {
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Head => Style::new().bold(),
            Self::Faint => Style::new().dimmed(),
        }
    }

    /// The first of the 128 private characters that stand for ASCII in this colour.
    fn base(self) -> u32 {
        let place = Self::ALL.iter().position(|paint| *paint == self);
        0xE000 + 0x80 * u32::try_from(place.unwrap_or(0)).unwrap_or(0)
    }
}

/// The text in its colour.
pub(super) fn painted(text: &str, paint: Option<Paint>) -> String {
    match paint {
        Some(paint) => {
            let style = paint.style();
            format!("{style}{text}{style:#}")
        }
        None => text.to_owned(),
    }
}

/// Marks a text for [`reveal`]: each ASCII character becomes a private one that is as wide, so that what lays
/// tables out counts right and may break the text anywhere.
pub(super) fn veil(text: &str, paint: Paint) -> String {
    let veiled = |c: char| {
        let private = char::from_u32(paint.base() + u32::from(c));
        private.filter(|_| c.is_ascii_graphic()).unwrap_or(c)
    };
    text.chars().map(veiled).collect()
}

/// The text without private characters, so that nothing but [`veil`] marks anything.
pub(super) fn unmarked(text: &str) -> String {
    let private = |c: char| ('\u{e000}'..='\u{f8ff}').contains(&c);
    text.replace(private, "\u{fffd}")
}

/// Turns the marks of [`veil`] into colours.
pub(super) fn reveal(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut now: Option<Paint> = None;
    for c in text.chars() {
        let found = Paint::ALL.into_iter().find_map(|paint| {
            let ascii = u32::from(c).checked_sub(paint.base())?;
            let ascii = u8::try_from(ascii).ok().filter(u8::is_ascii)?;
            Some((paint, char::from(ascii)))
        });
        let next = found.map(|(paint, _)| paint);
        if next != now {
            if let Some(paint) = now {
                shown.push_str(&format!("{:#}", paint.style()));
            }
            if let Some(paint) = next {
                shown.push_str(&paint.style().to_string());
            }
            now = next;
        }
        shown.push(found.map_or(c, |(_, ascii)| ascii));
    }
    if let Some(paint) = now {
        shown.push_str(&format!("{:#}", paint.style()));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_marked_is_coloured_and_nothing_else() {
        for paint in Paint::ALL {
            let text = format!("a {} b", veil("not-due", paint));
            assert_eq!(
                reveal(&text),
                format!("a {} b", painted("not-due", Some(paint)))
            );
        }
        let hostile = veil("x", Paint::Bad);
        assert_eq!(reveal(&unmarked(&hostile)), "\u{fffd}");
    }

    #[test]
    fn a_marked_text_is_as_long_as_it_was() {
        let veiled = veil("due ü", Paint::Good);
        assert_eq!(veiled.chars().count(), 5);
        assert!(veiled.ends_with(" ü"));
    }
}
