//! How is written about exchanges that the proxy has no part in: those of another server in the program, such as its admin endpoints?

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};

use super::AccessLog;
use crate::config::http::HttpSettings;
use crate::connection::Peer;
use crate::listener::chain::Chain;
use crate::observe::ledger::Ending;
use crate::observe::record::Record;

/// Access logs of another server than the proxy. Clones write to the same ones.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use http::{Request, Response};
/// use tidegate_proxy::observe::access_log::{AccessLog, Format, Journal, Sink};
///
/// #[derive(Debug, Default)]
/// struct Lines(Mutex<Vec<u8>>);
/// impl Sink for Lines {
///     fn write(&self, line: Vec<u8>) {
///         self.0.lock().expect("no panic so far").extend(line);
///     }
/// }
///
/// let lines = Arc::new(Lines::default());
/// let log = AccessLog::new(Format::text("%REQ(:PATH)% %RESPONSE_CODE% %BYTES_SENT%")?, lines.clone());
/// let mut entry = Journal::new(vec![log]).begin(&Request::get("/stats").body(())?, None);
/// entry.answered(&Response::new(()));
/// entry.sent(5);
/// drop(entry);
/// assert_eq!(*lines.0.lock().expect("no panic so far"), b"/stats 200 5");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Journal {
    chain: Arc<Chain>,
}

/// An exchange that is written about when this is dropped.
#[must_use = "it is written when it is dropped: at the end of the response"]
pub struct JournalEntry {
    record: Arc<Record>,
    sent: u64,
}

impl Journal {
    /// These logs.
    #[must_use]
    pub fn new(logs: Vec<AccessLog>) -> Self {
        let http = HttpSettings {
            access_logs: logs,
            ..HttpSettings::default()
        };
        Self {
            chain: Arc::new(Chain::speaking(http)),
        }
    }

    /// A request has come from this client.
    pub fn begin<B>(&self, request: &Request<B>, client: Option<SocketAddr>) -> JournalEntry {
        let peer = Arc::new(Peer::of(Arc::clone(&self.chain)).with_addresses(client, None));
        JournalEntry {
            record: Arc::new(Record::beside(&peer, request)),
            sent: 0,
        }
    }
}

impl JournalEntry {
    /// The head of the response is ready.
    pub fn answered<B>(&self, response: &Response<B>) {
        self.record.answered(response);
    }

    /// So many more bytes of its body.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }
}

impl Drop for JournalEntry {
    fn drop(&mut self) {
        self.record.finish(Ending::Answered, self.sent);
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

impl fmt::Debug for JournalEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalEntry").finish_non_exhaustive()
    }
}
