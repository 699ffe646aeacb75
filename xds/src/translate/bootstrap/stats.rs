//! Which statistics are kept, and which parts of their names are tags.

use std::time::Duration;

use envoy_types::pb::envoy::config::metrics::v3 as pb;
use pb::tag_specifier::TagValue as Encoded;
use regex::Regex;

use super::Reject;
use crate::translate::notes::Notes;

/// The settings of statistics.
#[derive(Clone, Debug)]
pub struct StatsConfig {
    /// How often they are written to sinks, and histograms summed up.
    pub flush_interval: Duration,
    /// Whether Envoy's own tags are taken out of names.
    pub default_tags: bool,
    /// Further tags.
    pub tags: Vec<TagExtractor>,
}

/// A tag.
#[derive(Clone, Debug)]
pub struct TagExtractor {
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: TagValue,
}

/// What a tag says.
#[derive(Clone, Debug)]
pub enum TagValue {
    /// What the expression finds in a statistic's name: the first group is taken out of the name, the second, or the first where
    /// there is no other, is the value.
    Found(Regex),
    /// The same for all.
    Fixed(String),
    /// What the default tag of this name finds.
    Default,
}

pub(super) fn stats(
    message: pb::StatsConfig,
    flush_interval: Duration,
    notes: &mut Notes,
) -> Result<StatsConfig, Reject> {
    notes.within("stats_config", |notes| {
        notes.add_set(&[
            ("stats_matcher", message.stats_matcher.is_some()),
            (
                "histogram_bucket_settings",
                !message.histogram_bucket_settings.is_empty(),
            ),
        ]);
    });
    let mut tags: Vec<TagExtractor> = Vec::new();
    for tag in message.stats_tags {
        let value = match tag.tag_value {
            Some(Encoded::Regex(text)) => {
                let regex = Regex::new(&text).map_err(|error| Reject::Resource(error.to_string()))?;
                TagValue::Found(regex)
            }
            Some(Encoded::FixedValue(value)) => TagValue::Fixed(value),
            None => TagValue::Default,
        };
        tags.push(TagExtractor {
            name: tag.tag_name,
            value,
        });
    }
    Ok(StatsConfig {
        flush_interval,
        default_tags: message.use_all_default_tags.is_none_or(|default| default.value),
        tags,
    })
}
