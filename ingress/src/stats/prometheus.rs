//! Statistics in Prometheus' text format, as `/stats/prometheus` answers.

use std::fmt::{self, Write};

use super::quantiles::{BOUNDS, QUANTILES, count, cumulative, quantile, sum};
use super::query::{Buckets, Query};
use super::registry::Collected;
use super::section::{Kind, Stat, Value};
use tidegate_proxy::observe::counts::times::Bin;

/// Counters, then gauges, then histograms, each family under its `TYPE`; texts are left out.
pub(super) fn write(all: &Collected, query: &Query, out: &mut dyn Write) -> fmt::Result {
    let mut last: Option<(Kind, String)> = None;
    let mut name = String::new();
    let mut labels = String::new();
    let tags: Vec<(String, &str)> = all
        .tags()
        .iter()
        .map(|(name, value)| (letters(name), value.as_str()))
        .collect();
    all.by_family(query, &mut |family, kind, stat| {
        if kind == Kind::Text {
            return Ok(());
        }
        if last.as_ref().is_none_or(|(_, last)| last != family) {
            name = metric(family);
            last = Some((kind, family.to_owned()));
            let kind = match kind {
                Kind::Counter => "counter",
                Kind::Histogram if query.buckets == Buckets::Summary => "summary",
                Kind::Histogram => "histogram",
                Kind::Gauge | Kind::Text => "gauge",
            };
            writeln!(out, "# TYPE {name} {kind}")?;
        }
        labels.clear();
        label(stat, &tags, &mut labels)?;
        match stat.value {
            Value::Counter(value) | Value::Gauge(value) => writeln!(out, "{name}{{{labels}}} {value}"),
            Value::Histogram(bins) if query.buckets == Buckets::Summary => summary(&name, &labels, bins, out),
            Value::Histogram(bins) => histogram(&name, &labels, bins, out),
            Value::Text(_) => Ok(()),
        }
    })
}

fn histogram(name: &str, labels: &str, bins: &[Bin], out: &mut dyn Write) -> fmt::Result {
    let comma = if labels.is_empty() { "" } else { "," };
    for (bound, count) in BOUNDS.into_iter().zip(cumulative(bins)) {
        writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}")?;
    }
    let count = count(bins);
    writeln!(out, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}")?;
    writeln!(out, "{name}_sum{{{labels}}} {}", sum(bins))?;
    writeln!(out, "{name}_count{{{labels}}} {count}")
}

fn summary(name: &str, labels: &str, bins: &[Bin], out: &mut dyn Write) -> fmt::Result {
    let comma = if labels.is_empty() { "" } else { "," };
    for percent in QUANTILES {
        let value = quantile(bins, percent).map_or("nan".to_owned(), |value| value.to_string());
        writeln!(
            out,
            "{name}{{{labels}{comma}quantile=\"{}\"}} {value}",
            percent / 100.0
        )?;
    }
    writeln!(out, "{name}_sum{{{labels}}} {}", sum(bins))?;
    writeln!(out, "{name}_count{{{labels}}} {}", count(bins))
}

/// The tag within the group comes first, then those of all, as in Envoy.
fn label(stat: &Stat<'_>, of_all: &[(String, &str)], labels: &mut String) -> fmt::Result {
    let inner = stat.inner.into_iter();
    let of_all = of_all.iter().map(|(name, value)| (name.as_str(), *value));
    let tags = stat.tags.iter().map(|(name, value)| (*name, &**value));
    for (at, (name, value)) in inner.chain(of_all).chain(tags).enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(labels, "{comma}{name}=\"")?;
        for character in value.chars() {
            match character {
                '\\' => labels.push_str("\\\\"),
                '"' => labels.push_str("\\\""),
                '\n' => labels.push_str("\\n"),
                character => labels.push(character),
            }
        }
        labels.push('"');
    }
    Ok(())
}

/// `envoy_`, but for what Envoy does not have, and the name with `_` for whatever may not stand in one.
fn metric(family: &str) -> String {
    let name = letters(family);
    if name.starts_with("tidegate_") {
        return name;
    }
    format!("envoy_{name}")
}

fn letters(name: &str) -> String {
    let allowed = |character: char| {
        if character.is_ascii_alphanumeric() || character == ':' {
            character
        } else {
            '_'
        }
    };
    name.chars().map(allowed).collect()
}
