//! Which filters every request of a listener meets, and what becomes of them for one route?
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use http::{Request, StatusCode};
//! use tidegate_proxy::config::http::HttpSettings;
//! use tidegate_proxy::filter::{Filter, FilterOverrides, NamedFilter, Override, RateLimit};
//! use tidegate_proxy::route::Route;
//!
//! // One request an hour, for all of a listener's routes …
//! let seldom = Filter::RateLimit(Arc::new(RateLimit::new(1, 1, Duration::from_secs(3600))?));
//! let http = HttpSettings { filters: [NamedFilter::new("limit", seldom)].into(), ..HttpSettings::default() };
//! // … but not for this one, nor for what has no filter of that name.
//! let mut open = Route::respond(StatusCode::OK, "as often as you like");
//! open.overrides = FilterOverrides::from([("limit", Override::Disabled)]);
//! # drop((http, open));
//! # Ok::<(), tidegate_proxy::route::InvalidField>(())
//! ```

use std::sync::Arc;

use super::Filter;
use super::ext_authz::AuthorizationOverride;

/// A filter under the name by which routes change it.
#[derive(Clone, Debug)]
pub struct NamedFilter {
    /// Its name, which need not be the only one of that name.
    pub name: Arc<str>,
    /// Which sort of filter it is, for overrides that are for one sort. Default: none, which is any.
    pub sort: Option<Arc<str>>,
    /// What it does where no route says anything else.
    pub filter: Filter,
    /// Whether it does anything where no route says it. Default: yes.
    pub initially: Switch,
}

/// Whether a filter runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Switch {
    /// It does.
    #[default]
    On,
    /// It does not.
    Off,
}

/// The filters that every request of a filter chain meets, in this order, before those of its route; also a request that has
/// no route. Without any there is nothing to pay.
#[derive(Clone, Debug, Default)]
pub struct NamedFilters(Option<Arc<[NamedFilter]>>);

/// What a route, or a level above or below it, makes of the filters of its listener, by name. A name that no filter has is
/// without effect. Cheap to clone; empty it costs nothing but one word, of which each route, host and share has one.
#[derive(Clone, Debug, Default)]
pub struct FilterOverrides(Option<Arc<Box<[Named]>>>);

#[derive(Clone, Debug)]
struct Named {
    name: Arc<str>,
    /// The only sort of filter that it is for.
    sort: Option<Arc<str>>,
    change: Override,
}

/// What becomes of one filter.
#[derive(Clone, Debug)]
pub enum Override {
    /// It does not run.
    Disabled,
    /// It runs, also where it initially does not.
    Enabled,
    /// It runs, and is this one instead.
    Replaced(Filter),
    /// It runs, and asks for more; without effect on a filter that asks nobody.
    Authorization(Arc<AuthorizationOverride>),
}

/// The overrides of all levels that a request was found at, the most specific first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Levels {
    pub(crate) share: FilterOverrides,
    pub(crate) route: FilterOverrides,
    pub(crate) host: FilterOverrides,
    pub(crate) table: FilterOverrides,
}

impl NamedFilter {
    /// A filter that runs.
    pub fn new(name: impl Into<Arc<str>>, filter: Filter) -> Self {
        Self {
            name: name.into(),
            sort: None,
            filter,
            initially: Switch::On,
        }
    }

    /// The same, of this sort.
    #[must_use]
    pub fn of_sort(self, sort: impl Into<Arc<str>>) -> Self {
        Self {
            sort: Some(sort.into()),
            ..self
        }
    }
}

impl NamedFilters {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The filters, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[NamedFilter] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl FilterOverrides {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Overrides that are each for one sort of filter, where they name one: a filter of that name and of another sort runs as if
    /// it were [`Override::Enabled`].
    pub fn of_sorts<'a>(overrides: impl IntoIterator<Item = (&'a str, Option<&'a str>, Override)>) -> Self {
        let overrides = overrides.into_iter();
        Self::of(overrides.map(|(name, sort, change)| Named {
            name: name.into(),
            sort: sort.map(Into::into),
            change,
        }))
    }

    fn of(overrides: impl Iterator<Item = Named>) -> Self {
        let overrides: Box<[Named]> = overrides.collect();
        Self((!overrides.is_empty()).then(|| Arc::new(overrides)))
    }

    /// What becomes of the filter of this name, if it is of the sort that is meant.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Override> {
        let all = self.0.as_deref()?;
        all.iter().find(|of| *of.name == *name).map(|of| &of.change)
    }

    /// What becomes of this filter.
    fn change(&self, filter: &NamedFilter) -> Option<&Override> {
        let all = self.0.as_deref()?;
        let change = all.iter().find(|of| of.name == filter.name)?;
        match (&change.sort, &filter.sort) {
            (Some(meant), Some(sort)) if meant != sort => Some(&Override::Enabled),
            _ => Some(&change.change),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Override)> {
        let all = self.0.iter().flat_map(|all| &***all);
        all.map(|of| (&*of.name, &of.change))
    }
}

