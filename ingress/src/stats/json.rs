//! Statistics in JSON, as `/stats?format=json` answers.

use std::fmt::{self, Write};

use serde_json::{Value as Json, json};

use super::quantiles::{BOUNDS, QUANTILES, cumulative, disjoint, lowest, quantile, width};
use super::query::{Buckets, Query};
use super::registry::Collected;
use super::section::{Kind, Value};
use tidegate_proxy::observe::counts::times::Bin;

/// `{"stats":[{"name":…,"value":…},…,{"histograms":…}]}`.
pub(super) fn write(all: &Collected, query: &Query, out: &mut dyn Write) -> fmt::Result {
    out.write_str("{\"stats\":[")?;
    let mut comma = "";
    for kinds in [&[Kind::Text][..], &[Kind::Counter, Kind::Gauge]] {
        all.by_name(query, kinds, &mut |stat| {
            let value = match stat.value {
                Value::Counter(value) | Value::Gauge(value) => json!(value),
                Value::Text(text) => json!(text),
                Value::Histogram(_) => return Ok(()),
            };
            let name = Json::from(stat.name);
            write!(
                out,
                "{}{{\"name\":{name},\"value\":{value}}}",
                std::mem::replace(&mut comma, ",")
            )
        })?;
    }
    histograms(all, query, comma, out)?;
    out.write_str("]}")
}

fn histograms(all: &Collected, query: &Query, comma: &str, out: &mut dyn Write) -> fmt::Result {
    let quantiles = Json::from(QUANTILES.map(number).to_vec());
    let (open, close) = match query.buckets {
        Buckets::Usual | Buckets::Summary => (
            format!("{{\"supported_quantiles\":{quantiles},\"computed_quantiles\":["),
            "]}",
        ),
        Buckets::Detailed => (
            format!("{{\"supported_percentiles\":{quantiles},\"details\":["),
            "]}",
        ),
        Buckets::Cumulative | Buckets::Disjoint => ("[".to_owned(), "]"),
    };
    let mut any = false;
    all.by_name(query, &[Kind::Histogram], &mut |stat| {
        let Value::Histogram(bins) = stat.value else {
            return Ok(());
        };
        let histogram = histogram(stat.name, bins, query.buckets);
        if std::mem::replace(&mut any, true) {
            return write!(out, ",{histogram}");
        }
        write!(out, "{comma}{{\"histograms\":{open}{histogram}")
    })?;
    if any {
        write!(out, "{close}}}")?;
    }
    Ok(())
}

fn histogram(name: &str, bins: &[Bin], buckets: Buckets) -> Json {
    let quantiles = || -> Vec<Json> {
        let of = |percent| json!({"cumulative": quantile(bins, percent).map(number), "interval": null});
        QUANTILES.into_iter().map(of).collect()
    };
    let counts = match buckets {
        Buckets::Usual | Buckets::Summary => return json!({"name": name, "values": quantiles()}),
        Buckets::Detailed => {
            let total = |bin: &Bin| json!({"lower_bound": number(lowest(bin)), "width": number(width(bin)), "count": bin.count});
            let totals: Vec<Json> = bins.iter().map(total).collect();
            return json!({"name": name, "totals": totals, "intervals": [], "percentiles": quantiles()});
        }
        Buckets::Cumulative => cumulative(bins),
        Buckets::Disjoint => disjoint(bins),
    };
    let bucket = |(bound, count)| json!({"upper_bound": number(bound), "interval": 0, "cumulative": count});
    let buckets: Vec<Json> = BOUNDS.into_iter().zip(counts).map(bucket).collect();
    json!({"name": name, "buckets": buckets})
}

/// Whole numbers without a fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is whole, and at most an hour in milliseconds"
)]
fn number(number: f64) -> Json {
    if number.fract() == 0.0 && (0.0..1e15).contains(&number) {
        Json::from(number as u64)
    } else {
        Json::from(number)
    }
}
