//! The files that the rules look at, and a lexer that is just good enough for them.

use std::fs;
use std::path::{Path, PathBuf};

/// One text file of the tree.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// From the top of the tree, with `/`.
    pub(crate) path: String,
    /// What stands in it.
    pub(crate) text: String,
}

impl File {
    /// A file that exists only in a test.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// Reads a file of the tree; `None` when it is not there or no text.
    pub(crate) fn read(path: &str) -> Option<Self> {
        let text = fs::read_to_string(root().join(path)).ok()?;
        Some(Self::new(path, &text))
    }

    /// Whether it is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    /// Whether its name ends in `.extension`.
    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|found| found == extension)
    }

    /// The words and signs of its code, without comments and the insides of strings.
    pub(crate) fn tokens(&self) -> Vec<Token> {
        tokens(&blank(&self.text))
    }
}

/// One word or sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// The word, `::`, or a single sign.
    pub(crate) text: String,
    /// Its line, from 1.
    pub(crate) line: usize,
}

impl PartialEq<str> for Token {
    fn eq(&self, other: &str) -> bool {
        self.text == other
    }
}

impl Token {
    /// Whether it is a word and not a sign.
    pub(crate) fn is_word(&self) -> bool {
        self.text
            .starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file of the tree: what people wrote, not what was built, locked, or made by a run of the quickstart.
pub(crate) fn tree() -> Vec<File> {
    let mut files = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).expect("the tree can be read");
        for entry in entries {
            let path = entry.expect("the tree can be read").path();
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            if path.is_dir() {
                let built = path == root().join("target");
                let skipped = built || name == ".git" || name.ends_with(".db.d");
                if !skipped {
                    folders.push(path);
                }
            } else if is_ours(&name) {
                let below = path.strip_prefix(root()).expect("it is below the root");
                let path = below.to_string_lossy().replace('\\', "/");
                files.extend(File::read(&path));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn is_ours(name: &str) -> bool {
    let extensions = [
        "rs", "toml", "md", "sh", "py", "yml", "yaml", "json", "tf", "service", "timer", "sql",
        "snap", "txt",
    ];
    let names = [
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "Jenkinsfile",
        "run",
        ".gitignore",
    ];
    let extension = Path::new(name).extension().unwrap_or_default();
    names.contains(&name) || extensions.iter().any(|known| extension == *known)
}

/// The text with comments and the insides of strings and characters turned into spaces. Lines stay where they are.
pub(crate) fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skipped(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(
                chars[at..end]
                    .iter()
                    .map(|&c| if c == '\n' { c } else { ' ' }),
            );
            at = end;
        }
    }
    out
}

/// Where the comment, string or character that begins at `at` ends; `at` itself where none begins.
fn skipped(chars: &[char], at: usize) -> usize {
    let ahead = |offset: usize| chars.get(at + offset).copied().unwrap_or('\0');
    let after_word = at > 0 && is_word_char(chars[at - 1]);
    match (ahead(0), ahead(1)) {
        ('/', '/') => position(chars, at, |rest| rest[0] == '\n'),
        ('/', '*') => block_comment(chars, at),
        ('"', _) => quoted(chars, at + 1, '"'),
        ('\'', '\\') => quoted(chars, at + 1, '\''),
        ('\'', _) if ahead(2) == '\'' => at + 3,
        ('r', '"' | '#') if !after_word => raw_string(chars, at, at + 1),
        ('b' | 'c', 'r') if !after_word => raw_string(chars, at, at + 2),
        _ => at,
    }
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The first place from `at` on where `found` holds, or the end.
fn position(chars: &[char], at: usize, found: impl Fn(&[char]) -> bool) -> usize {
    (at..chars.len())
        .find(|&place| found(&chars[place..]))
        .unwrap_or(chars.len())
}

fn block_comment(chars: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut place = at;
    while place < chars.len() {
        match chars[place..] {
            ['/', '*', ..] => (depth, place) = (depth + 1, place + 2),
            ['*', '/', ..] => (depth, place) = (depth - 1, place + 2),
            _ => place += 1,
        }
        if depth == 0 {
            break;
        }
    }
    place
}

fn quoted(chars: &[char], from: usize, mark: char) -> usize {
    let mut place = from;
    while place < chars.len() && chars[place] != mark {
        place += if chars[place] == '\\' { 2 } else { 1 };
    }
    (place + 1).min(chars.len())
}

/// A raw string whose marks begin at `marks`; `at` when there is none (a raw identifier, or just a word).
fn raw_string(chars: &[char], at: usize, marks: usize) -> usize {
    let quote = position(chars, marks, |rest| rest[0] != '#');
    if chars.get(quote) != Some(&'"') {
        return at;
    }
    let hashes = quote - marks;
    let end = position(chars, quote + 1, |rest| {
        rest[0] == '"' && rest.len() > hashes && rest[1..=hashes].iter().all(|&c| c == '#')
    });
    (end + 1 + hashes).min(chars.len())
}

fn tokens(code: &str) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_word_char(first) {
                rest.find(|c| !is_word_char(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            found.push(Token {
                text: rest[..length].to_owned(),
                line: index + 1,
            });
            rest = rest[length..].trim_start();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_blanked_and_lines_stay() {
        let text = "a // b\nc /* d /* e */ f\n*/ g \"h \\\" i\" j r#\"k \" l\"# m b\"n\" 'o' '\\'' '\"' p<'q>";
        let words: Vec<(String, usize)> = tokens(&blank(text))
            .into_iter()
            .filter(Token::is_word)
            .map(|token| (token.text, token.line))
            .collect();
        let expected = [
            ("a", 1),
            ("c", 2),
            ("g", 3),
            ("j", 3),
            ("m", 3),
            ("b", 3),
            ("p", 3),
            ("q", 3),
        ];
        assert_eq!(words, expected.map(|(word, line)| (word.to_owned(), line)));
        assert_eq!(blank(text).lines().count(), text.lines().count());
    }

    #[test]
    fn raw_identifiers_are_no_strings() {
        assert_eq!(blank("r#type + crate::r"), "r#type + crate::r");
        assert_eq!(blank("br\"x\"; y").trim(), "; y");
    }

    #[test]
    fn an_unfinished_string_ends_with_the_file() {
        assert_eq!(blank("x \"y").trim(), "x");
        assert_eq!(blank("x /* y").trim(), "x");
        assert_eq!(blank("x r#\"y").trim(), "x");
    }
}
