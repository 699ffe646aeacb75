//! In which order do the levels around a route change a message?

use http::header::HeaderMap;

use super::{HeaderMutations, MutationOrder};
use crate::route::format::Context;

/// The changes of all levels around a route, as one request needs them; those of the route itself are passed in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Levels {
    pub(crate) share: HeaderMutations,
    pub(crate) host: HeaderMutations,
    pub(crate) table: HeaderMutations,
    pub(crate) order: MutationOrder,
}

impl Levels {
    /// The changes of the share, which come first.
    pub(crate) fn apply_share_to_request(&self, headers: &mut HeaderMap, context: &Context<'_>) {
        self.share.apply_to_request(headers, context);
    }

    /// All others.
    pub(crate) fn apply_to_request(
        &self,
        route: &HeaderMutations,
        headers: &mut HeaderMap,
        context: &Context<'_>,
    ) {
        let [_share, others @ ..] = self.in_order(route);
        for level in others {
            level.apply_to_request(headers, context);
        }
    }

    pub(crate) fn apply_to_response(
        &self,
        route: &HeaderMutations,
        headers: &mut HeaderMap,
        context: &Context<'_>,
        request: &HeaderMap,
    ) {
        for level in self.in_order(route) {
            level.apply_to_response(headers, context, request);
        }
    }

    /// What of a request the changes of its response need to know.
    pub(crate) fn response_needs(&self, route: &HeaderMutations) -> Needs {
        let levels = self.in_order(route).into_iter();
        let responses = levels.flat_map(|level| level.response());
        responses.fold(Needs::Nothing, |needs, mutation| {
            needs.max(if mutation.reads_request() {
                Needs::RequestFields
            } else {
                Needs::Context
            })
        })
    }

    fn in_order<'a>(&'a self, route: &'a HeaderMutations) -> [&'a HeaderMutations; 4] {
        match self.order {
            MutationOrder::TableLast => [&self.share, route, &self.host, &self.table],
            // The share comes first here too, as it does in Envoy.
            MutationOrder::MostSpecificLast => [&self.share, &self.table, &self.host, route],
        }
    }
}

/// What of a request has to be kept for the changes of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Needs {
    /// There are none.
    Nothing,
    /// What its first line says.
    Context,
    /// Its fields too.
    RequestFields,
}
