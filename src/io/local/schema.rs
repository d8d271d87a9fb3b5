//! The `SQLite` file itself: opening it, making it, its version, and what its errors mean.

use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Error, ErrorCode, OpenFlags, TransactionBehavior};

use crate::io::local::store::PATIENCE;
use crate::port::{ErrorKind, PortError};

/// The version of the tables below. A file of a higher one is left alone.
const VERSION: i64 = 1;
/// `rman`: tells our files from other programs' databases.
const APPLICATION: i64 = 0x726d_616e;

const TABLES: &str = "
    CREATE TABLE tag (
        node TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (node, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE fact (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;";

/// Opens the file, or makes it; also tells its full path, and whether this process made the tables in it.
pub(super) fn open(path: &Path) -> Result<(Connection, PathBuf, bool), PortError> {
    let path = std::path::absolute(path).map_err(|error| unreadable(path, &error))?;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| unreadable(parent, &error))?;
    }
    if path.is_dir() {
        let message = format!("{} is a directory, and the store is a file", path.display());
        return Err(PortError::new(ErrorKind::Other, message)
            .with_help("name a file in `store` of [provider.local]"));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let prepared = Connection::open_with_flags(&path, flags).and_then(|mut connection| {
        connection.busy_timeout(PATIENCE)?;
        let state = make(&mut connection)?;
        if matches!(state, State::Made | State::Ours) {
            journal(&connection)?;
        }
        Ok((connection, state))
    });
    match prepared {
        Err(error) => Err(explain(&path, &error)),
        Ok((connection, state)) => match state {
            State::Made => Ok((connection, path, true)),
            State::Ours => Ok((connection, path, false)),
            State::Newer(version) => {
                let message = format!(
                    "{} was written by a newer roundsman (version {version} of its tables, this one knows {VERSION})",
                    path.display()
                );
                Err(PortError::new(ErrorKind::Other, message)
                    .with_help("use that version here, or another file"))
            }
            State::Foreign => {
                let message = format!("{} is a database of another program", path.display());
                Err(PortError::new(ErrorKind::Other, message)
                    .with_help("name another file in `store` of [provider.local]"))
            }
        },
    }
}

/// An empty store in memory, for a look at a file that is not there yet.
pub(super) fn nothing() -> Result<Connection, PortError> {
    let prepared = Connection::open_in_memory().and_then(|mut connection| {
        make(&mut connection)?;
        Ok(connection)
    });
    prepared.map_err(|error| explain(Path::new("the store in memory"), &error))
}

enum State {
    Made,
    Ours,
    Newer(i64),
    Foreign,
}

/// Makes the tables where there are none, and looks whose they are.
fn make(connection: &mut Connection) -> rusqlite::Result<State> {
    // Most of the time there is nothing to make, and nobody has to wait for writers to see that. One transaction, or
    // a file that is being made right now would look like another program's.
    let snapshot = connection.transaction()?;
    if let Some(state) = judge(&snapshot)? {
        return Ok(state);
    }
    drop(snapshot);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if let Some(state) = judge(&transaction)? {
        return Ok(state);
    }
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(State::Made)
}

/// Whose the file is; `None`: nobody's yet.
fn judge(connection: &Connection) -> rusqlite::Result<Option<State>> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let version = number("user_version")?;
    let ours = number("application_id")? == APPLICATION;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (ours, tables, version) {
        (false, 0, 0) => None,
        (false, ..) => Some(State::Foreign),
        (true, _, version) if version > VERSION => Some(State::Newer(version)),
        (true, ..) => Some(State::Ours),
    })
}

/// Turns on the write-ahead log, so that readers and a writer do not wait for each other.
///
/// The change needs the file alone for a moment, and `SQLite` answers busy at once when another process is about to
/// do the same; beginning to write waits for that one.
fn journal(connection: &Connection) -> rusqlite::Result<()> {
    let mut tries = 0;
    loop {
        let changed = connection
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0));
        match changed {
            Err(error) if busy(&error) && tries < 100 => {
                tries += 1;
                connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?;
            }
            // A file system that cannot do it says another mode: slower, and as safe.
            other => return other.map(|_| ()),
        }
    }
}

fn busy(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// An error of `SQLite`'s in words that name the file and say what to do.
pub(super) fn explain(path: &Path, error: &Error) -> PortError {
    let path = path.display();
    let (kind, what, help) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            ErrorKind::Conflict,
            format!(
                "{path} is locked by another process for more than {} s",
                PATIENCE.as_secs()
            ),
            "look who has it open (`fuser` tells), and try again",
        ),
        Some(ErrorCode::DiskFull) => (
            ErrorKind::Other,
            format!("{path} could not be written: the disk is full"),
            "make room, and try again",
        ),
        Some(ErrorCode::ReadOnly) => (
            ErrorKind::Denied,
            format!("{path} could not be written: it is read-only"),
            "give this user the right to write the file and its directory",
        ),
        Some(
            ErrorCode::PermissionDenied
            | ErrorCode::CannotOpen
            | ErrorCode::AuthorizationForStatementDenied,
        ) => (
            ErrorKind::Denied,
            format!("{path} could not be opened"),
            "give this user the right to read and write the file and its directory",
        ),
        Some(ErrorCode::NotADatabase) => (
            ErrorKind::Other,
            format!("{path} is not a database"),
            "name another file in `store` of [provider.local], or move this one away",
        ),
        Some(ErrorCode::DatabaseCorrupt) => (
            ErrorKind::Other,
            format!("{path} is damaged"),
            "restore it from a backup, or move it away to begin anew (every node will then be due)",
        ),
        _ => return PortError::new(ErrorKind::Other, format!("{path}: {error}")),
    };
    PortError::new(kind, what).with_help(help)
}

fn unreadable(path: &Path, error: &std::io::Error) -> PortError {
    let kind = match error.kind() {
        IoKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Other,
    };
    PortError::new(
        kind,
        format!("{} could not be made: {error}", path.display()),
    )
    .with_help("`store` of [provider.local] says where the store lies")
}
