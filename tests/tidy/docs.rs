//! Documents that must say what the code does.

use std::collections::BTreeMap;

/// Sections of the changelog without an entry, and a missing heading for what is not released yet.
pub(crate) fn changelog(text: &str) -> Vec<String> {
    let mut sections: Vec<(&str, usize)> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            sections.push((title.trim(), 0));
        } else if let (Some(section), true) = (sections.last_mut(), line.starts_with("- ")) {
            section.1 += 1;
        }
    }
    let mut problems: Vec<String> = sections
        .iter()
        .filter(|(_, entries)| *entries == 0)
        .map(|(title, _)| format!("CHANGELOG.md: `{title}` has no entry"))
        .collect();
    if !sections
        .iter()
        .any(|(title, _)| title.contains("Unreleased"))
    {
        problems.push("CHANGELOG.md: has no section `Unreleased`".to_owned());
    }
    problems
}

/// Where the README's table of exit statuses and `pub enum Exit` differ.
///
/// The enum has a number for each variant (`Done = 0`), and the first sentence of the variant's doc comment stands in the
/// table beside that number, word for word; backticks and the full stop may differ.
pub(crate) fn exit_table(readme: &str, source: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let table = table(readme);
    let variants = variants(source);
    if table.is_empty() {
        problems.push("README.md: has no table of exit statuses (a heading with `exit status`, then rows `| 0 | … |`)".to_owned());
    }
    if variants.is_empty() {
        problems.push(
            "src/cli/exit.rs: has no `pub enum Exit` with numbers (`Done = 0`) and doc comments"
                .to_owned(),
        );
    }
    if !problems.is_empty() {
        return problems;
    }
    for (number, meaning) in &variants {
        match table.get(number) {
            None => problems.push(format!(
                "README.md: exit status {number} is missing: {meaning}"
            )),
            Some(said) if plain(said) != plain(meaning) => {
                problems.push(format!("README.md: exit status {number} says `{said}`, src/cli/exit.rs says `{meaning}`"));
            }
            Some(_) => {}
        }
    }
    for number in table.keys().filter(|number| !variants.contains_key(number)) {
        problems.push(format!(
            "README.md: exit status {number} is not in src/cli/exit.rs"
        ));
    }
    problems
}

fn plain(text: &str) -> String {
    text.replace('`', "")
        .trim()
        .trim_end_matches('.')
        .to_lowercase()
}

/// The rows of the first table with numbers below a heading that speaks of exit statuses.
fn table(readme: &str) -> BTreeMap<u8, String> {
    let mut rows = BTreeMap::new();
    let mut inside = false;
    for line in readme.lines() {
        if line.starts_with('#') {
            inside = line.to_lowercase().contains("exit status");
        } else if let (true, Some(row)) = (inside, line.strip_prefix('|')) {
            let mut cells = row.split('|').map(str::trim);
            let number = cells.next().map(|cell| cell.trim_matches('`').parse());
            if let (Some(Ok(number)), Some(meaning)) = (number, cells.next()) {
                rows.insert(number, meaning.to_owned());
            }
        }
    }
    rows
}

/// The numbers of `pub enum Exit`, each with the first paragraph of its doc comment.
fn variants(source: &str) -> BTreeMap<u8, String> {
    let mut found = BTreeMap::new();
    let mut doc: Vec<&str> = Vec::new();
    let body = source
        .split_once("pub enum Exit {")
        .map_or("", |(_, rest)| rest);
    for line in body.lines().map(str::trim).take_while(|line| *line != "}") {
        if let Some(text) = line.strip_prefix("///") {
            doc.push(text.trim());
        } else if let Some((_, number)) = line.trim_end_matches(',').split_once('=') {
            let paragraph: Vec<&str> = doc.drain(..).take_while(|text| !text.is_empty()).collect();
            if let Ok(number) = number.trim().parse() {
                found.insert(number, paragraph.join(" "));
            }
        } else {
            doc.clear();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changelog_that_says_nothing_is_found() {
        assert_eq!(
            changelog("# Changelog\n\n## [Unreleased]\n\n### New\n\n- New: x\n"),
            [""; 0]
        );
        assert_eq!(changelog("").len(), 1);
        assert_eq!(
            changelog("## [Unreleased]\n\n## [0.1.0]\n\n- New: x\n"),
            ["CHANGELOG.md: `[Unreleased]` has no entry"]
        );
        assert_eq!(
            changelog("## [0.1.0]\n\n- New: x\n"),
            ["CHANGELOG.md: has no section `Unreleased`"]
        );
    }

    const SOURCE: &str = "/// Ends.\npub enum Exit {\n    /// Done, or nothing to do.\n    Done = 0,\n    /// A node\n    /// `failed`.\n    ///\n    /// More.\n    Failed = 1,\n}\n";
    const README: &str = "# X\n\n| 7 | other table |\n\n## Exit status\n\n| status | meaning |\n| --- | --- |\n| 0 | done, or nothing to do |\n| `1` | A node failed. |\n\n## Next\n\n| 9 | other table |\n";

    #[test]
    fn a_table_that_agrees_with_the_enum_is_fine() {
        assert_eq!(exit_table(README, SOURCE), [""; 0]);
    }

    #[test]
    fn each_difference_between_table_and_enum_is_found() {
        for (readme, source, part) in [
            ("# X\n", SOURCE, "has no table"),
            (README, "", "has no `pub enum Exit`"),
            (
                &README.replace("| `1` | A node failed. |\n", ""),
                SOURCE,
                "exit status 1 is missing",
            ),
            (
                &README.replace("A node failed", "All is well"),
                SOURCE,
                "exit status 1 says `All is well.`",
            ),
            (
                README,
                &SOURCE.replace("Failed = 1", "Failed = 2"),
                "exit status 2 is missing",
            ),
            (
                &README.replace("| 0 |", "| 3 |"),
                SOURCE,
                "exit status 3 is not in",
            ),
        ] {
            let found = exit_table(readme, source);
            assert!(
                found.iter().any(|problem| problem.contains(part)),
                "{part}: {found:?}"
            );
        }
    }
}
