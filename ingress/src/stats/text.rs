//! Statistics as `name: value`, as `/stats` answers.

use std::fmt::{self, Write};

use super::quantiles::{BOUNDS, QUANTILES, cumulative, disjoint, general, lowest, quantile, width};
use super::query::{Buckets, Query};
use super::registry::Collected;
use super::section::{Kind, Value};
use tidegate_proxy::observe::counts::times::Bin;

/// Texts, then numbers, then histograms, each by name.
pub(super) fn write(all: &Collected, query: &Query, out: &mut dyn Write) -> fmt::Result {
    for kinds in [
        &[Kind::Text][..],
        &[Kind::Counter, Kind::Gauge],
        &[Kind::Histogram],
    ] {
        all.by_name(query, kinds, &mut |stat| match stat.value {
            Value::Counter(value) | Value::Gauge(value) => writeln!(out, "{}: {value}", stat.name),
            Value::Text(text) => writeln!(out, "{}: \"{}\"", stat.name, text.escape_default()),
            Value::Histogram(bins) => histogram(stat.name, bins, query.buckets, out),
        })?;
    }
    Ok(())
}

fn histogram(name: &str, bins: &[Bin], buckets: Buckets, out: &mut dyn Write) -> fmt::Result {
    let counts = match buckets {
        Buckets::Usual | Buckets::Summary => {
            write!(out, "{name}: ")?;
            summary(bins, out)?;
            return writeln!(out);
        }
        Buckets::Detailed => {
            let total = |bin: &Bin| format!("{},{}:{}", lowest(bin), width(bin), bin.count);
            let totals: Vec<String> = bins.iter().map(total).collect();
            write!(
                out,
                "{name}:\n  totals={}\n  intervals=\n  summary=",
                totals.join(", ")
            )?;
            summary(bins, out)?;
            return writeln!(out);
        }
        Buckets::Cumulative => cumulative(bins),
        Buckets::Disjoint => disjoint(bins),
    };
    let bucket = |(bound, count): (f64, u64)| format!("B{}(0,{count})", general(bound));
    let counts: Vec<String> = BOUNDS.into_iter().zip(counts).map(bucket).collect();
    writeln!(out, "{name}: {}", counts.join(" "))
}

/// Quantiles of the last interval, which is not kept, and of all.
fn summary(bins: &[Bin], out: &mut dyn Write) -> fmt::Result {
    if bins.is_empty() {
        return out.write_str("No recorded values");
    }
    for (at, percent) in QUANTILES.into_iter().enumerate() {
        let blank = if at == 0 { "" } else { " " };
        let value = quantile(bins, percent).unwrap_or(f64::NAN);
        write!(out, "{blank}P{percent}(nan,{value})")?;
    }
    Ok(())
}
