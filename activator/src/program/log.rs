//! What does the program say about itself? JSON lines on standard error, as Knative's programs write them.

use std::fmt;

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt,
};

/// Says from which level on lines are written.
pub struct Levels {
    set: Box<dyn Fn(LevelFilter)>,
}

/// How an event becomes a line.
struct Lines {
    pod: String,
}

/// Writes lines about the pod of this name to standard error from now on.
#[must_use]
pub fn install(pod: &str) -> Levels {
    let (filter, handle) = reload::Layer::new(LevelFilter::INFO);
    let lines = tracing_subscriber::fmt::layer()
        .event_format(Lines { pod: pod.to_owned() })
        .with_writer(std::io::stderr);
    // Whoever has installed another already has the lines.
    _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Levels {
        set: Box::new(move |level| {
            if let Err(error) = handle.reload(level) {
                tracing::warn!(%error, "what is logged stays as it was");
            }
        }),
    }
}

impl Levels {
    /// As `config-logging` names the level; what it does not know changes nothing.
    pub fn set(&self, name: &str) {
        match parse(name) {
            Some(level) => (self.set)(level),
            None => tracing::warn!(name, "there is no level of this name"),
        }
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Levels").finish_non_exhaustive()
    }
}

fn parse(name: &str) -> Option<LevelFilter> {
    match name.to_ascii_lowercase().as_str() {
        "debug" => Some(LevelFilter::DEBUG),
        "info" => Some(LevelFilter::INFO),
        "warn" | "warning" => Some(LevelFilter::WARN),
        "error" | "dpanic" | "panic" | "fatal" => Some(LevelFilter::ERROR),
        _ => None,
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut fields = Fields(Map::new());
        fields.put("severity", severity(*event.metadata().level()));
        fields.put("timestamp", time);
        fields.put("logger", "activator");
        fields.put("caller", event.metadata().target());
        fields.put("knative.dev/pod", self.pod.as_str());
        event.record(&mut fields);
        writeln!(writer, "{}", Value::Object(fields.0))
    }
}

fn severity(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

/// The fields of one line.
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_json_with_knatives_keys_and_the_events_fields() {
        let page = Page::default();
        let written = page.clone();
        let lines = tracing_subscriber::fmt::layer()
            .event_format(Lines {
                pod: "activator-1".to_owned(),
            })
            .with_writer(move || written.clone());
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(address = %"10.0.0.1:80", count = 3_u64, "a \"pod\" is gone");
        });
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let line: Value = serde_json::from_str(text.strip_suffix('\n').unwrap()).unwrap();
        assert_eq!(
            (&line["severity"], &line["logger"]),
            (&"WARNING".into(), &"activator".into())
        );
        assert_eq!(
            (&line["message"], &line["count"]),
            (&"a \"pod\" is gone".into(), &3.into())
        );
        assert_eq!(
            (&line["address"], &line["knative.dev/pod"]),
            (&"10.0.0.1:80".into(), &"activator-1".into())
        );
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn levels_have_the_names_of_zap() {
        assert_eq!(parse("Warn"), Some(LevelFilter::WARN));
        assert_eq!(parse("fatal"), Some(LevelFilter::ERROR));
        assert_eq!(parse("loud"), None);
    }
}
