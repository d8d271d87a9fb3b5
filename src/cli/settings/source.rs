//! Reads the files that people write: job files and settings.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use crate::model::problem::Problem;

/// The most bytes of a file: beyond it, it is something else.
const SIZE_MAX: u64 = 1 << 20;

/// The text of a file; `None` when there is no such file.
///
/// # Errors
/// A sentence when it is there and cannot be read as text.
pub fn read_text(path: &Path) -> Result<Option<String>, Problem> {
    let cannot = |error: &std::io::Error| {
        let help = match error.kind() {
            ErrorKind::PermissionDenied => {
                Some("let the user that runs roundsman read it".to_owned())
            }
            _ => None,
        };
        Problem::general(format!("cannot be read: {error}"), help)
    };
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| {
        if file.metadata()?.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        file.take(SIZE_MAX + 1).read_to_end(&mut bytes)
    });
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        // `roundsman.toml/x`, where `roundsman.toml` is a file.
        Err(error) if error.kind() == ErrorKind::NotADirectory => return Ok(None),
        Err(error) if error.kind() == ErrorKind::IsADirectory => {
            return Err(Problem::general(
                "is a directory, and a file is needed here",
                None,
            ));
        }
        Err(error) => return Err(cannot(&error)),
    }
    if bytes.len() as u64 > SIZE_MAX {
        return Err(Problem::general(
            "is larger than 1 MB, which none of roundsman's files is",
            None,
        ));
    }
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error
            .as_bytes()
            .iter()
            .take(good)
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        Problem::general(
            format!("is not UTF-8: line {line} has bytes that are no text"),
            Some("save it as UTF-8".to_owned()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_says_why() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("latin1"), b"a = 1\nb = \"\xe9\"\n").expect("written");
        std::fs::write(path("large"), vec![b'#'; (1 << 20) + 1]).expect("written");
        std::fs::write(path("good"), "é").expect("written");
        let message = |name: &str| read_text(&path(name)).map_err(|problem| problem.message);
        assert!(message("latin1").is_err_and(|message| message.contains("line 2")));
        assert!(message("large").is_err_and(|message| message.contains("larger")));
        assert!(message(".").is_err_and(|message| message.contains("directory")));
        assert_eq!(message("good"), Ok(Some("é".to_owned())));
        assert_eq!(message("none"), Ok(None));
        assert_eq!(message("good/none"), Ok(None));
    }
}
