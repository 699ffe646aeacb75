//! The lines that tell a developer which requests wait, and what their wait came to.

use std::sync::Arc;
use std::time::Duration;

use tidegate_activator::Revision;
use tidegate_activator::observe::{Observer, Unparked};
use tidegate_activator::receipt::Receipt;

use crate::output::Terminal;

/// Writes to the terminal. A burst of waiting requests is one line, not one each.
pub(crate) struct Events {
    pub(crate) terminal: Terminal,
}

impl Observer for Events {
    fn parked(&self, revision: &Arc<Revision>) {
        if revision.parked() == 1 {
            self.line(revision, "parked a request: it waits for a replica");
        }
    }

    fn unparked(&self, revision: &Arc<Revision>, outcome: Unparked, waited: Duration) {
        let waited = waited.as_millis();
        match outcome {
            Unparked::Leased | Unparked::Released => {}
            Unparked::Refused => self.line(
                revision,
                &format!("refused a request that had waited {waited} ms"),
            ),
            Unparked::TimedOut => self.line(
                revision,
                &format!("a request waited {waited} ms, until its timeout"),
            ),
            Unparked::Abandoned => {
                self.line(revision, &format!("a client left after {waited} ms of waiting"));
            }
        }
    }

    fn answered(&self, revision: &Arc<Revision>, receipt: &Receipt) {
        self.line(
            revision,
            &format!("answered a request that had waited: {receipt}"),
        );
    }
}

impl Events {
    fn line(&self, revision: &Revision, text: &str) {
        self.terminal
            .event(&format!("{}: {text}", revision.settings().name));
    }
}
