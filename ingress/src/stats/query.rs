//! What does a request for statistics ask for?

use std::fmt;

use regex::Regex;

use super::section::{Kind, Stat};

/// The parameters of `/stats` and `/stats/prometheus`.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// How it is written.
    pub format: Format,
    /// Whether what was never written to is left out.
    pub used_only: bool,
    /// What names have to match, anywhere.
    pub filter: Option<Regex>,
    /// Whether they must not.
    pub inverted: bool,
    /// How histograms are written.
    pub buckets: Buckets,
    only: Option<Kind>,
}

/// How statistics are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `name: value`.
    #[default]
    Text,
    /// JSON.
    Json,
    /// Prometheus' text format.
    Prometheus,
    /// A page for a browser.
    Html,
}

/// How histograms are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Buckets {
    /// As quantiles, or, for Prometheus, as buckets.
    #[default]
    Usual,
    /// As counts of values up to each bound.
    Cumulative,
    /// As counts of values between bounds.
    Disjoint,
    /// As all that is known.
    Detailed,
    /// As quantiles, also for Prometheus.
    Summary,
}

/// Parameters that cannot be followed; the text is Envoy's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Query {
    /// Reads decoded parameters.
    ///
    /// # Errors
    /// In Envoy's words.
    pub fn read<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Invalid> {
        let invalid = |text: &str| Err(Invalid(text.to_owned()));
        let mut query = Self::default();
        for (name, value) in parameters {
            match name {
                "usedonly" => query.used_only = true,
                "invert_filter" => query.inverted = true,
                "filter" if value.is_empty() => {}
                "filter" => {
                    let filter = pattern(value);
                    query.filter = Some(filter.map_err(|why| Invalid(format!("Invalid re2 regex: {why}")))?);
                }
                "format" => {
                    query.format = match value {
                        "text" => Format::Text,
                        "json" => Format::Json,
                        "prometheus" => Format::Prometheus,
                        "html" | "active-html" => Format::Html,
                        _ => {
                            return invalid(
                                "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n",
                            );
                        }
                    };
                }
                "type" => {
                    query.only = match value {
                        "All" => None,
                        "Counters" => Some(Kind::Counter),
                        "Gauges" => Some(Kind::Gauge),
                        "TextReadouts" => Some(Kind::Text),
                        "Histograms" => Some(Kind::Histogram),
                        _ => return invalid("invalid &type= param"),
                    };
                }
                "histogram_buckets" => {
                    query.buckets = match value {
                        "cumulative" => Buckets::Cumulative,
                        "disjoint" => Buckets::Disjoint,
                        "detailed" => Buckets::Detailed,
                        "summary" => Buckets::Summary,
                        "" | "none" => Buckets::Usual,
                        _ => {
                            return invalid(
                                "usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary|prometheusnative)",
                            );
                        }
                    };
                }
                _ => {}
            }
        }
        Ok(query)
    }

    /// Whether a kind is wanted at all.
    pub(super) fn wants_kind(&self, kind: Kind) -> bool {
        self.only.is_none_or(|only| only == kind)
    }

    /// Whether a statistic is wanted.
    pub(super) fn wants(&self, stat: &Stat<'_>) -> bool {
        if self.used_only && !stat.used {
            return false;
        }
        let matches = |filter: &Regex| filter.is_match(stat.name) != self.inverted;
        self.filter.as_ref().is_none_or(matches)
    }
}

/// A pattern of somebody's making, within bounds.
///
/// # Errors
/// When it is none, or too large, in RE2's words as far as they are the same.
pub(crate) fn pattern(text: &str) -> Result<Regex, String> {
    let pattern = regex::RegexBuilder::new(text)
        .size_limit(crate::limits::ADMIN_PATTERN_BYTES_MAX)
        .build();
    pattern.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => format!("pattern too large - compile failed: {text}"),
        _ => format!("{}: {text}", fault(text)),
    })
}

/// What is wrong, as RE2 says it.
fn fault(text: &str) -> &'static str {
    let (mut depth, mut class, mut escaped) = (0_i64, false, false);
    for character in text.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' if class => class = false,
            _ if class => {}
            '[' => class = true,
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return "unexpected )";
        }
    }
    match () {
        () if escaped => "trailing \\",
        () if class => "missing ]",
        () if depth > 0 => "missing )",
        () => "no argument for repetition operator",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_followed_is_refused_in_envoys_words() {
        let check = |name, value, expected: Result<(), &str>| {
            let read = Query::read([(name, value)]).map(|_| ());
            assert_eq!(read.map_err(|error| error.0), expected.map_err(str::to_owned));
        };
        check("filter", "(", Err("Invalid re2 regex: missing ): ("));
        check("filter", "a[", Err("Invalid re2 regex: missing ]: a["));
        check(
            "format",
            "xml",
            Err("usage: /stats?format=(html|active-html|json|prometheus|text)\n\n"),
        );
        check("type", "bogus", Err("invalid &type= param"));
        check("type", "Gauges", Ok(()));
        check("histogram_buckets", "detailed", Ok(()));
        check("unknown", "x", Ok(()));
    }
}
