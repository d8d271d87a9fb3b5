//! The one file that reads the environment of the process and changes its directory.
#![expect(
    clippy::disallowed_methods,
    reason = "the room of the environment (`.clippy.toml`)"
)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The store's file, in whatever directory it comes to lie.
const STORE_FILE: &str = "roundsman.db";

/// Every variable whose name and value are UTF-8; others are passed over, no setting of ours is among them.
pub fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// One variable, unless it is absent, empty or not UTF-8.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Who runs this and where: `user@host`, the default of `[lease] owner`.
pub fn default_owner() -> String {
    let uid = rustix::process::getuid().as_raw();
    let user = variable("USER")
        .or_else(|| variable("LOGNAME"))
        .or_else(|| {
            user_of(
                uid,
                &std::fs::read_to_string("/etc/passwd").unwrap_or_default(),
            )
        })
        .unwrap_or_else(|| uid.to_string());
    let host = rustix::system::uname();
    format!("{user}@{}", host.nodename().to_string_lossy())
}

/// The user's name in the text of `/etc/passwd`.
fn user_of(uid: u32, passwd: &str) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, found) = (fields.next()?, fields.nth(1)?);
        (found.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

/// Where the local store lies when no setting says so: in `$STATE_DIRECTORY` (systemd's, the first of several),
/// else in `$XDG_STATE_HOME/roundsman`, else in `~/.local/state/roundsman`.
///
/// `None`: there is no home directory either, and a setting has to say it.
pub fn default_store() -> Option<PathBuf> {
    state_directory().map(|directory| directory.join(STORE_FILE))
}

/// The directory of the same: where what one machine knows is kept.
pub fn state_directory() -> Option<PathBuf> {
    state_in(&|name| std::env::var_os(name).filter(|value| !value.is_empty()))
}

fn state_in(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(directories) = variable("STATE_DIRECTORY") {
        return std::env::split_paths(&directories).next();
    }
    // The specification has relative paths ignored.
    let state = variable("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".local/state")))?;
    Some(state.join("roundsman"))
}

/// Goes to another directory, for `-C`. To be called before anything else looks at a path.
///
/// # Errors
/// The operating system's, when there is no such directory or it may not be entered.
pub fn change_directory(path: &Path) -> std::io::Result<()> {
    std::env::set_current_dir(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (
        &'static [(&'static str, &'static str)],
        Option<&'static str>,
    );

    #[test]
    fn what_is_kept_lies_where_systemd_or_xdg_say() {
        let table: [Case; 7] = [
            (
                &[("STATE_DIRECTORY", "/var/lib/r:/var/lib/s"), ("HOME", "/h")],
                Some("/var/lib/r"),
            ),
            (
                &[("XDG_STATE_HOME", "/x"), ("HOME", "/h")],
                Some("/x/roundsman"),
            ),
            (
                &[("XDG_STATE_HOME", "x"), ("HOME", "/h")],
                Some("/h/.local/state/roundsman"),
            ),
            (&[("HOME", "/h")], Some("/h/.local/state/roundsman")),
            (&[("STATE_DIRECTORY", "/s")], Some("/s")),
            (&[("XDG_STATE_HOME", "/x")], Some("/x/roundsman")),
            (&[], None),
        ];
        for (variables, expected) in table {
            let look = |name: &str| {
                variables
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| value.into())
            };
            assert_eq!(
                state_in(&look).as_deref(),
                expected.map(Path::new),
                "{variables:?}"
            );
        }
    }

    #[test]
    fn a_user_is_found_by_number() {
        let passwd = "# comment\nroot:x:0:0:root:/root:/bin/sh\n\nbroken\nann:x:1000:1000::/nonexistent:/bin/sh\n";
        assert_eq!(user_of(0, passwd).as_deref(), Some("root"));
        assert_eq!(user_of(1000, passwd).as_deref(), Some("ann"));
        assert_eq!(user_of(7, passwd), None);
    }

    #[test]
    fn the_owner_names_somebody_on_this_host() {
        let owner = default_owner();
        let (user, host) = owner.split_once('@').expect("user@host");
        assert!(!user.is_empty());
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("linux");
        assert_eq!(host, name.trim());
    }

    #[test]
    fn the_variables_hold_what_the_process_was_given() {
        let path = variable("PATH").expect("cargo sets it");
        assert!(variables().contains(&("PATH".to_owned(), path)));
        assert_eq!(variable("ROUNDSMAN_NO_SUCH_VARIABLE"), None);
    }
}
