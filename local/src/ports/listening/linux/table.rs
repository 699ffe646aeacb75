//! Which TCP sockets listen, say `/proc/net/tcp` and `tcp6`: for kernels that do not answer by netlink.

use std::fs::File;
use std::io::{self, BufRead, BufReader};

use procfs::net::TcpNetEntries;
use procfs::{FromBufReadSI, ProcResult};

use super::Socket;

const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// A small buffer: the kernel writes as many lines as fit, and the listening sockets come first.
const TABLE_READ_BYTES: usize = 4096;
/// State `LISTEN` as the tables write it, in this column.
const LISTEN: &str = "0A";
const STATE_COLUMN: usize = 3;

/// The listening sockets of both tables.
pub(super) fn listening() -> ProcResult<Vec<Socket>> {
    let mut sockets = Vec::new();
    for table in TABLES {
        match File::open(table) {
            Ok(file) => sockets.extend(parse(BufReader::with_capacity(TABLE_READ_BYTES, file))?),
            // A kernel without IPv6 has no tcp6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sockets)
}

/// The listening lines, without those of connected sockets behind them: there may be 10 000.
pub(super) fn parse(table: impl BufRead) -> ProcResult<Vec<Socket>> {
    let mut lines = String::new();
    for (index, line) in table.lines().enumerate() {
        let line = line?;
        if index > 0 && line.split_whitespace().nth(STATE_COLUMN) != Some(LISTEN) {
            break;
        }
        lines.push_str(&line);
        lines.push('\n');
    }
    let TcpNetEntries(entries) =
        TcpNetEntries::from_buf_read(lines.as_bytes(), procfs::current_system_info())?;
    Ok(entries
        .into_iter()
        .map(|entry| Socket {
            address: entry.local_address,
            inode: entry.inode,
        })
        .collect())
}
