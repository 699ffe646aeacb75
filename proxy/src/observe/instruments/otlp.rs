//! How are instruments written for OTLP? The fields that are used, by their numbers in `opentelemetry/proto/metrics/v1`.

use std::time::{SystemTime, UNIX_EPOCH};

use prost::{Message, Oneof};

use super::{Definition, Form, Group, Instruments, Owned, Reading, Series};
use crate::observe::trace::otlp::{KeyValue, Resource, Scope, attribute};

#[derive(Clone, PartialEq, Message)]
struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    resource_metrics: Vec<ResourceMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceMetrics {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_metrics: Vec<ScopeMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeMetrics {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    description: String,
    #[prost(string, tag = "3")]
    unit: String,
    #[prost(oneof = "Data", tags = "5, 7, 9")]
    data: Option<Data>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Data {
    #[prost(message, tag = "5")]
    Gauge(Numbers),
    #[prost(message, tag = "7")]
    Sum(Numbers),
    #[prost(message, tag = "9")]
    Histogram(Histograms),
}

/// A gauge or a sum: a gauge uses the points alone.
#[derive(Clone, PartialEq, Message)]
struct Numbers {
    #[prost(message, repeated, tag = "1")]
    points: Vec<NumberPoint>,
    #[prost(int32, tag = "2")]
    temporality: i32,
    #[prost(bool, tag = "3")]
    is_monotonic: bool,
}

#[derive(Clone, PartialEq, Message)]
struct NumberPoint {
    #[prost(fixed64, tag = "2")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "3")]
    time_unix_nano: u64,
    #[prost(double, optional, tag = "4")]
    value: Option<f64>,
    #[prost(message, repeated, tag = "7")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct Histograms {
    #[prost(message, repeated, tag = "1")]
    points: Vec<HistogramPoint>,
    #[prost(int32, tag = "2")]
    temporality: i32,
}

#[derive(Clone, PartialEq, Message)]
struct HistogramPoint {
    #[prost(fixed64, tag = "2")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "3")]
    time_unix_nano: u64,
    #[prost(fixed64, tag = "4")]
    count: u64,
    #[prost(double, optional, tag = "5")]
    sum: Option<f64>,
    #[prost(fixed64, repeated, tag = "6")]
    bucket_counts: Vec<u64>,
    #[prost(double, repeated, tag = "7")]
    explicit_bounds: Vec<f64>,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
}

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`
const CUMULATIVE: i32 = 2;

/// Nanoseconds since 1970: from when on it was counted, and until when.
#[derive(Clone, Copy)]
struct Times {
    start: u64,
    now: u64,
}

pub(super) fn export(all: &Instruments, now: SystemTime) -> Vec<u8> {
    let times = Times {
        start: nanos(all.since),
        now: nanos(now),
    };
    let scope_metrics = all.groups.iter().map(|group| of_group(group, times));
    let resource = Resource {
        attributes: all
            .resource
            .iter()
            .map(|(key, value)| attribute(key, value.as_str()))
            .collect(),
    };
    let request = ExportRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource),
            scope_metrics: scope_metrics.collect(),
        }],
    };
    request.encode_to_vec()
}

fn of_group(group: &Group, times: Times) -> ScopeMetrics {
    let series = group.all();
    let metrics = group.definitions.iter().enumerate();
    ScopeMetrics {
        scope: Some(Scope {
            name: group.scope.name.to_owned(),
            version: group.scope.version.to_owned(),
        }),
        metrics: metrics
            .filter_map(|(place, definition)| metric(definition, place, &series, times))
            .collect(),
    }
}

fn metric(
    definition: &Definition,
    place: usize,
    series: &[std::sync::Arc<Series>],
    times: Times,
) -> Option<Metric> {
    let mut numbers = Vec::new();
    let mut histograms = Vec::new();
    for one in series {
        match one.read(place) {
            None => {}
            Some(Reading::Number(value)) => numbers.push(NumberPoint {
                start_time_unix_nano: times.start,
                time_unix_nano: times.now,
                value: Some(value),
                attributes: attributes(one),
            }),
            Some(Reading::Histogram { counts, sum }) => histograms.push(HistogramPoint {
                start_time_unix_nano: times.start,
                time_unix_nano: times.now,
                count: counts.iter().sum(),
                sum: Some(sum),
                bucket_counts: counts,
                explicit_bounds: ends(definition.form).to_vec(),
                attributes: attributes(one),
            }),
        }
    }
    if numbers.is_empty() && histograms.is_empty() {
        return None;
    }
    let sum = |is_monotonic, points| {
        Data::Sum(Numbers {
            points,
            temporality: CUMULATIVE,
            is_monotonic,
        })
    };
    let data = match definition.form {
        Form::Gauge => Data::Gauge(Numbers {
            points: numbers,
            ..Numbers::default()
        }),
        Form::Counter => sum(true, numbers),
        Form::UpDownCounter => sum(false, numbers),
        Form::Durations(_) | Form::Sizes(_) => Data::Histogram(Histograms {
            points: histograms,
            temporality: CUMULATIVE,
        }),
    };
    Some(Metric {
        name: definition.name.to_owned(),
        description: definition.description.to_owned(),
        unit: definition.unit.to_owned(),
        data: Some(data),
    })
}

fn ends(form: Form) -> &'static [f64] {
    match form {
        Form::Durations(ends) | Form::Sizes(ends) => ends,
        Form::Gauge | Form::Counter | Form::UpDownCounter => &[],
    }
}

fn attributes(series: &Series) -> Vec<KeyValue> {
    let one = |(key, value): &(&'static str, Owned)| match value {
        Owned::Text(text) => attribute(key, &**text),
        Owned::Int(number) => attribute(key, u64::try_from(*number).unwrap_or_default()),
    };
    series.attributes.iter().map(one).collect()
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
