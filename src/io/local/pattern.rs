//! EC2's filter patterns: `*` for any run of characters, `?` for one, a backslash before either for itself.

/// Whether `text` matches `pattern`, all of it, in time proportional to the product of their lengths.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let pattern = parse(pattern);
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut seen) = (0, 0);
    // Where to go on after the last star, and the first character that it has not swallowed yet.
    let mut star: Option<(usize, usize)> = None;
    while let Some(&c) = text.get(seen) {
        match pattern.get(at) {
            Some(Piece::Any) => {
                star = Some((at + 1, seen));
                at += 1;
            }
            Some(Piece::One) => (at, seen) = (at + 1, seen + 1),
            Some(Piece::Is(wanted)) if *wanted == c => (at, seen) = (at + 1, seen + 1),
            Some(Piece::Is(_)) | None => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    (at, seen) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|piece| *piece == Piece::Any)
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Any,
    One,
    Is(char),
}

fn parse(pattern: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        pieces.push(match c {
            '*' => Piece::Any,
            '?' => Piece::One,
            '\\' => Piece::Is(rest.next().unwrap_or('\\')),
            other => Piece::Is(other),
        });
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks_match_as_in_ec2_filters() {
        let table = [
            ("prod", "prod", true),
            ("prod", "production", false),
            ("prod*", "production", true),
            ("*tion", "production", true),
            ("p*d*n", "production", true),
            ("p?od", "prod", true),
            ("p?od", "pod", false),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("\\", "\\", true),
            ("a*b?c", "aXbXbYc", true),
            ("Prod", "prod", false),
            ("?", "é", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    /// The same by definition, in exponential time.
    fn slow(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|from| slow(rest, &text[from..])),
            Some((c, rest)) => text
                .split_first()
                .is_some_and(|(first, after)| (*c == '?' || c == first) && slow(rest, after)),
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_definition(pattern in "[ab*?]{0,7}", text in "[ab]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), slow(&chars(&pattern), &chars(&text)));
        }
    }
}
