//! Text that comes from nodes, tags and files, made fit for a terminal.

/// The text with every control character made harmless, so that no node can move the cursor, change colours or
/// hide what it printed. Line ends stay; a tab becomes spaces.
pub fn harmless(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            '\n' => Some('\n'),
            '\t' => Some(' '),
            '\r' => None,
            // Marks that turn the direction of writing can show a command as another one.
            '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => Some('\u{fffd}'),
            c if c.is_control() => Some('\u{fffd}'),
            c => Some(c),
        })
        .collect()
}

/// The same on one line.
pub fn harmless_line(text: &str) -> String {
    harmless(text).replace('\n', " ")
}

/// The last lines of a text, harmless, at most `lines` of them and each cut to `width` characters.
pub fn last_lines(text: &str, lines: usize, width: usize) -> Vec<String> {
    let clean = harmless(text);
    let all: Vec<&str> = clean
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let from = all.len().saturating_sub(lines);
    all.iter()
        .skip(from)
        .map(|line| {
            let cut: String = line.chars().take(width).collect();
            if cut.len() < line.len() {
                format!("{cut}…")
            } else {
                cut
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_node_prints_moves_the_cursor() {
        let text = harmless("a\u{1b}[2Jb\r\nc\td\u{202e}e\u{7}");
        assert_eq!(text, "a\u{fffd}[2Jb\nc d\u{fffd}e\u{fffd}");
        assert_eq!(harmless_line("a\nb"), "a b");
    }

    #[test]
    fn the_last_lines_are_shown_cut_to_the_width() {
        assert_eq!(last_lines("one\n\ntwo\nthree\n", 2, 3), ["two", "thr…"]);
        assert!(last_lines("", 5, 80).is_empty());
    }
}
