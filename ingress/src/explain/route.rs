//! Which route of a virtual host takes the request, and why none before it?

use std::sync::Arc;

use http::Request;
use tidegate_proxy::route::Route;

use super::words;
use crate::limits::CANDIDATES_SHOWN_MAX;
use crate::page::Page;

/// What was found.
pub(super) struct Search {
    /// The first route that takes every request like this.
    pub(super) found: Option<usize>,
    /// Those before it that take a share of such requests.
    by_chance: Vec<usize>,
}

/// Finds it; chance apart, as the proxy does.
pub(super) fn find<B>(routes: &[Arc<Route>], request: &Request<B>) -> Search {
    let mut by_chance = Vec::new();
    for (index, route) in routes.iter().enumerate() {
        if !route.matcher.mismatches(request).is_empty() {
            continue;
        }
        match route.matcher.fraction {
            Some(fraction) if fraction.take == 0 || fraction.of == 0 => {}
            Some(fraction) if fraction.take < fraction.of => by_chance.push(index),
            _ => {
                let found = Some(index);
                return Search { found, by_chance };
            }
        }
    }
    // Without one for all, the last that takes some is shown.
    Search {
        found: by_chance.last().copied(),
        by_chance,
    }
}

impl Search {
    pub(super) fn show<B>(&self, routes: &[Arc<Route>], request: &Request<B>, page: &mut Page) {
        let mut before = Vec::new();
        for (index, route) in routes.iter().take(self.found.unwrap_or(routes.len())).enumerate() {
            let shown = words::route(index, route);
            let mismatches = route.matcher.mismatches(request);
            let why: Vec<String> = mismatches.iter().map(ToString::to_string).collect();
            before.push(match (why.is_empty(), route.matcher.fraction) {
                (true, Some(fraction)) => {
                    let (take, of) = (fraction.take, fraction.of);
                    format!(
                        "{shown}: takes {take} of {of} such requests by chance, {}",
                        words::action(route)
                    )
                }
                _ => format!("{shown}: {}", why.join("; ")),
            });
        }
        let shown = self.found.and_then(|found| Some((found, routes.get(found)?)));
        let text = match shown {
            Some((index, route)) => format!("{}, {}", words::route(index, route), words::conditions(route)),
            None => "none".to_owned(),
        };
        page.text("route", text);
        if let Some((index, route)) = shown
            && self.by_chance.contains(&index)
            && let Some(fraction) = route.matcher.fraction
        {
            let (take, of) = (fraction.take, fraction.of);
            page.text(
                "by chance",
                format!("only {take} of {of} such requests; the others get 404"),
            );
        }
        page.list("not", words::at_most(before, CANDIDATES_SHOWN_MAX));
    }
}
