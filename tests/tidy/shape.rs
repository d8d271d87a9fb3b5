//! Shape: how long a file and a function may be.

use crate::source::{File, Token};

/// The most lines of a file under src and tests. The aim is 300.
const FILE_LINES_MAX: usize = 500;
/// The most lines of a function, from `fn` to its last brace.
const FUNCTION_LINES_MAX: usize = 70;

fn is_code(file: &File) -> bool {
    let is_source = file.path.starts_with("src/") || file.path.starts_with("tests/");
    is_source && !file.has_extension("snap")
}

/// Files that are too long.
pub(crate) fn long_files(files: &[File]) -> Vec<String> {
    files
        .iter()
        .filter(|file| is_code(file))
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(file, lines)| format!("{}: {lines} lines, at most {FILE_LINES_MAX}", file.path))
        .collect()
}

/// Functions that are too long.
pub(crate) fn long_functions(files: &[File]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| is_code(file) && file.is_rust()) {
        for (name, first, last) in functions(&file.tokens()) {
            let lines = last - first + 1;
            if lines > FUNCTION_LINES_MAX {
                problems.push(format!(
                    "{}:{first}: `{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}",
                    file.path
                ));
            }
        }
    }
    problems
}

/// Every function with a body: its name, first line and last line.
fn functions(tokens: &[Token]) -> Vec<(String, usize, usize)> {
    (0..tokens.len().saturating_sub(1))
        .filter(|&at| tokens[at] == *"fn" && tokens[at + 1].is_word())
        .filter_map(|at| {
            let last = body_end(&tokens[at..])?;
            Some((tokens[at + 1].text.clone(), tokens[at].line, last))
        })
        .collect()
}

/// The line of the brace that ends the body; `None` for a function without one.
fn body_end(tokens: &[Token]) -> Option<usize> {
    let mut brackets = 0_usize;
    let mut braces = 0_usize;
    for token in tokens {
        match token.text.as_str() {
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets = brackets.saturating_sub(1),
            ";" if brackets == 0 && braces == 0 => return None,
            "{" => braces += 1,
            "}" if braces == 1 => return Some(token.line),
            "}" => braces = braces.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_have_500_lines_and_no_more() {
        let file = |path: &str, lines: usize| File::new(path, &"x\n".repeat(lines));
        assert_eq!(
            long_files(&[
                file("src/a.rs", 500),
                file("README.md", 900),
                file("tests/a.snap", 900)
            ]),
            [""; 0]
        );
        let found = long_files(&[
            file("src/a.rs", 501),
            file("src/b.sh", 501),
            file("tests/c.rs", 501),
        ]);
        assert_eq!(found.len(), 3, "{found:?}");
    }

    fn with_body(lines: usize) -> File {
        let body = "    f(\"}\"); // }\n".repeat(lines - 2);
        File::new(
            "src/a.rs",
            &format!("trait T {{ fn none(x: [u8; 2]); }}\n\nfn long() -> [u8; 2] {{\n{body}}}\n"),
        )
    }

    #[test]
    fn a_function_may_have_70_lines_and_no_more() {
        assert_eq!(long_functions(&[with_body(70)]), [""; 0]);
        assert_eq!(
            long_functions(&[with_body(71)]),
            ["src/a.rs:3: `long` has 71 lines, at most 70"]
        );
    }

    #[test]
    fn types_of_functions_are_no_functions_and_methods_are() {
        let text = "struct S { f: fn(u8) -> u8 }\nimpl S {\n    pub async fn m<F: Fn()>(&self)\n    where\n        F: Copy,\n    {\n        if true { }\n    }\n}\n";
        let found = functions(&File::new("src/a.rs", text).tokens());
        assert_eq!(found, [("m".to_owned(), 3, 8)]);
    }
}