impl Levels {
    /// What `named` is at these levels: the most specific that knows its name says whether it runs, the most specific that
    /// brings one says which filter it is.
    pub(super) fn resolve<'a>(&'a self, named: &'a NamedFilter) -> Option<&'a Filter> {
        let levels = [&self.share, &self.route, &self.host, &self.table];
        let mut changes = levels
            .into_iter()
            .filter(|level| !level.is_empty())
            .filter_map(|level| level.change(named))
            .peekable();
        let runs = match changes.peek() {
            Some(Override::Disabled) => false,
            Some(Override::Enabled | Override::Replaced(_) | Override::Authorization(_)) => true,
            None => named.initially == Switch::On,
        };
        let mut replaced = || {
            changes.find_map(|change| match change {
                Override::Replaced(filter) => Some(filter),
                Override::Disabled | Override::Enabled | Override::Authorization(_) => None,
            })
        };
        runs.then(|| replaced().unwrap_or(&named.filter))
    }
}

impl Levels {
    /// What the levels make of the authorization of this name, the most specific first.
    pub(super) fn authorization(&self, name: &str) -> impl Iterator<Item = &AuthorizationOverride> {
        let levels = [&self.share, &self.route, &self.host, &self.table];
        levels
            .into_iter()
            .filter_map(move |level| match level.get(name)? {
                Override::Authorization(change) => Some(&**change),
                Override::Disabled | Override::Enabled | Override::Replaced(_) => None,
            })
    }
}

impl FromIterator<NamedFilter> for NamedFilters {
    fn from_iter<I: IntoIterator<Item = NamedFilter>>(filters: I) -> Self {
        let filters: Arc<[NamedFilter]> = filters.into_iter().collect();
        Self((!filters.is_empty()).then_some(filters))
    }
}

impl<const N: usize> From<[NamedFilter; N]> for NamedFilters {
    fn from(filters: [NamedFilter; N]) -> Self {
        Self::from_iter(filters)
    }
}

impl<S: Into<Arc<str>>> FromIterator<(S, Override)> for FilterOverrides {
    fn from_iter<I: IntoIterator<Item = (S, Override)>>(overrides: I) -> Self {
        Self::of(overrides.into_iter().map(|(name, change)| Named {
            name: name.into(),
            sort: None,
            change,
        }))
    }
}

impl<S: Into<Arc<str>>, const N: usize> From<[(S, Override); N]> for FilterOverrides {
    fn from(overrides: [(S, Override); N]) -> Self {
        Self::from_iter(overrides)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::filter::RateLimit;

    /// A filter that can be told from others by its number.
    fn numbered(number: u32) -> Filter {
        Filter::RateLimit(Arc::new(
            RateLimit::new(number, 1, Duration::from_secs(1)).unwrap(),
        ))
    }

    fn number(filter: &Filter) -> String {
        format!("{filter:?}")
            .split("tokens_max: ")
            .nth(1)
            .unwrap()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect()
    }

    #[test]
    fn the_most_specific_level_decides_whether_a_filter_runs_and_the_most_specific_filter_which() {
        use Override::{Disabled, Enabled, Replaced};
        let check = |initially, [share, route, host]: [Option<Override>; 3], expected: Option<&str>| {
            let level = |change: Option<Override>| change.map(|change| ("a", change)).into_iter().collect();
            let levels = Levels {
                share: level(share),
                route: level(route),
                host: level(host),
                table: [("other", Disabled)].into(),
            };
            let named = NamedFilter {
                initially,
                ..NamedFilter::new("a", numbered(1))
            };
            assert_eq!(
                levels.resolve(&named).map(number).as_deref(),
                expected,
                "{levels:?}"
            );
        };
        check(Switch::On, [None, None, None], Some("1"));
        check(Switch::Off, [None, None, None], None);
        check(Switch::On, [None, Some(Disabled), None], None);
        check(Switch::Off, [None, None, Some(Enabled)], Some("1"));
        check(Switch::Off, [None, None, Some(Replaced(numbered(2)))], Some("2"));
        check(
            Switch::On,
            [Some(Enabled), Some(Disabled), Some(Replaced(numbered(3)))],
            Some("3"),
        );
        check(
            Switch::On,
            [Some(Disabled), Some(Replaced(numbered(2))), None],
            None,
        );
        check(
            Switch::On,
            [None, Some(Replaced(numbered(2))), Some(Replaced(numbered(3)))],
            Some("2"),
        );
    }

    #[test]
    fn what_is_meant_for_another_sort_of_filter_only_switches_on() {
        let check = |sort: Option<&str>, meant: Option<&str>, change: Override, expected: Option<&str>| {
            let levels = Levels {
                route: FilterOverrides::of_sorts([("a", meant, change)]),
                ..Levels::default()
            };
            let named = NamedFilter {
                sort: sort.map(Into::into),
                ..NamedFilter::new("a", numbered(1))
            };
            assert_eq!(
                levels.resolve(&named).map(number).as_deref(),
                expected,
                "{sort:?} {meant:?}"
            );
        };
        let replaced = || Override::Replaced(numbered(2));
        check(Some("x"), Some("x"), replaced(), Some("2"));
        check(Some("x"), Some("y"), replaced(), Some("1"));
        check(Some("x"), Some("y"), Override::Disabled, Some("1"));
        check(Some("x"), None, Override::Disabled, None);
        check(None, Some("y"), replaced(), Some("2"));
    }
}
