//! What is written about a request when it is over, where the operator wants that?
//!
//! A line by a template (Knative `pkg/http/request_log.go`). An [`Entry`] begins with the head of a request and writes when it is
//! dropped; where to is said by whoever makes the log.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use tidegate_knative::request_log::{Came, Described, RequestLog};
//!
//! struct Hello;
//! impl Described for Hello {
//!     fn get(&self, name: &str) -> Option<&str> {
//!         (name == "Name").then_some("hello-00001")
//!     }
//! }
//! let lines = Arc::new(Mutex::new(Vec::new()));
//! let kept = Arc::clone(&lines);
//! let log = RequestLog::new("{{.Request.Method}} {{.Response.Code}} {{.Revision.Name}}", move |line| {
//!     kept.lock().unwrap().push(line);
//! })?;
//! let mut entry = Arc::new(log).begin(&http::Request::new(()), Came::default(), Arc::new(Hello));
//! entry.answered(201);
//! drop(entry);
//! assert_eq!(*lines.lock().unwrap(), ["GET 201 hello-00001\n"]);
//! # Ok::<(), tidegate_knative::template::TemplateError>(())
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::Request;

use crate::template::{Template, TemplateError};

mod view;

use view::{Asked, Exchange, Revision, Told, Wanted};

/// Writes about requests by a template.
pub struct RequestLog {
    template: Template,
    wanted: Wanted,
    tells_trace: bool,
    say: Box<dyn Fn(String) + Send + Sync>,
}

/// Whose requests they are, by the names that templates have: `Name`, `Namespace`, `Service`, `Configuration`, `PodName` and
/// `PodIP`. What it does not know is empty.
pub trait Described: Send + Sync {
    /// What it knows by this name.
    fn get(&self, name: &str) -> Option<&str>;
}

/// How a request came.
#[derive(Clone, Copy, Debug)]
pub struct Came {
    /// When.
    pub at: Instant,
    /// Who sent it.
    pub from: Option<SocketAddr>,
    /// Whether over TLS.
    pub is_tls: bool,
    /// Whether a body comes with it.
    pub has_body: bool,
}

/// A request under way, which becomes a line when this is dropped.
pub struct Entry {
    log: Arc<RequestLog>,
    about: Arc<dyn Described>,
    began: Instant,
    asked: Asked,
    status: u16,
    sent: u64,
}

impl RequestLog {
    /// A log by this template, which has one line for each request; `say` is given each, with its end.
    ///
    /// # Errors
    /// A template that cannot be read.
    pub fn new(template: &str, say: impl Fn(String) + Send + Sync + 'static) -> Result<Self, TemplateError> {
        let line_end = if template.ends_with('\n') { "" } else { "\n" };
        let template = Template::parse(&format!("{template}{line_end}"))?;
        Ok(Self {
            wanted: Wanted::by(|name| template.mentions(name)),
            template,
            tells_trace: true,
            say: Box::new(say),
        })
    }

    /// The same log, which tells no trace: as an activator's.
    #[must_use]
    pub fn without_trace(self) -> Self {
        Self {
            tells_trace: false,
            ..self
        }
    }

    /// Begins an entry.
    #[must_use]
    pub fn begin<B>(self: &Arc<Self>, request: &Request<B>, came: Came, about: Arc<dyn Described>) -> Entry {
        Entry {
            log: Arc::clone(self),
            about,
            began: came.at,
            asked: Asked::of(request, &came, self.wanted),
            status: 200,
            sent: 0,
        }
    }
}

impl Entry {
    /// The status of its response.
    pub fn answered(&mut self, status: u16) {
        self.status = status;
    }

    /// So many bytes of its response were sent.
    pub fn passed(&mut self, bytes: u64) {
        self.sent += bytes;
    }

    /// Its response broke off, which is told as Knative tells it.
    pub fn broke(&mut self) {
        (self.status, self.sent) = (500, 0);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let told = Told {
            status: self.status,
            bytes: self.sent,
            latency: self.began.elapsed(),
        };
        let exchange = Exchange {
            asked: &self.asked,
            told,
            about: Revision(&*self.about),
            tells_trace: self.log.tells_trace,
        };
        let line = self.log.template.render(&exchange);
        (self.log.say)(line.unwrap_or_else(|_| exchange.of_invalid_template()));
    }
}

impl Default for Came {
    /// Now, from nobody.
    fn default() -> Self {
        Self {
            at: Instant::now(),
            from: None,
            is_tls: false,
            has_body: false,
        }
    }
}

impl fmt::Debug for RequestLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestLog")
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("asked", &self.asked)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
