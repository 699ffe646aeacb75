//! How are instruments written for Prometheus? As OpenTelemetry's exporter writes them.

use std::fmt::{self, Write};

use super::{Definition, Form, Group, Instruments, Owned, Reading, Series};

/// The whole page.
pub(super) fn text(all: &Instruments) -> String {
    let mut families: Vec<_> = all
        .groups
        .iter()
        .flat_map(|group| group.definitions.iter().enumerate().map(move |one| (group, one)))
        .map(|(group, (place, definition))| (family(definition), definition, &**group, place))
        .collect();
    families.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let mut page = String::new();
    for (name, definition, group, place) in families {
        // Writing to a string never fails.
        _ = write_family(&mut page, &name, definition, (group, place));
    }
    _ = target(&mut page, &all.resource);
    page
}

fn write_family(
    page: &mut String,
    name: &str,
    definition: &Definition,
    (group, place): (&Group, usize),
) -> fmt::Result {
    let mut has_head = false;
    for series in group.all() {
        let Some(reading) = series.read(place) else {
            continue;
        };
        if !std::mem::replace(&mut has_head, true) {
            writeln!(page, "# HELP {name} {}", definition.description)?;
            let kind = match definition.form {
                Form::Gauge | Form::UpDownCounter => "gauge",
                Form::Counter => "counter",
                Form::Durations(_) | Form::Sizes(_) => "histogram",
            };
            writeln!(page, "# TYPE {name} {kind}")?;
        }
        let labels = labels(group, &series);
        match reading {
            Reading::Number(number) => writeln!(page, "{name}{{{labels}}} {number}")?,
            Reading::Histogram { counts, sum } => {
                histogram(page, (name, &labels), definition, (&counts, sum))?;
            }
        }
    }
    Ok(())
}

fn histogram(
    page: &mut String,
    (name, labels): (&str, &str),
    definition: &Definition,
    (counts, sum): (&[u64], f64),
) -> fmt::Result {
    let (Form::Durations(ends) | Form::Sizes(ends)) = definition.form else {
        return Ok(());
    };
    let mut count = 0;
    for (end, of_bucket) in ends.iter().zip(counts) {
        count += of_bucket;
        writeln!(page, r#"{name}_bucket{{{labels},le="{end}"}} {count}"#)?;
    }
    let all: u64 = counts.iter().sum();
    writeln!(page, r#"{name}_bucket{{{labels},le="+Inf"}} {all}"#)?;
    writeln!(page, "{name}_sum{{{labels}}} {sum}")?;
    writeln!(page, "{name}_count{{{labels}}} {all}")
}

/// `a.b` in seconds is `a_b_seconds`; a unit in braces is not told.
fn family(definition: &Definition) -> String {
    let mut name = underscored(definition.name);
    name.push_str(match definition.unit {
        "s" => "_seconds",
        "By" => "_bytes",
        _ => "",
    });
    if definition.form == Form::Counter {
        name.push_str("_total");
    }
    name
}

fn underscored(name: &str) -> String {
    name.replace('.', "_")
}

/// In the order of their names, the scope's among them.
fn labels(group: &Group, series: &Series) -> String {
    let scope = &group.scope;
    let of_scope = [
        ("otel_scope_name", scope.name),
        ("otel_scope_schema_url", ""),
        ("otel_scope_version", scope.version),
    ];
    let own = series.attributes.iter().map(|(key, value)| {
        let value = match value {
            Owned::Text(text) => escaped(text),
            Owned::Int(number) => number.to_string(),
        };
        (underscored(key), value)
    });
    let of_scope = of_scope.map(|(key, value)| (key.to_owned(), value.to_owned()));
    joined(own.chain(of_scope).collect())
}

/// Whose numbers these are.
fn target(page: &mut String, resource: &[(String, String)]) -> fmt::Result {
    let labels = resource
        .iter()
        .map(|(key, value)| (underscored(key), escaped(value)));
    let labels = joined(labels.collect());
    writeln!(page, "# HELP target_info Target metadata")?;
    writeln!(page, "# TYPE target_info gauge")?;
    writeln!(page, "target_info{{{labels}}} 1")
}

fn joined(mut labels: Vec<(String, String)>) -> String {
    labels.sort();
    let labels: Vec<_> = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    labels.join(",")
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
