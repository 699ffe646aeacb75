//! How does what the data plane has to say come into the sidecar's log?

use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::metadata::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::{Level, Log};

/// Writes warnings and errors of the whole process to `log`, from now on. A process has one such log, the first.
pub fn follow(log: Log) {
    _ = tracing::subscriber::set_global_default(Events { log });
}

/// Events without spans: nothing of the data plane's log needs those.
struct Events {
    log: Log,
}

impl Subscriber for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= tracing::Level::WARN
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let level = if *event.metadata().level() == tracing::Level::ERROR {
            Level::Error
        } else {
            Level::Warning
        };
        self.log.say(level, &format!("{}{}", line.message, line.fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What an event says.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let (into, name) = match field.name() {
            "message" => (&mut self.message, String::new()),
            name => (&mut self.fields, format!(" {name}=")),
        };
        // Writing to a string never fails.
        _ = write!(into, "{name}{value:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_and_errors_are_written_and_nothing_below() {
        let log = Log::silent();
        let events = Events { log: log.clone() };
        tracing::subscriber::with_default(events, || {
            tracing::info!("not this");
            let _span = tracing::error_span!("nor this").entered();
            tracing::warn!(reason = "none", "something");
            tracing::error!("something else");
        });
        assert_eq!(log.lines(), 2);
    }
}
