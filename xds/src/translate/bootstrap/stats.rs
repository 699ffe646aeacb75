//! Which statistics are kept, and which parts of their names are tags.

use std::time::Duration;

use envoy_types::pb::envoy::config::metrics::v3 as pb;
use envoy_types::pb::envoy::r#type::matcher::v3::ListStringMatcher;
use pb::stats_matcher::StatsMatcher as Matcher;
use pb::tag_specifier::TagValue as Encoded;
use regex::Regex;
use tidegate_proxy::route::TextMatch;

use super::Reject;
use crate::translate::constraint::Rules;
use crate::translate::notes::Notes;
use crate::translate::text_match;

/// The settings of statistics.
#[derive(Clone, Debug)]
pub struct StatsConfig {
    /// How often they are written to sinks, and histograms summed up.
    pub flush_interval: Duration,
    /// Whether Envoy's own tags are taken out of names.
    pub default_tags: bool,
    /// Further tags.
    pub tags: Vec<TagExtractor>,
    /// Which statistics there are.
    pub matcher: StatsMatcher,
}

/// Which statistics there are, by their names.
#[derive(Clone, Debug, Default)]
pub enum StatsMatcher {
    /// All.
    #[default]
    All,
    /// None.
    None,
    /// Those that one of these matches.
    Only(Vec<TextMatch>),
    /// Those that none of these matches.
    Except(Vec<TextMatch>),
}

impl StatsMatcher {
    /// Whether there is a statistic of this name.
    #[must_use]
    pub fn keeps(&self, name: &str) -> bool {
        let is_one_of =
            |patterns: &[TextMatch]| patterns.iter().any(|pattern| pattern.matches(name.as_bytes()));
        match self {
            Self::All => true,
            Self::None => false,
            Self::Only(patterns) => is_one_of(patterns),
            Self::Except(patterns) => !is_one_of(patterns),
        }
    }
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
            (
                "histogram_bucket_settings",
                !message.histogram_bucket_settings.is_empty(),
            ),
            (
                "use_all_default_tags",
                message.use_all_default_tags.is_some_and(|default| !default.value),
            ),
        ]);
        for (index, tag) in message.stats_tags.iter().enumerate() {
            if matches!(tag.tag_value, Some(Encoded::Regex(_))) {
                notes.add(
                    &format!("stats_tags[{index}]"),
                    "a tag by an expression has no effect",
                );
            }
        }
    });
    let matcher = match message.stats_matcher.and_then(|matcher| matcher.stats_matcher) {
        None | Some(Matcher::RejectAll(false)) => StatsMatcher::All,
        Some(Matcher::RejectAll(true)) => StatsMatcher::None,
        Some(Matcher::InclusionList(list)) => StatsMatcher::Only(patterns("InclusionList", &list)?),
        Some(Matcher::ExclusionList(list)) => StatsMatcher::Except(patterns("ExclusionList", &list)?),
    };
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
        matcher,
    })
}

fn patterns(field: &str, list: &ListStringMatcher) -> Result<Vec<TextMatch>, Reject> {
    let rules = Rules::of("ListStringMatcher");
    let sound = rules
        .some_items("Patterns", &list.patterns)
        .and_then(|()| rules.each("Patterns", &list.patterns, text_match::check_string));
    let within = Rules::of("StatsMatcher").within(field, sound);
    let within = Rules::of("StatsConfig").within("StatsMatcher", within);
    Rules::of("Bootstrap").within("StatsConfig", within)?;
    list.patterns.iter().map(text_match::string).collect()
}
