//! The command that leads to a node: `via` of `[provider.local]`.

use crate::model::node::Node;
use crate::port::{ErrorKind, PortError};

/// A transport's program and arguments.
///
/// In the arguments `{id}`, `{address}`, `{name}` and `{zone}` stand for the node's own. `sh -s` is appended, as the
/// command to run there, unless the last argument is a shell already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via(Vec<String>);

impl Via {
    /// `None` when there is no transport: this machine.
    pub fn new(argv: &[String]) -> Option<Self> {
        (!argv.is_empty()).then(|| Self(argv.to_vec()))
    }

    /// The command for one node.
    ///
    /// # Errors
    /// When a value is missing, or is one that a program could take for an option or a shell for more than a word:
    /// names come from tags, and who may write tags shall not execute anything.
    pub(super) fn argv(&self, node: &Node) -> Result<Vec<String>, PortError> {
        let mut argv = Vec::new();
        for (number, argument) in self.0.iter().enumerate() {
            argv.push(if number == 0 {
                argument.clone()
            } else {
                fill(argument, node)?
            });
        }
        let last = self.0.last().map_or("", String::as_str);
        let shell =
            ["sh", "dash", "bash", "ash"].contains(&last.rsplit('/').next().unwrap_or(last));
        if !(shell || last == "-s" || last.ends_with("sh -s")) {
            argv.extend(["sh".to_owned(), "-s".to_owned()]);
        }
        Ok(argv)
    }
}

/// How a process ended, for a sentence.
pub(super) fn ending(status: Option<i32>) -> String {
    status.map_or_else(
        || "by a signal".to_owned(),
        |status| format!("with status {status}"),
    )
}

fn fill(argument: &str, node: &Node) -> Result<String, PortError> {
    let mut filled = String::new();
    let mut rest = argument;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let (word, value) = match after.split_once('}') {
            Some(("id", _)) => ("id", Some(node.id.as_str())),
            Some(("address", _)) => ("address", node.address.as_deref()),
            Some(("name", _)) => ("name", node.name.as_deref()),
            Some(("zone", _)) => ("zone", node.zone.as_deref()),
            // Other braces belong to the transport.
            _ => {
                filled.push('{');
                rest = after;
                continue;
            }
        };
        filled.push_str(checked(word, value, argument, filled.is_empty(), node)?);
        rest = after.get(word.len() + 1..).unwrap_or_default();
    }
    Ok(filled + rest)
}

fn checked<'a>(
    word: &str,
    value: Option<&'a str>,
    argument: &str,
    first: bool,
    node: &Node,
) -> Result<&'a str, PortError> {
    let refuse = |why: &str| {
        PortError::new(
            ErrorKind::Other,
            format!(
                "node {}: `via` asks for {{{word}}} in `{argument}`, and {why}",
                node.id
            ),
        )
        .with_help("use another of {id}, {address}, {name} and {zone}, or correct the inventory")
    };
    let value = value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| refuse("the node has none"))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-=.,_:/@%".contains(c);
    if let Some(bad) = value.chars().find(|&c| !plain(c)) {
        return Err(refuse(&format!(
            "`{value}` has a {bad:?}, which may not stand in a command"
        )));
    }
    if first && value.starts_with('-') {
        return Err(refuse(&format!("`{value}` would be taken for an option")));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::local::shell::tests::node;

    fn argv(via: &[&str], node: &Node) -> Result<Vec<String>, String> {
        let via: Vec<String> = via.iter().map(|&argument| argument.to_owned()).collect();
        Via::new(&via)
            .expect("some")
            .argv(node)
            .map_err(|error| error.message)
    }

    #[test]
    fn the_nodes_values_stand_in_the_arguments() {
        let mut db = node("db-1");
        db.address = Some("10.0.0.11".to_owned());
        let ssh = argv(&["ssh", "-oBatchMode=yes", "root@{address}"], &db).expect("filled");
        assert_eq!(
            ssh,
            ["ssh", "-oBatchMode=yes", "root@10.0.0.11", "sh", "-s"]
        );
        let own = argv(&["docker", "exec", "-i", "{id}-{id}", "/bin/bash"], &db).expect("filled");
        assert_eq!(own, ["docker", "exec", "-i", "db-1-db-1", "/bin/bash"]);
        let braces = argv(&["x", "{{.ID}} {ID} {", "sudo sh -s"], &db).expect("filled");
        assert_eq!(braces, ["x", "{{.ID}} {ID} {", "sudo sh -s"]);
        assert_eq!(Via::new(&[]), None);
    }

    #[test]
    fn a_missing_or_hostile_value_names_the_node() {
        let mut db = node("db-1");
        let missing = argv(&["ssh", "{address}"], &db).expect_err("no address");
        assert!(
            missing.contains("node db-1") && missing.contains("{address}"),
            "{missing}"
        );
        for name in ["-oProxyCommand=id", "a b", "a;id", "$(id)", "a\nb", ""] {
            db.name = Some(name.to_owned());
            assert!(argv(&["ssh", "{name}"], &db).is_err(), "{name}");
        }
        db.name = Some("-v".to_owned());
        assert_eq!(
            argv(&["ssh", "x{name}"], &db).map(|argv| argv[1].clone()),
            Ok("x-v".to_owned())
        );
    }
}
